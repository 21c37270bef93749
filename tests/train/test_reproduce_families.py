"""Two networks of ours in one plan: each is judged against its own singles, and one table sets them side by side."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduce import front, page, records, verdict, versus
from benchmarks.reproduce.bars import verdicts
from benchmarks.reproduce.lines import groups_of, held_against
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import ROOT, DataPlan, Plan, Row, load
from benchmarks.reproduce.records import Origin, Record
from dis2_edge.description import load as described
from dis2_edge.scores import Counts
from dis2_train.judging.evaluation import Evaluation
from dis2_train.networks.cost import Cost

IMAGES, PIXELS = 12, 1000
SCENARIOS = ("opt+sar", "opt", "sar")
ROWS = [
    ("dis2", "DIS2 default", "ours", "dis2", (0.9, 0.8, 0.7)),
    ("single-opt", "DIS2's parts", "single", "dis2", (None, 0.78, None)),
    ("single-sar", "DIS2's parts", "single", "dis2", (None, None, 0.6)),
    ("dropout", "early fusion", "rival", "dis2", (0.85, 0.6, 0.5)),
    ("less", "DIS2 less a part", "ablation", "dis2", (0.8, 0.7, 0.6)),
    ("deeplab-opt", "DeepLabV3", "single", "csknet", (None, 0.82, None)),
    ("deeplab-sar", "DeepLabV3", "single", "csknet", (None, None, 0.72)),
    ("csknet", "CSK-Net", "ours", "csknet", (0.91, 0.75, 0.74)),
    ("no-gates", "CSK-Net less gates", "ablation", "csknet", (0.9, 0.74, 0.73)),
]


def judged(shares: tuple[float | None, ...], seed: int) -> Evaluation:
    """Two classes of PIXELS pixels each in every image, of which `shares` are found, more in every second image."""
    counts: dict[str, Counts] = {}
    for name, share in zip(SCENARIOS, shares, strict=True):
        if share is not None:
            right = np.round(PIXELS * share).astype(np.int64) + 10 * (np.arange(IMAGES) % 2)
            counts[name] = np.zeros((IMAGES, 2, 3), np.int64)
            for index in range(2):
                counts[name][:, index, index], counts[name][:, index, 1 - index] = right, PIXELS - right
    return Evaluation(
        label=f"s{seed}",
        network="any",
        seed=seed,
        dataset="tiny",
        split="val",
        classes=("dry", "flood"),
        sensors=tuple(max(counts, key=len).split("+")),
        ids=tuple(f"{number:02}" for number in range(IMAGES)),
        counts=counts,
        costs={name: Cost(1_500_000, 4.25 if "+" in name else 2.0) for name in counts},
        grid=(32, 32),
    )


@pytest.fixture
def planned() -> tuple[Plan, dict[str, Record]]:
    """Both networks over one data set, taught rows included, and a record of every run."""
    rows = tuple(
        Row("tiny", name, group, "r", role, family, stage=2, teacher="")  # type: ignore[arg-type]
        for name, group, role, family, _ in ROWS
    )
    first = dataclasses.replace(rows[5], stage=1)
    taught = tuple(dataclasses.replace(row, teacher="deeplab-opt") for row in rows[7:])
    data = DataPlan("Floods", ("opt", "sar"), "val", infrared="sar", bar="flood", folder="x")
    plan = Plan((0, 1, 2), {"tiny": data}, (*rows[:5], first, rows[6], *taught))
    shares = {name: found for name, _, _, _, found in ROWS}
    made = {}
    for run in plan.runs():
        origin = Origin(f"dis2-edge train {run.name}", "a machine", "2.13.0", 1, 60.0, 10)
        made[run.name] = Record(run.name, {}, origin, {"val": judged(shares[run.row.name], run.seed)})
    return plan, made


def flood(share: float) -> float:
    """IoU per cent of either class that `judged` makes."""
    hits = round(PIXELS * share) + 5
    return 100 * hits / (2 * PIXELS - hits)


def asked(plan: Plan, made: dict[str, Record]) -> list[str]:
    """The bars and verdicts of both networks."""
    return verdicts(plan, "tiny", groups_of(plan, "tiny", made, "val"), "iou flood", "IoU of flood")


def test_each_network_of_ours_is_held_against_its_own_singles(planned: tuple[Plan, dict[str, Record]]) -> None:
    dis2_bar, dis2, csknet_bar, csknet = asked(*planned)
    assert dis2_bar.startswith("**The bar.** DIS2 default")
    assert csknet_bar.startswith("**The bar of CSK-Net.**")
    asked_of_dis2, beside = dis2.partition("\n- Beside")[::2]
    assert "DeepLabV3" not in asked_of_dis2, "a better single of the other family must not change a published verdict"
    assert f"the bar: `opt`, IoU of flood: *DIS2 default* {flood(0.8):.1f} against {flood(0.82):.1f} of *Deep" in beside
    assert "reached" not in beside
    assert "missed" not in beside
    assert "DIS2's parts" not in csknet.partition("\n- Beside")[0]
    assert f"`sar` (weak sensor), IoU of flood: *DIS2 default* {flood(0.7):.1f} against {flood(0.6):.1f}" in dis2
    infrared, as_counted, other = csknet.splitlines()[0], csknet.splitlines()[2], csknet.splitlines()[1]
    gained = f"*CSK-Net* {flood(0.74):.1f} against {flood(0.72):.1f} of *DeepLabV3*"
    assert infrared.startswith(f"- `sar` (infrared, or in its place), IoU of flood: {gained}")
    assert infrared.endswith("bar above 0.0: **reached**.")
    assert "mIoU" in as_counted
    assert "`opt` (other sensor)" in other
    assert "**missed**" in other


def test_the_verdict_of_dis2_is_the_same_with_and_without_csknet(planned: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = planned
    alone = dataclasses.replace(plan, row=tuple(row for row in plan.row if row.family == "dis2"))
    (bar, judged_beside), judged_alone = asked(plan, made)[:2], asked(alone, made)
    assert [bar, judged_beside.partition("\n- Beside")[0]] == judged_alone


def test_no_gain_is_a_miss_where_a_gain_is_asked_for() -> None:
    same = {"ours": [judged((0.9, 0.8, 0.7), 0)], "plain": [judged((None, 0.8, None), 0), judged((None, None, 0.7), 0)]}
    found = {one.scenario: one for one in verdict.against_singles("ours", ("plain",), same, "miou", "sar")}
    assert found["opt"].reached
    assert not found["sar"].reached
    assert "bar above 0.0: **missed**" in verdict.sentence(found["sar"], "mIoU")


def test_what_is_taken_from_one_network_is_not_held_against_the_other(planned: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = planned
    everybodys = {"DIS2 default", "DIS2's parts", "early fusion", "DeepLabV3", "CSK-Net"}
    assert held_against(plan, "tiny", "dis2") == everybodys | {"DIS2 less a part"}
    assert held_against(plan, "tiny", "csknet") == everybodys | {"CSK-Net less gates"}
    text = page.tables(plan, made)
    _, to_dis2, to_csknet = (
        part.partition("\n\nIoU of *flood*, per cent")[0] for part in text.split("difference to *")
    )
    assert to_dis2.startswith("DIS2 default*")
    assert to_csknet.startswith("CSK-Net*")
    assert ("less gates" in to_dis2, "less a part" in to_dis2) == (False, True)
    assert ("less gates" in to_csknet, "less a part" in to_csknet) == (True, False)
    lost = flood(0.8) - flood(0.75)
    assert f"| DIS2 default | −{flood(0.91) - flood(0.9):.1f}" in to_csknet
    assert f"| {lost:+.1f} [" in to_csknet


def test_the_page_tells_who_taught_and_by_which_command(planned: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = planned
    text = page.tables(plan, made)
    assert "    dis2-edge train tiny/deeplab-opt-s0\n    dis2-edge train tiny/csknet-s0" in text
    assert "the run of *DeepLabV3* `deeplab-opt` of the same seed for a teacher" in text
    untaught = {name: record for name, record in made.items() if "csknet" not in name and "gates" not in name}
    assert "for a teacher" not in page.tables(plan, untaught)


def test_one_table_tells_which_network_is_ahead_where(planned: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = planned
    for seed, full in enumerate((0.86, 0.91, 0.94)):
        name = f"tiny/csknet-s{seed}"
        made[name] = dataclasses.replace(made[name], evaluations={"val": judged((full, 0.75, 0.74), seed)})
    title, answer, table = versus.section(plan, made)
    assert title == "## DIS2 or CSK-Net?"
    assert "1 of 1 data sets" in answer
    assert "Of the 4 rows below CSK-Net is ahead in 1, DIS2 in 1, and 2 are not settled" in answer
    assert "Provisional" not in answer
    one_seed = {name: one for name, one in made.items() if name not in ("tiny/csknet-s1", "tiny/csknet-s2")}
    assert "Provisional" in versus.section(plan, one_seed)[1]
    rows = {line.split(" | ")[4]: line.split(" | ") for line in table.splitlines()[2:]}
    assert list(rows) == [*SCENARIOS, "mean"]
    assert rows["sar"][5:7] == [f"{flood(0.7):.1f}", f"{flood(0.74):.1f}"]
    assert rows["sar"][7].startswith(f"{flood(0.74) - flood(0.7):+.1f} [")
    assert rows["opt"][7].startswith("−")
    assert rows["opt+sar"][8] == "4.25 and 4.25 |"


def test_the_table_says_when_one_network_is_not_there_yet(planned: tuple[Plan, dict[str, Record]]) -> None:
    plan, made = planned
    alone = {name: record for name, record in made.items() if "/csknet" not in name}
    assert versus.section(plan, alone)[1] == "No data set has finished runs of both networks yet."
    few = dataclasses.replace(plan, row=plan.row[:5])
    assert versus.section(few, made) == []


def test_parts_of_the_images_have_a_table(planned: tuple[Plan, dict[str, Record]]) -> None:
    """Odd images score a little better, so day and night differ by what `judged` adds to them."""
    plan, made = planned
    for name, one in made.items():
        found = one.evaluations["val"]
        ids = tuple(f"{id_}_{('day', 'night')[int(id_) % 2]}" for id_ in found.ids)
        made[name] = dataclasses.replace(one, evaluations={"val": dataclasses.replace(found, ids=ids)})
    assert "by part of the images" not in page.tables(plan, made)
    data = dataclasses.replace(plan.data["tiny"], parts=("day", "dusk", "night"))
    text = page.tables(dataclasses.replace(plan, data={"tiny": data}), made)
    _, _, rows = text.partition("IoU of *flood* by part of the images, opt+sar / opt / sar, per cent:\n\n")
    assert rows.startswith("| network | day, 6 images | night, 6 images |\n")
    day, night = 100 * 720 / 1280, 100 * 730 / 1270
    assert f"| DeepLabV3 | – / {100 * 820 / 1180:.1f} / {day:.1f} | – / {100 * 830 / 1170:.1f} / {night:.1f} |" in rows


def test_the_readme_s_table_has_ours_first_and_says_what_is_not_there_yet(
    planned: tuple[Plan, dict[str, Record]], tmp_path: Path
) -> None:
    plan, made = planned
    words = {"csknet": "CSK-Net, one run", "deeplab-sar": "two networks", "dis2": "DIS2, one run"}
    rows = tuple(dataclasses.replace(row, front=words.get(row.name, "")) for row in plan.row)
    data = dataclasses.replace(plan.data["tiny"], final="val", called={"sar": "radar"})
    plan = dataclasses.replace(plan, row=rows, data={"tiny": data})
    head, _, *lines = front.table(plan, {name: one for name, one in made.items() if "csknet" not in name}).splitlines()
    assert head == "| network | seeds | both sensors | opt alone | radar alone |"
    assert lines == [
        f"| DIS2, one run | 3 | {flood(0.9):.1f} | {flood(0.8):.1f} | {flood(0.7):.1f} |",
        "| CSK-Net, one run | not yet | not yet | not yet | not yet |",
        f"| two networks | 3 | – | {flood(0.82):.1f} | {flood(0.72):.1f} |",
    ]
    places = Places(records=tmp_path / "docs" / "records", page=tmp_path / "docs" / "page.md")
    places.readme.write_text(f"before\n{front.BEGIN}\n{front.END}\nafter\n")
    written = page.write_page(load(), places)
    assert str(places.readme) in written
    assert "| not yet |" in places.readme.read_text()
    assert places.readme.read_text().endswith(f"{front.END}\nafter\n")


def test_the_committed_readme_is_what_the_records_give() -> None:
    plan, places = load(), Places()
    text = places.readme.read_text("utf-8")
    made = front.table(plan, records.finished(places, plan.runs("ombria")))
    assert text == page.filled(text, made, front.BEGIN, front.END), "run: python -m benchmarks.reproduce table"


def test_every_part_of_csknet_is_taken_out_on_its_data_sets() -> None:
    """Each ablation differs from CSK-Net's row by one key, is taught by the same run, or needs no teacher."""
    plan = load()
    for data in ("ombria", "aerial64", "thermal64"):
        rows = {row.name: row for row in plan.rows_of(data) if row.family == "csknet"}
        whole = rows["csknet"]
        parts = [row for row in rows.values() if row.role == "ablation"]
        assert len(parts) == 13
        for row in parts:
            ours, theirs = (dataclasses.asdict(each.resolved(0)) for each in (row, whole))
            (key,) = (key for key in ours if ours[key] != theirs[key])
            assert row.teacher == ("" if key == "texture_weight" else whole.teacher), row.name


def test_teachers_are_what_training_would_have_made_itself() -> None:
    """The teacher's row is DeepLabV3 on the optical sensor, of the pupil's own recipe where that tells."""
    plan = load()
    taught = [row for row in plan.row if row.teacher]
    assert len({row.data for row in taught}) == 4
    for row in taught:
        teacher = next(other for other in plan.rows_of(row.data) if other.name == row.teacher)
        pupil, found = row.resolved(1), teacher.resolved(1)
        assert (found.network, found.sensors) == ("deeplabv3", (plan.data[row.data].sensors[0],))
        for key in ("width", "output_stride", "pyramid_rates", "crop", "epochs", "batch", "crops_per_image", "grid"):
            assert getattr(found, key) == getattr(pupil, key), (row.name, key)
        assert plan.data[row.data].infrared not in found.sensors
        if plan.data[row.data].describe:  # else the network could not tell which sensor its teacher sees
            sensors = described(ROOT / plan.data[row.data].describe).sensors
            assert [name for name in pupil.sensors if sensors[name].kind == "optical"] == list(found.sensors)
