"""The report: figures survive the way through JSON, and the page stands alone whatever is in it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import DataError, MissingExtraError
from dis2_edge.report import page, pictures
from dis2_edge.report.schema import Measured, Picture, Profiled, Report, Stream, Tick, Tile
from dis2_edge.report.streams import read_stream, with_masks
from dis2_edge.report.svg import round_steps
from dis2_edge.report.timeline import changes, timeline
from dis2_edge.report.write import read, write
from dis2_edge.scenario import all_scenarios
from dis2_edge.scores import scores
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.timing import Machine, summarise

SENSORS = ("rgb", "ndsm", "tir")
EVIL = '<script>alert("x")</script>'
MACHINE = Machine("Some CPU", 4, "Some Linux, x86_64", "3.10.1", {"numpy": "2.2.6"})
VOID = {"meta", "img", "br"}


def measured(scenario: str, precision: str, seed: int) -> Measured:
    """A row of three classes, the last of which occurs nowhere."""
    random = np.random.default_rng(seed)
    counts = np.zeros((3, 4), np.int64)
    counts[:2, :2] = random.integers(1, 1000, (2, 2))
    table = tuple(tuple(int(cell) for cell in row) for row in counts)
    return Measured(scenario, precision, table, 5, summarise(random.gamma(9, 1, 120).tolist(), 10))


def profiled(name: str, precisions: tuple[str, ...] = ("fp32", "int8"), tiles: tuple[Tile, ...] = ()) -> Profiled:
    rows = [
        measured(scenario, precision, place)
        for place, scenario in enumerate(all_scenarios(SENSORS))
        for precision in precisions
    ]
    return Profiled(
        id="0123456789ab",
        name=name,
        network="dis2",
        board="host",
        recipe_hash="ab12",
        sensors=SENSORS,
        classes=("roof", "road", EVIL),
        colours=("#000000", "#ff0000", "#00ff00"),
        grid=(4, 6),
        rows=tuple(rows),
        tiles=tiles,
        pictured=precisions[-1],
        provenance={"data": EVIL},
    )


def report(*bundles: Profiled, streams: tuple[Stream, ...] = ()) -> Report:
    return Report(
        title=f"two networks {EVIL}",
        command="dis2-edge profile a b --data d --out o",
        version="0.1.0",
        machine=MACHINE,
        threads=2,
        data="toy",
        split="test",
        images=5,
        images_in_split=9,
        bundles=bundles or (profiled("first"), profiled("second")),
        streams=streams,
    )


def telemetry(folder: Path, scenarios: list[str], **changes: Any) -> Path:
    """A recording of one tick a scenario, ten a second."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "tick": number,
            "time_ms": 1000.0 + 100 * number,
            "scenario": scenario,
            "why": f"because of {number}",
            "state": "held" if scenario == "blind" else "fresh",
            "expected_miou": None if scenario == "blind" else 0.5,
            "latency_ms": 10.0 + number,
            "sensors": {},
            **changes,
        }
        for number, scenario in enumerate(scenarios)
    ]
    (folder / "telemetry.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


class Checker(HTMLParser):
    """Holds the page to balanced tags and to attributes that ask for nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name not in ("href", "onclick", "onload", "srcset"), (tag, name)
            assert name != "src" or str(value).startswith("data:image/png;base64,"), value
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def stands_alone(text: str) -> None:
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert not checker.tags & {"script", "link", "iframe", "object", "embed"}
    assert not re.search(r"https?://|url\(|@import", text)


def test_a_report_reads_back_equal(tmp_path: Path) -> None:
    made = report(streams=(read_stream(telemetry(tmp_path / "run", ["rgb", "blind", "rgb+tir"])),))
    write(made, tmp_path)
    assert read(tmp_path) == made


def test_json_holds_the_scores_of_its_own_counts_and_no_nan(tmp_path: Path) -> None:
    write(report(), tmp_path)
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text
    for row in json.loads(text)["bundles"][0]["rows"]:
        again = scores(np.array(row["confusion"]))
        assert row["scores"]["miou"] == pytest.approx(again.miou, abs=1e-6)
        assert row["scores"]["iou"][2] is None


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path: Path) -> None:
    write(report(streams=(read_stream(telemetry(tmp_path / EVIL.replace("/", ""), ["rgb", "tir"])),)), tmp_path)
    text = (tmp_path / "report.html").read_text()
    stands_alone(text)
    assert "&lt;script&gt;" in text
    assert EVIL not in text


@pytest.mark.parametrize("precisions", [("fp32",), ("int8",), ("fp16",)])
def test_a_bundle_of_one_precision_has_a_page(tmp_path: Path, precisions: tuple[str, ...]) -> None:
    text = page.render(report(profiled("only", precisions)), tmp_path)
    stands_alone(text)
    for precision, words in (("fp32", ("mIoU FP32", "</i>FP32")), ("int8", ("mIoU INT8", ", INT8</span>"))):
        assert all((word in text) == (precision in precisions) for word in words)  # no empty column, no idle legend


def test_a_board_without_fp32_is_shown_by_its_fp16(tmp_path: Path) -> None:
    made = report(profiled("board", ("fp16", "int8")))
    text = page.render(made, tmp_path)
    assert "mIoU FP16" in text
    assert "INT8 − FP16" in text
    assert "FP32" not in text
    assert "<h2>Pictures</h2>" not in text, "there are none"
    first = page.summary(made)[0]
    assert first["exact"].precision == "fp16"
    assert first["lost"] == pytest.approx(first["exact"].scores.miou - first["int8"].scores.miou)


def test_the_page_says_the_figures_of_the_counts(tmp_path: Path) -> None:
    made = report()
    text = page.render(made, tmp_path)
    for row in made.bundles[0].rows:
        assert f"{100 * row.scores.miou:.1f}" in text
    assert "5 of 9 images" in text
    assert made.command in text


def test_loss_and_speed_up_are_those_of_the_rows() -> None:
    made = report(profiled("first"))
    first = page.summary(made)[0]
    assert first["lost"] == pytest.approx(first["exact"].scores.miou - first["int8"].scores.miou)
    ratio = first["exact"].latency.median_ms / first["int8"].latency.median_ms
    assert first["speed_up"] == pytest.approx(ratio)
    assert len(page.summary(made)) == 7


def test_sentences_name_what_was_lost() -> None:
    bundle = profiled("first")
    told = page.sentences(report(bundle))[0]
    miou = {row.scenario: row.scores.miou for row in bundle.rows if row.precision == "int8"}
    assert f"{100 * miou['rgb+ndsm+tir']:.1f} % with rgb+ndsm+tir" in told
    for lost, left in (("rgb", "ndsm+tir"), ("ndsm", "rgb+tir"), ("tir", "rgb+ndsm")):
        assert f"without {lost} {100 * miou[left]:.1f} %" in told
    assert f"with {min(miou, key=lambda name: miou[name])} alone" in told


def test_pictures_stand_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG")
    shown = (Picture("pictures/a.png", "rgb"),)
    made = report(profiled("first", tiles=(Tile("x", "worst", shown, shown, shown),)))
    assert page.render(made, tmp_path).count("data:image/png;base64,iVBORw==") == 3
    (tmp_path / "pictures" / "a.png").unlink()
    with pytest.raises(DataError, match=r"pictures/a\.png cannot be read"):
        page.render(made, tmp_path)


def test_without_templates_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dis2-edge\[report\]'"):
        page.need_templates()


@pytest.mark.parametrize("table", [None, [], {"format": 2}, {"format": 1, "title": 3}, {"format": 1, "extra": 0}])
def test_a_foreign_report_is_refused(tmp_path: Path, table: Any) -> None:
    (tmp_path / "report.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"report\.json"):
        read(tmp_path)


def test_changes_of_a_stream_and_their_reasons(tmp_path: Path) -> None:
    stream = read_stream(telemetry(tmp_path / "run", ["rgb+ndsm", "rgb+ndsm", "rgb", "blind", "rgb"]))
    assert [(before, after) for _, before, after, _ in changes(stream)] == [
        ("rgb+ndsm", "rgb"),
        ("rgb", "blind"),
        ("blind", "rgb"),
    ]
    assert changes(stream)[0] == (pytest.approx(1.2), "rgb+ndsm", "rgb", "because of 2")


@given(st.lists(st.sampled_from(["rgb", "tir", "rgb+tir", "blind"]), min_size=1, max_size=40))
def test_any_stream_can_be_drawn(scenarios: list[str]) -> None:
    ticks = tuple(
        Tick(place, place / 10, name, "held" if name == "blind" else "fresh", 1.0, None if name == "blind" else 0.4)
        for place, name in enumerate(scenarios)
    )
    drawn = timeline(Stream("", "", "s", ticks), {"rgb": "sc0", "tir": "sc1"})
    assert "nan" not in drawn
    places = [float(value) for value in re.findall(r' (?:x|cx|x2)="([-\d.]+)"', drawn)]
    assert all(0 <= value <= 1021 for value in places)


def test_a_long_stream_keeps_its_slowest_tick() -> None:
    ticks = [Tick(place, place / 10, "rgb", "fresh", 5.0, 0.4) for place in range(5000)]
    ticks[3217] = dataclasses.replace(ticks[3217], latency_ms=99.0)
    drawn = timeline(Stream("", "", "s", tuple(ticks)), {"rgb": "sc0"})
    assert "99.0 ms" in drawn
    assert drawn.count("<circle") <= 700


def test_masks_around_changes_are_taken_along(tmp_path: Path) -> None:
    run = telemetry(tmp_path / "run", ["rgb", "rgb", "tir", "tir", "rgb"])
    (run / "masks").mkdir()
    for number in range(5):
        (run / "masks" / f"{number:08d}.png").write_bytes(bytes([number]))
    stream = with_masks(read_stream(run), run, tmp_path / "out", "stream0")
    assert [(tmp_path / "out" / mask.file).read_bytes() for mask in stream.masks] == [b"\1", b"\2", b"\3", b"\4"]
    assert stream.masks[1].caption == "1.20 s: tir"


@pytest.mark.parametrize("changes", [{"latency_ms": "fast"}, {"state": "stale"}, {"time_ms": None}])
def test_a_broken_line_of_telemetry_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"telemetry\.jsonl, line 1"):
        read_stream(telemetry(tmp_path / "run", ["rgb"], **changes))


@pytest.mark.parametrize(
    ("summary", "network"),
    [
        ('{"bundle": {"id": "ab", "name": "n", "network": "dis2"}}', "dis2"),
        ('{"bundle": 3}', ""),
        ("[", ""),
        ("[]", ""),
    ],
)
def test_a_recording_tells_which_bundle_flew_where_it_can(tmp_path: Path, summary: str, network: str) -> None:
    run = telemetry(tmp_path / "run", ["rgb"])
    (run / "summary.json").write_text(summary)
    stream = read_stream(run)
    assert (stream.network, stream.bundle) == (network, "ab" if network else "")


def test_no_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"telemetry\.jsonl cannot be read"):
        read_stream(tmp_path)
    (tmp_path / "telemetry.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no tick"):
        read_stream(tmp_path)


@given(st.floats(1e-6, 1e9))
def test_axis_steps_are_round_and_reach_the_highest(highest: float) -> None:
    steps = round_steps(highest)
    assert steps[0] == 0
    assert steps[-1] >= highest * 0.999
    assert steps[-1] <= highest * 2.6
    assert 2 <= len(steps) <= 7


def test_frames_become_visible_whatever_they_hold() -> None:
    height = Sensor("ndsm", "height", 1, "float32", "metres", -5, 80)
    optical = Sensor("rgb", "optical", 3, "uint16", "DN", 0, 65535)
    ramp = np.linspace(0, 10, 12, dtype=np.float32).reshape(3, 4, 1)
    ramp[0, 0] = np.nan
    assert len(np.unique(pictures.visible(ramp, height).reshape(-1, 3), axis=0)) > 8
    assert pictures.visible(np.full((3, 4, 1), np.nan, np.float32), height).shape == (3, 4, 3)
    hot = pictures.visible(np.nan_to_num(ramp), Sensor("heat", "thermal", 1, "float32", "kelvin", 0, 400))
    assert np.all(np.diff(hot.astype(int).sum(axis=2).ravel()) >= 0), "warmer is lighter"
    assert hot[..., 0].astype(int).sum() > hot[..., 2].astype(int).sum(), "and glows"
    assert pictures.visible(np.full((3, 4, 3), 7, np.uint16), optical).dtype == np.uint8
    assert pictures.visible(np.zeros((3, 4, 5), np.uint16), optical).shape == (3, 4, 3)


def test_masks_and_errors_are_coloured() -> None:
    task = Task((Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255),), ("a", "b"), ("#010203", "#ff0000"), (1, 3))
    truth, mask = np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    assert pictures.in_colours(truth, task).tolist() == [[[1, 2, 3], [255, 0, 0], list(pictures.UNKNOWN)]]
    assert pictures.errors(mask, truth, task)[0].tolist() == [
        list(pictures.RIGHT),
        list(pictures.WRONG),
        list(pictures.UNKNOWN),
    ]
    assert pictures.error_share(mask, truth, 2) == 0.5
    assert pictures.error_share(mask, np.full_like(truth, 255), 2) == 0
