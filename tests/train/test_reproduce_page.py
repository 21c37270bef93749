"""What the comparison's page says follows from the records alone; the committed page, figures and plan hold to that."""

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.reproduce import page, records, verdict
from benchmarks.reproduce.figure import contributions, draw
from benchmarks.reproduce.figure import main as figure_of
from benchmarks.reproduce.page import BEGIN, END
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import ROOT, DataPlan, Plan, Row, load
from benchmarks.reproduce.records import Origin, Record
from dis2_edge.description import load as described
from dis2_edge.errors import DataError
from dis2_edge.scenario import all_scenarios
from dis2_edge.scores import Counts
from dis2_train.judging.evaluation import Evaluation, write_evaluation
from dis2_train.networks.cost import Cost

SVG = "{http://www.w3.org/2000/svg}"
IMAGES, PIXELS = 12, 1000
SURE = {"opt+sar": 0.9, "opt": 0.8, "sar": 0.7}


@pytest.fixture(scope="module")
def planned() -> Plan:
    """The plan that is committed."""
    return load()


def judged(shares: dict[str, float], seed: int = 0, *, classes: Sequence[str] = ("dry", "flood")) -> Evaluation:
    """Every class has PIXELS pixels in each image; `shares` of them are found, a little more in odd images."""
    counts: dict[str, Counts] = {}
    for name, share in shares.items():
        found = np.zeros((IMAGES, len(classes), len(classes) + 1), np.int64)
        for image in range(IMAGES):
            right = round(PIXELS * share) + 10 * (image % 2)
            for index in range(len(classes)):
                found[image, index, index] = right
                found[image, index, (index + 1) % len(classes)] = PIXELS - right
        counts[name] = found
    sensors = max(shares, key=len).split("+")
    return Evaluation(
        label=f"s{seed}",
        network="any",
        seed=seed,
        dataset="tiny",
        split="val",
        classes=tuple(classes),
        sensors=tuple(sensors),
        ids=tuple(f"{number:02}" for number in range(IMAGES)),
        counts=counts,
        costs={name: Cost(1_500_000, 4.25) for name in shares},
        grid=(32, 32),
    )


def seeds(shares: dict[str, float], count: int = 3) -> list[Evaluation]:
    return [judged(shares, seed) for seed in range(count)]


def score(share: float) -> float:
    """IoU of both classes that `judged` makes: of 2N - hits."""
    hits = round(PIXELS * share) + 5
    return hits / (2 * PIXELS - hits)


# verdicts


def test_the_best_network_of_each_sensor_is_the_rival_and_the_lowest_is_weak() -> None:
    groups = {
        "ours": seeds(SURE),
        "parts": [*seeds({"opt": 0.78}), *seeds({"sar": 0.6})],
        "unet": [*seeds({"opt": 0.75}), *seeds({"sar": 0.65})],
    }
    found = {row.scenario: row for row in verdict.against_singles("ours", ("parts", "unet"), groups, "iou flood")}
    assert {name: (row.rival, row.weak, row.bar) for name, row in found.items()} == {
        "opt": ("parts", False, 0.0),
        "sar": ("unet", True, 0.01),
    }
    assert found["sar"].difference.value == pytest.approx(score(0.7) - score(0.65))
    assert found["sar"].reached
    assert found["sar"].certain
    assert "flood" in (told := verdict.sentence(found["sar"], "IoU of flood"))
    assert f"{100 * (score(0.7) - score(0.65)):+.1f} points" in told
    assert "**reached**" in told
    assert "Provisional" not in told


def test_a_missed_bar_is_said_and_few_seeds_too() -> None:
    groups = {"ours": seeds(SURE, 2), "parts": [*seeds({"opt": 0.82}), *seeds({"sar": 0.699})]}
    strong, weak = verdict.against_singles("ours", ("parts",), groups, "miou")
    assert not strong.reached
    assert not weak.reached
    assert "**missed**" in verdict.sentence(strong, "mIoU")
    assert "Provisional: 2 and 3 seeds" in verdict.sentence(strong, "mIoU")


def test_an_interval_that_holds_the_bar_settles_nothing() -> None:
    ours = [judged({"opt+sar": 0.9, "opt": 0.8, "sar": share}, seed) for seed, share in enumerate((0.6, 0.7, 0.8))]
    groups = {"ours": ours, "parts": [*seeds({"opt": 0.7}), *seeds({"sar": 0.67})]}
    weak = verdict.against_singles("ours", ("parts",), groups, "miou")[1]
    assert weak.difference.low < weak.bar < weak.difference.high
    assert "not settled" in verdict.sentence(weak, "mIoU")


@pytest.mark.parametrize(
    ("value", "told"), [(0.00984, "+0.98 points"), (0.0102, "+1.0 points"), (0.004, "+0.4 points")]
)
def test_a_miss_by_a_hair_does_not_look_like_the_bar(value: float, told: str) -> None:
    weak = verdict.against_singles(
        "ours", ("parts",), {"ours": seeds(SURE), "parts": [*seeds({"opt": 0.7}), *seeds({"sar": 0.6})]}, "miou"
    )[1]
    near = dataclasses.replace(weak, difference=dataclasses.replace(weak.difference, value=value))
    assert told in verdict.sentence(near, "mIoU")


def test_paper_may_be_three_tenths_ahead() -> None:
    slightly = {name: share + 0.001 for name, share in SURE.items()}
    groups = {"ours": seeds(SURE), "paper": seeds(slightly), "far": seeds(dict.fromkeys(SURE, 0.95))}
    assert verdict.against_paper("ours", "paper", groups).reached
    assert not verdict.against_paper("ours", "far", groups).reached


@pytest.mark.parametrize(
    ("share", "told"), [(0.0123, "+1.2"), (-0.0123, "−1.2"), (0.0001, "0.0"), (-0.0001, "0.0"), (0.1, "+10.0")]
)
def test_points_carry_their_sign(share: float, told: str) -> None:
    assert verdict.points(share) == told


# figures


def test_a_sensor_gives_what_is_lost_without_it() -> None:
    found = contributions([judged(SURE, seed, classes=("a", "b", "c")) for seed in range(3)], ("opt", "sar"))
    assert [row.name for row in found] == ["a", "b", "c"]
    assert found[0].full.value == pytest.approx(score(0.9))
    assert found[0].alone["opt"].value == pytest.approx(score(0.8))
    assert found[0].given["opt"].value == pytest.approx(score(0.9) - score(0.7))
    assert found[0].given["sar"].low <= score(0.9) - score(0.8) <= found[0].given["sar"].high


def test_seeds_that_differ_much_give_no_interval_beyond_what_an_iou_can_be() -> None:
    runs = [judged({**SURE, "sar": share}, seed, classes=("a", "b")) for seed, share in enumerate((0.0, 0.6, 0.9))]
    (alone, *_) = (row.alone["sar"] for row in contributions(runs, ("opt", "sar")))
    assert alone.low == 0.0
    assert alone.value < alone.high <= 1.0


def test_an_absent_class_is_left_out() -> None:
    whole = judged(SURE, classes=("a", "b"))
    counts: dict[str, Counts] = {name: np.zeros((IMAGES, 3, 4), np.int64) for name in SURE}
    for name, found in counts.items():
        found[:, :2, :2] = whole.counts[name][:, :, :2]
    absent = dataclasses.replace(whole, classes=("a", "b", "never"), counts=counts)
    assert [row.name for row in contributions([absent], ("opt", "sar"))] == ["a", "b"]


def test_the_drawing_is_xml_with_every_class_and_reads_in_the_dark() -> None:
    worse = {"opt+sar": 0.7, "opt": 0.8, "sar": 0.6}
    svg = draw(contributions([judged(worse, classes=("low_grass", "b<c", "d"))], ("opt", "sar")), "A & B")
    root = ET.fromstring(svg)
    told = [text.text for text in root.iter(f"{SVG}text")]
    assert {"low grass", "b<c", "d", "A & B"} <= set(told)
    widths = [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]
    lefts = [float(bar.attrib.get("x", 0)) for bar in root.iter(f"{SVG}rect")]
    assert min(widths) >= 0
    assert max(left + width for left, width in zip(lefts, widths, strict=True)) <= float(root.attrib["width"])
    assert "prefers-color-scheme: dark" in svg


# the page


def test_the_figure_of_one_evaluated_model_is_drawn_by_a_command(tmp_path):
    write_evaluation(tmp_path / "eval.json", judged({"opt+sar": 0.9, "opt": 0.8, "sar": 0.6}))
    assert figure_of([str(tmp_path / "eval.json"), "--out", str(tmp_path / "figure.svg"), "--title", "Floods"]) == 0
    assert "Floods" in "".join(ET.parse(tmp_path / "figure.svg").getroot().itertext())


def test_no_evaluation_is_told_and_draws_nothing(tmp_path, capsys):
    (tmp_path / "eval.json").write_text("{}")
    assert figure_of([str(tmp_path / "eval.json"), "--out", str(tmp_path / "figure.svg")]) == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "figure.svg").exists()


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(DataError, match="markers"):
        page.filled(f"words\n{BEGIN}\n", "tables")


def test_what_people_wrote_around_the_markers_stays() -> None:
    once = page.filled(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert page.filled(once, "new") == once


@pytest.fixture
def small() -> tuple[Plan, dict[str, Record]]:
    """A plan of three lines over one data set, and a record of every run."""
    rows = [
        ("dis2", "DIS2 default", "ours"),
        ("a", "alone", "single"),
        ("b", "alone", "single"),
        ("p", "paper", "paper"),
    ]
    shares = {"dis2": SURE, "a": {"opt": 0.78}, "b": {"sar": 0.6}, "p": dict.fromkeys(SURE, 0.75)}
    data = DataPlan("Floods", ("opt", "sar"), "val", folder="x", bar="flood")
    plan = Plan((0, 1, 2), {"tiny": data}, tuple(Row("tiny", name, group, "r", role) for name, group, role in rows))  # type: ignore[arg-type]
    origin = Origin("dis2-edge train", "a machine", "2.13.0", 1, 1800.0, 10)
    made = {
        run.name: Record(run.name, {"network": "dis2"}, origin, {"val": judged(shares[run.row.name], run.seed)})
        for run in plan.runs()
    }
    return plan, made


def test_tables_hold_scores_differences_seeds_and_where_it_was_trained(small: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = small
    text = page.tables(plan, made)
    full, opt, sar = (100 * score(SURE[name]) for name in ("opt+sar", "opt", "sar"))
    assert f"| DIS2 default | 3 | {full:.1f} | {opt:.1f} | {sar:.1f} | {(full + opt + sar) / 3:.1f} |" in text
    assert f"| DIS2 default | {full:.1f}, {full:.1f}, {full:.1f} |" in text
    assert (
        f"`sar` (weak sensor), IoU of *flood*: *DIS2 default* {sar:.1f} against {100 * score(0.6):.1f} of *alone*"
        in text
    )
    assert "`mean` (mean over scenarios), mIoU" in text
    assert "| alone | – | −" in text
    assert "12 of 12 runs are finished" in text
    assert "Trained on a machine, threads a run: 1, torch 2.13.0; 6.0 h of training" in text
    assert "svg" not in text, "two classes need no figure"


def test_tables_tell_what_is_missing(small: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = small
    assert "None of the 12 runs" in page.tables(plan, {})
    begun = {name: record for name, record in made.items() if name in ("tiny/dis2-s0", "tiny/b-s0")}
    text = page.tables(plan, begun)
    assert "2 of 12 runs are finished" in text
    assert "Provisional: 1 and 1 seeds" in text
    assert "still missing" in text
    alone = page.tables(plan, {"tiny/b-s0": made["tiny/b-s0"]})
    assert "The bar" not in alone


def test_a_figure_waits_for_a_run_of_ours(small: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = small
    three = {
        name: dataclasses.replace(
            record,
            evaluations={
                "val": dataclasses.replace(
                    found, classes=("a", "b", "c"), counts=judged(SURE, classes=("a", "b", "c")).counts
                )
            },
        )
        for name, record in made.items()
        for found in record.evaluations.values()
    }
    assert list(page.figures(plan, three)) == ["tiny-classes.svg"]
    assert page.figures(plan, {name: record for name, record in three.items() if "/dis2-" not in name}) == {}


def test_the_committed_page_and_figures_are_what_the_records_give(planned: Plan) -> None:
    places = Places()
    found = records.finished(places, planned.runs())
    text = places.page.read_text("utf-8")
    assert text == page.filled(text, page.tables(planned, found)), "run: python -m benchmarks.reproduce table"
    for name, picture in page.figures(planned, found).items():
        assert (places.records / name).read_text("utf-8") == picture, "run: python -m benchmarks.reproduce table"


def test_every_committed_record_belongs_to_a_row_of_the_plan(planned: Plan) -> None:
    known = {f"{run.name}.json" for run in planned.runs()}
    held = {str(file.relative_to(Places.records)) for file in Places.records.glob("*/*.json")}
    assert held <= known


# the plan


def test_every_recipe_of_the_plan_loads_and_every_row_has_three_seeds(planned: Plan) -> None:
    assert len(set(planned.seeds)) >= 3
    for row in planned.row:
        recipe = row.resolved(planned.seeds[-1], 1)
        assert recipe.seed == planned.seeds[-1]
        assert set(recipe.sensors) <= set(planned.data[row.data].sensors), row


def test_ours_has_a_rival_for_every_single_sensor(planned: Plan) -> None:
    for name, data in planned.data.items():
        rows = planned.rows_of(name)
        ours = [row.family for row in rows if row.role == "ours"]
        assert len(set(ours)) == len(ours)
        for family in ours:
            alone = {row.resolved(0).sensors for row in rows if row.role == "single" and row.family == family}
            assert alone == {(sensor,) for sensor in data.sensors}
        assert {row.against for row in rows} <= {"", *(row.group for row in rows)}


def test_rows_of_one_data_set_share_its_budget(planned: Plan) -> None:
    """Equal images, crops, epochs, batches and augmentation; only what costs a machine more may be larger."""
    keys = ("epochs", "batch", "crops_per_image", "augment", "learning_rate", "optimizer", "average_decay", "crop")
    for name in planned.data:
        rows = {row.name: row.resolved(0) for row in planned.rows_of(name)}
        ours = rows["dis2"]
        for other, recipe in rows.items():
            differing = {key for key in keys if getattr(recipe, key) != getattr(ours, key)}
            assert differing <= ({"crop"} if recipe.crop == 0 else set()), other


def test_descriptions_name_the_sensors_of_the_plan(planned: Plan) -> None:
    for data in planned.data.values():
        if data.describe:
            assert set(data.sensors) <= set(described(ROOT / data.describe).sensors)
        assert len(all_scenarios(data.sensors)) == 3
