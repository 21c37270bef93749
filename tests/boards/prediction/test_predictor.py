"""The predictor's errors: fits find what was planted, judge by what they did not see, and board files state no less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.predictor import gpu, gpu_measuring, host, orin, records
from benchmarks.predictor.__main__ import main
from benchmarks.predictor.cases import Case
from benchmarks.predictor.efficientvit import PUBLISHED, Encoder
from benchmarks.predictor.fitting import BANDWIDTH, OVERHEAD, Fitted, Sample, leave_out, off, typical, worst
from benchmarks.predictor.records import HERE, Record, Row
from dis2_boards.figures import Roofline
from dis2_boards.prediction.roofline import predict_ms
from dis2_boards.profile import load
from dis2_edge.costs import LayerCost
from dis2_edge.errors import BoardError

HOST = Path(host.__file__).parents[2] / "boards" / "dis2_boards" / "host.toml"
TRUE = {"fp32": 200.0, "int8": 700.0, BANDWIDTH: 8.0, OVERHEAD: 3.0}


def network(scale: int, wide: int, layers: int, format_: str = "fp32") -> list[LayerCost]:
    """A network of a few busy layers, a few that move bytes, and small ones."""
    busy = [LayerCost("b", "Conv", format_, scale * 1_000_000, 100_000)] * 3  # type: ignore[arg-type]
    moving = [LayerCost("m", "Resize", "fp32", 1, wide * 100_000)] * 2
    small = [LayerCost("s", "Add", "fp32", 8, 64), LayerCost("v", "Reshape", "fp32", 0, 10**9)] * layers
    return [*busy, *moving, *small]


SHAPES = [(3000, 20, 10), (200, 90, 40), (900, 5, 90), (50, 40, 200), (4000, 200, 20)]
FILES = [network(*shape, format_) for shape in SHAPES for format_ in ("fp32", "int8")]


def samples() -> list[Sample]:
    bare = [Sample(str(place), layers, 1.0, str(place % 5)) for place, layers in enumerate(FILES)]
    truth = Fitted(bare).predicted_ms(TRUE)
    return [Sample(one.name, one.layers, float(ms), one.family) for one, ms in zip(bare, truth, strict=True)]


def roofline_of_host() -> Roofline:
    found = load("host").roofline
    assert found is not None
    return found


def test_the_fits_formula_is_the_predictors() -> None:
    layers = network(3000, 20, 10)
    attained = host.attained_of(roofline_of_host())
    told = Fitted([Sample("a", layers, 1.0), Sample("b", layers[:2], 1.0)]).predicted_ms(attained)
    assert list(told) == pytest.approx([predict_ms(part, load("host")).ms for part in (layers, layers[:2])])


def test_a_fit_finds_what_was_planted() -> None:
    start = {name: value * factor for (name, value), factor in zip(TRUE.items(), (0.5, 2, 1.7, 0.6), strict=True)}
    found = Fitted(samples()).fit(start, list(TRUE))
    assert found == pytest.approx(TRUE, rel=0.05)
    held = Fitted(samples()).fit(start, ["fp32", BANDWIDTH], {BANDWIDTH: 13.6})
    assert (held["int8"], held[OVERHEAD]) == (start["int8"], start[OVERHEAD])
    assert held[BANDWIDTH] <= 13.6


def test_what_is_left_out_is_not_seen() -> None:
    odd = [*samples()[:-1], Sample("odd", FILES[-1], samples()[-1].ms * 4, "odd")]
    ratios = leave_out(odd, TRUE, list(TRUE), key=lambda sample: sample.family)
    assert ratios[-1] == pytest.approx(0.25, rel=0.02)
    assert Fitted(odd).ratios(Fitted(odd).fit(TRUE, list(TRUE)))[-1] > 0.3
    assert (off(0.5), off(2.0), worst([0.9, 0.5, 1.5]), typical([0.5, 2.0])) == (2, 2, 2, 2)


def test_a_calibrated_board_file_states_figures_error_and_source(tmp_path: Path) -> None:
    rows = (Row("a", False, 10.0, 30.0), Row("b", True, 10.0, 8.0), Row("c", True, 10.0, 11.0))
    record = Record("command", {"cpu": "some processor"}, "how", TRUE, rows)
    (tmp_path / "mine.toml").write_text(host.calibrated(HOST.read_text("utf-8"), record))
    found = load(str(tmp_path / "mine.toml")).roofline
    assert found is not None
    assert host.attained_of(found) == TRUE
    assert found.error is not None
    assert found.error.value == pytest.approx(1.25 * host.MARGIN, rel=1e-3)
    assert found.bandwidth.source == "command, how, on some processor"
    with pytest.raises(BoardError, match=r"no \[roofline.peaks.int8\]"):
        host.calibrated('name = "bare"', record)


def test_the_kept_measurements_are_those_of_the_board_file_which_states_no_smaller_error() -> None:
    record, roofline = records.load(HERE / "host.json"), roofline_of_host()
    assert host.attained_of(roofline) == pytest.approx(record.attained, rel=1e-3)
    assert len(record.judged) >= 15
    assert roofline.error is not None
    assert record.error <= roofline.error.value
    page = (HOST.parents[2] / "docs" / "plan.md").read_text("utf-8")
    assert f"{record.error:.2f}" in page


def test_the_published_latencies_are_met_by_the_stated_error_each_left_out_of_the_fit() -> None:
    for model in PUBLISHED:
        gmac = sum(layer.operations for layer in Encoder(model).written()) / 2e9
        assert gmac == pytest.approx(model.gmac, rel=0.01), "these are not the model's layers"
    stated = orin.roofline().error
    assert stated is not None
    assert worst(orin.left_out(orin.samples())) <= stated.value
    assert worst(list(Fitted(orin.samples()).ratios(host.attained_of(orin.roofline())))) <= stated.value


def test_the_benchmark_measures_judges_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    few = [Case("single", 0.25, 32, "rgb", "fp32", judged) for judged in (False, True)]
    monkeypatch.setattr(host, "cases", lambda: iter(few))
    monkeypatch.setattr(host, "FREE", ("fp32",))
    words = ["host", "--calibrate", "--files", str(tmp_path / "files"), "--rounds", "3"]
    assert main([*words, "--clock", "wall", "--threads", "2"]) == 0
    shown = capsys.readouterr().out
    assert "wall clock" in shown
    assert "off by at most a factor of" in shown
    assert main([*words, "--threads", "2"]) == 2
    assert "take --threads 1, or --clock wall" in capsys.readouterr().err
    assert main([*words, "--board", "generic-arm64"]) == 2
    assert "has no roofline" in capsys.readouterr().err
    assert json.loads((HERE / "host.json").read_text())["rows"][0]["name"] != few[0].name  # only --keep writes it


def test_a_card_is_measured_by_networks_and_judged_by_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [Case(name, 0.25, 32, "rgb", "fp16", True) for name in ("single", "early_fusion")]
    few.append(Case("dis2", 0.25, 17, "rgb", "fp16", True))  # a grid that cannot be halved
    for module in (gpu, gpu_measuring):
        monkeypatch.setattr(module, "gpu_cases", lambda: iter(few))
    monkeypatch.setattr(gpu_measuring, "CALLS", 2)
    found = gpu_measuring.measure(tmp_path / "card.json", "cpu", False, 600)
    assert list(found["ms"]) == [case.name for case in few[:2]]
    assert list(found["failed"]) == [few[2].name]
    assert json.loads((tmp_path / "card.json").read_text()) == found
    words = ["--files", str(tmp_path / "files")]
    assert main(["gpu", str(tmp_path / "card.json"), *words]) == 0
    assert "n = 2 files" in capsys.readouterr().out
    (tmp_path / "card.json").write_text("{}")
    assert main(["gpu", str(tmp_path / "card.json"), *words]) == 2
    assert "python -m benchmarks.predictor.gpu_measuring FILE" in capsys.readouterr().err
