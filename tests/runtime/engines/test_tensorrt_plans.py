"""Plans: built once, kept, and flown only where they are whole, of this place, and right on the goldens."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, right
from trt_bundle import TASK

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_edge.goldens import read_golden, write_golden
from tests.runtime.pretend.host_gpu import Gpu


def test_the_second_start_builds_nothing(board_bundle: Bundle, bench: Bench) -> None:
    for _ in range(2):
        with bench.open(board_bundle) as engine:
            right(board_bundle, engine)
    assert len(bench.builds) == 3


def test_nothing_is_written_into_the_bundle(own_copy: Bundle, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.settings = dataclasses.replace(bench.settings, cache=None)
    with bench.open(own_copy):
        pass
    bundles.verify_hashes(bundles.read(own_copy.path))
    kept = sorted(path.suffix for path in (tmp_path / ".engines").iterdir())
    assert kept == ["", *[".json"] * 3, *[".plan"] * 3]  # the first is the timings


@pytest.mark.parametrize("fault", ["altered", "cut", "no note", "swapped"])
def test_a_plan_that_is_not_what_was_written_is_built_again(board_bundle: Bundle, bench: Bench, fault: str) -> None:
    with bench.open(board_bundle):
        pass
    plans = sorted(bench.settings.cache.glob("*.plan"))  # type: ignore[union-attr]
    data = bytearray(plans[0].read_bytes())
    if fault == "altered":
        data[len(data) // 2] ^= 1
    elif fault == "cut":
        data = data[: len(data) // 2]
    elif fault == "swapped":
        data = bytearray(plans[1].read_bytes())
    if fault == "no note":
        plans[0].with_suffix(".json").unlink()
    else:
        plans[0].write_bytes(data)
    with bench.open(board_bundle) as engine:
        right(board_bundle, engine)
    assert len(bench.builds) == 4


@pytest.mark.parametrize(
    "other", [{"version": "10.16.1.11"}, {"gpu": Gpu(capability=(11, 0))}], ids=["version", "capability"]
)
def test_another_tensorrt_or_gpu_builds_its_own(board_bundle: Bundle, tmp_path: Path, other: Any) -> None:
    with Bench(tmp_path).open(board_bundle):
        pass
    bench = Bench(tmp_path, **other)
    with bench.open(board_bundle) as engine:
        right(board_bundle, engine)
    assert len(bench.builds) == 3


@pytest.mark.parametrize("foreign", [{"version": "10.16.1.11"}, {"gpu": Gpu(capability=(11, 0))}], ids=["v", "cc"])
def test_a_plan_of_another_place_under_our_name_is_refused_by_tensorrt_and_built_again(
    board_bundle: Bundle, tmp_path: Path, foreign: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, other = Bench(tmp_path / "here"), Bench(tmp_path / "there", **foreign)
    for each in (bench, other):
        with each.open(board_bundle):
            pass
    from dis2_runtime.engines.tensorrt.cache import Cache, Key

    cache, row = Cache(tmp_path / "here"), board_bundle.model("rgb", "fp16", "trt", "tensor")
    sha256 = board_bundle.manifest.files[row.file].sha256
    key = Key.of(sha256, "function", "10.3.0", bench.gpu.device, "", bench.settings.options)
    assert cache.find(key)
    theirs = other.trt.module.Builder(other.trt.logger)
    network = theirs.create_network()
    network._model = board_bundle.file(row.file).read_bytes()
    cache.keep(key, bytes(theirs.build_serialized_network(network, theirs.create_builder_config())))

    with bench.open(board_bundle) as engine:
        right(board_bundle, engine)
    assert len(bench.builds) == 4
    assert "is built again: TensorRT does not take the engine" in capsys.readouterr().err


def test_a_plan_that_computes_wrongly_never_flies(board_bundle: Bundle, bench: Bench) -> None:
    bench.faults.shifted = 2.0
    with pytest.raises(EngineError, match=r"no engine of .*rgb-ndsm-fp16.* can fly: .*agrees with its golden on 0\."):
        bench.open(board_bundle)
    assert bench.gpu.taken == 0
    assert not list(bench.settings.cache.glob("*.plan"))  # type: ignore[union-attr]


def test_a_plan_that_computes_wrongly_only_now_never_flies(board_bundle: Bundle, bench: Bench) -> None:
    with bench.open(board_bundle):
        pass
    bench.faults.shifted = 2.0
    with pytest.raises(Exception, match="agrees with its golden"):
        bench.open(board_bundle)


def test_a_wrong_golden_is_told_by_its_name(own_copy: Bundle, bench: Bench) -> None:
    golden = own_copy.manifest.goldens[0]
    arrays = read_golden(own_copy.file(golden.file), TASK)
    arrays["rgb/fp16/trt/mask"] = 1 - arrays["rgb/fp16/trt/mask"]
    write_golden(own_copy.file(golden.file), arrays)
    resealed = bundles.write(own_copy.path, own_copy.manifest)
    with pytest.raises(EngineError, match=r"no engine of models/rgb-fp16-trt-tensor\.onnx can fly"):
        bench.open(resealed)


def test_no_golden_no_flight(own_copy: Bundle, bench: Bench) -> None:
    bare = bundles.write(own_copy.path, dataclasses.replace(own_copy.manifest, goldens=()))
    (own_copy.path / "goldens").rename(own_copy.path.parent / "goldens")
    bare = bundles.write(own_copy.path, bare.manifest)
    with pytest.raises(EngineError, match="holds no golden"):
        bench.open(bare)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("[virtualMemoryBuffer] Cuda Runtime (out of memory)", "stop what else uses the GPU's memory"),
        ("Could not find any implementation for node conv_rgb", "raise the workspace"),
        ("something else", "dis2-edge check"),
    ],
)
def test_a_build_that_fails_says_what_tensorrt_said(board_bundle: Bundle, bench: Bench, said: str, mend: str) -> None:
    bench.faults.build_says = said
    with pytest.raises(EngineError) as raised:
        bench.open(board_bundle)
    assert said in str(raised.value)
    assert mend in str(raised.value)


def test_a_model_that_it_cannot_read_names_the_node(own_copy: Bundle, bench: Bench) -> None:
    import onnx

    row = own_copy.model("rgb", "fp16", "trt", "tensor")
    model = onnx.load(own_copy.file(row.file))
    model.graph.node[0].domain, model.graph.node[0].op_type = "elsewhere", "Strange"
    onnx.save(model, own_copy.file(row.file))
    resealed = bundles.write(own_copy.path, own_copy.manifest)
    with pytest.raises(EngineError, match="cannot read the model: Strange half_rgb: Plugin not found"):
        bench.open(resealed)


def test_a_plan_of_other_sensors_or_classes_is_refused(own_copy: Bundle, bench: Bench) -> None:
    row, other = (own_copy.model(name, "fp16", "trt", "tensor") for name in ("rgb", "ndsm"))
    shutil.copyfile(own_copy.file(other.file), own_copy.file(row.file))
    resealed = bundles.write(own_copy.path, own_copy.manifest)
    with pytest.raises(EngineError, match="has logits 1x2x24x48, ndsm 1x1x24x48; expected logits 1x2x24x48, rgb"):
        bench.open(resealed)
