"""The trt files of a whole quantised run: judged, recorded, deployed around, and refused where they cannot be."""

import dataclasses
import json

import numpy as np
import pytest

from dis2_boards import profile
from dis2_boards.packing import quantized
from dis2_boards.packing.pack import pack
from dis2_edge.errors import EngineError, RecipeError
from dis2_quantize import typed
from dis2_quantize.judging.halves import HalfSegmenter
from dis2_quantize.judging.ranges import Range, Ranges
from dis2_quantize.run import quantize
from dis2_train.segmenters import open_segmenter


@pytest.fixture(scope="module")
def done(trained, aerial, tmp_path_factory):
    run = trained("early_fusion")
    recipe = dataclasses.replace(run.recipe, quantize_epochs=0)
    out = tmp_path_factory.mktemp("typed") / "q"
    return quantize(run, recipe, aerial, out, ["fp32", "fp16", "int8"], ["ort", "trt"])


def test_each_precision_is_written_in_the_dialects_that_have_it_and_judged(done, aerial):
    rows = quantized.read(done.path).models
    kinds = [("fp32", "ort", "frame"), ("int8", "ort", "frame"), ("fp16", "trt", "tensor"), ("int8", "trt", "tensor")]
    assert [(row.precision, row.dialect, row.io) for row in rows[:: len(aerial.task.scenarios)]] == kinds
    assert {row.judged_by for row in rows if row.precision == "fp16"} == {"simulation"}
    assert {row.judged_by for row in rows if row.precision != "fp16"} == {"onnxruntime"}
    assert all(
        (done.path / row.file).name == f"{row.scenario}-{row.precision}-{row.dialect}-{row.io}.onnx" for row in rows
    )
    agreement = {v.candidate.precision: v.agreement for v in done.judged if v.candidate.dialect == "trt"}
    assert agreement["fp16"] > 0.99
    assert agreement["int8"] > 0.9


def test_goldens_hold_the_answers_of_both_dialects_apart(done):
    run = quantized.read(done.path)
    with np.load(done.path / run.goldens[0].file) as golden:
        assert {"rgb/int8/mask", "rgb/int8/trt/mask", "rgb/fp16/trt/confidence", "rgb/fp32/mask"} <= set(golden.files)
    assert {"rgb/int8/ort", "rgb/int8/trt"} <= set(json.loads((done.path / "drift.json").read_text()))


def test_ranges_and_placement_are_recorded(done, aerial):
    ranges = json.loads((done.path / "ranges.json").read_text())
    assert set(ranges) == {f"{name}/{kind}" for name in aerial.task.scenarios for kind in ("fp16", "fp32")}
    for name in aerial.task.scenarios:
        half, single = ranges[f"{name}/fp16"], ranges[f"{name}/fp32"]
        assert half["images"] >= single["images"] == len(aerial.ids("test"))
        assert half["largest"] == pytest.approx(single["largest"], rel=0.05)
        assert (half["islands"], half["too_large"]) == ([], {})
    placement = json.loads((done.path / "placement.json").read_text())
    for tables in placement.values():
        assert {row["format"] for row in tables["trt"]} == {"int8", "fp16"}
        assert {row["format"] for row in tables["ort"]} == {"int8", "uint8", "fp32"}


def test_a_bundle_for_the_host_verifies_beside_trt_goldens(done, tmp_path):
    bundle = pack(done.path, profile.load("host"), tmp_path / "b")
    assert {row.dialect for row in bundle.manifest.models} == {"ort"}


def test_an_int8_trt_file_is_not_handed_to_a_runtime_that_rounds_it_wrongly(done):
    with pytest.raises(EngineError, match="rounds wrongly"):
        open_segmenter(done.path / "models/rgb-int8-trt-tensor.onnx")
    assert open_segmenter(done.path / "models/rgb-fp16-trt-tensor.onnx").precision == "fp16"
    assert open_segmenter(done.path).precision == "int8"


@pytest.mark.parametrize(
    ("precisions", "dialects", "told"),
    [
        (["fp16"], ["ort"], "fp16 has no file of the dialect ort; --dialect ort,trt"),
        (["fp32", "int8"], ["trt"], "fp32 has no file of the dialect trt; --dialect trt,ort"),
        (["int8"], ["tensorrt"], "dialect 'tensorrt'; expected some of ort, trt"),
        (["int8"], [], "dialect 'none'"),
    ],
)
def test_what_no_dialect_has_is_refused_before_anything_is_made(trained, aerial, tmp_path, precisions, dialects, told):
    run = trained("early_fusion")
    with pytest.raises(RecipeError, match=told):
        quantize(run, run.recipe, aerial, tmp_path / "q", precisions, dialects)
    assert not list(tmp_path.iterdir())


def test_a_tensor_that_fp16_cannot_hold_on_the_judged_images_is_told(done, aerial, tmp_path, monkeypatch, capsys):
    candidate = next(v.candidate for v in done.judged if v.candidate.precision == "fp16")
    rows = (Range("unit", "unit/convolution", "fp16", 40000.0),)
    monkeypatch.setattr(HalfSegmenter, "ranges", property(lambda self: Ranges(rows, 3)))
    runner = HalfSegmenter.__new__(HalfSegmenter)
    typed.write_ranges([typed.TypedFile(candidate, runner, ())], {}, aerial, aerial.task, "test", tmp_path)
    assert "unit/convolution reaches 40000 in FP16" in capsys.readouterr().err
    assert json.loads((tmp_path / "ranges.json").read_text())[f"{candidate.scenario}/fp16"]["largest"] == 40000.0
    (overflowing,) = typed.overflows([typed.TypedFile(candidate, runner, ())]).items()
    assert overflowing == (candidate, "unit/convolution")
