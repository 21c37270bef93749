"""The whole way, frame to mask, under a TensorRT that computes; and everything that may go wrong on it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench
from tiny_bundle import frames_of
from trt_bundle import TASK, make_trt, reference

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_edge.goldens import read_golden, write_golden
from dis2_runtime.engine import Answer
from tests.runtime.kernels.shim.building import compiler
from tests.runtime.pretend.host_gpu import Gpu
from tests.runtime.pretend.tensorrt_api import ALL


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from dis2_runtime.engines.tensorrt import choosing

    monkeypatch.setattr(choosing, "TIMED", 2)
    monkeypatch.setattr(choosing, "WARM_UP", 1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "plans")


@pytest.fixture
def own_copy(board_bundle: Bundle, tmp_path: Path) -> Bundle:
    return bundles.read(shutil.copytree(board_bundle.path, tmp_path / "bundle"))


def right(bundle: Bundle, engine: Any, seed: int = 5, precision: str = "fp16") -> None:
    """Every scenario's answer is what ONNX Runtime says of its file."""
    frames = frames_of(bundle.manifest.task, seed)
    for scenario in engine.scenarios:
        row = bundle.model(scenario, precision, "trt", "tensor")
        expected = reference(bundle.file(row.file), bundle.manifest.task, scenario, frames)
        answer = engine.infer(scenario, frames)
        assert np.array_equal(answer.mask, expected.mask), scenario
        assert np.abs(answer.confidence.astype(int) - expected.confidence).max() <= 1, scenario


@pytest.mark.parametrize("version", ALL)
def test_masks_are_those_of_the_file(board_bundle: Bundle, tmp_path: Path, version: str) -> None:
    bench = Bench(tmp_path / "plans", version)
    with bench.open(board_bundle) as engine:
        assert engine.scenarios == ("rgb+ndsm", "rgb", "ndsm")
        right(board_bundle, engine)
        right(board_bundle, engine, seed=6)  # what the first frames left behind does no harm
    assert bench.gpu.taken == 0
    assert all(built["typed"] for built in bench.faults.built)
    assert {built["pools"]["WORKSPACE"] for built in bench.faults.built} == {1024 << 20}


@pytest.mark.parametrize("integrated", [True, False])
def test_mapped_memory_and_copies_answer_alike(board_bundle: Bundle, tmp_path: Path, integrated: bool) -> None:
    with Bench(tmp_path, gpu=Gpu(integrated=integrated)).open(board_bundle) as engine:
        right(board_bundle, engine)


@pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")
@pytest.mark.parametrize("integrated", [True, False])
@pytest.mark.parametrize("used", [("decide",), ("prepare",), ("decide", "prepare")], ids="+".join)
def test_kernels_prepare_and_decide_where_there_are_some(
    board_bundle: Bundle, tmp_path: Path, used: tuple[str, ...], integrated: bool
) -> None:
    bench = Bench(tmp_path, gpu=Gpu(integrated=integrated))
    bench.used = used
    with bench.open(board_bundle) as engine:
        before = bench.gpu.launched
        right(board_bundle, engine)
        assert bench.gpu.launched == before + 3 * ("decide" in used) + 4 * ("prepare" in used)
    assert bench.gpu.taken == 0


def test_a_tick_is_one_graph(board_bundle: Bundle, bench: Bench) -> None:
    with bench.open(board_bundle) as engine:
        graphs = [tick._graph for tick in engine._ticks.values()]  # type: ignore[attr-defined]
        before = [graph.launches for graph in graphs]
        right(board_bundle, engine)
        assert [graph.launches for graph in graphs] == [count + 1 for count in before]


def test_without_graphs_it_flies_and_says_so(
    board_bundle: Bundle, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.gpu.captures = False
    with bench.open(board_bundle) as engine:
        right(board_bundle, engine)
    assert capsys.readouterr().err.count("flying without CUDA graphs: this driver captures nothing") == 1


def test_answers_go_where_they_are_wanted(board_bundle: Bundle, bench: Bench) -> None:
    frames, into = frames_of(TASK), Answer.empty(*TASK.grid)
    with bench.open(board_bundle) as engine:
        assert engine.infer("rgb", frames, into) is into
        with pytest.raises(EngineError, match="a buffer is"):
            engine.infer("rgb", frames, Answer.empty(3, 3))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({}, "no frame for input 'rgb'; expected 24x48x3 uint8"),
        ({"rgb": np.zeros((24, 47, 3), np.uint8)}, "input 'rgb' is 24x47x3 uint8"),
        ({"rgb": np.zeros((24, 48, 3), np.float32)}, "input 'rgb' is 24x48x3 float32"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(board_bundle: Bundle, bench: Bench, frames: Any, message: str) -> None:
    with bench.open(board_bundle) as engine, pytest.raises(EngineError, match=message):
        engine.infer("rgb", frames)


def test_an_unknown_scenario_and_precision_say_what_there_is(board_bundle: Bundle, bench: Bench) -> None:
    with bench.open(board_bundle) as engine, pytest.raises(EngineError, match="did you mean 'rgb'"):
        engine.infer("rbg", frames_of(TASK))
    with pytest.raises(EngineError, match="holds no int8 model for TensorRT; try --precision fp16"):
        bench.open(board_bundle, "int8")


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


def test_no_memory_for_a_context_or_a_buffer_is_an_engine_error(board_bundle: Bundle, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.faults.no_context = True
    with pytest.raises(EngineError, match="no memory for running"):
        bench.open(board_bundle)
    small = Bench(tmp_path / "small", gpu=Gpu(room=9000))
    with pytest.raises(EngineError, match="bytes of the device's memory"):
        small.open(board_bundle)
    assert small.gpu.taken == 0


def test_an_inference_that_does_not_start_is_an_engine_error_and_the_next_one_may_answer(
    board_bundle: Bundle, bench: Bench
) -> None:
    bench.gpu.captures = False
    with bench.open(board_bundle) as engine:
        bench.faults.run_says = "[executionContext.cpp] illegal memory access"
        with pytest.raises(EngineError, match=r"failed while running.*illegal memory access"):
            engine.infer("rgb", frames_of(TASK))
        bench.faults.run_says = ""
        right(board_bundle, engine)


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


def test_one_pixel_is_a_grid_too(tmp_path: Path) -> None:
    from tiny_bundle import NDSM, RGB, task_of

    bundle = make_trt(tmp_path / "bundle", task_of(RGB, NDSM, grid=(1, 1)), fallback=False)
    with Bench(tmp_path / "plans").open(bundle) as engine:
        right(bundle, engine)


def test_layers_have_times(board_bundle: Bundle, bench: Bench) -> None:
    with bench.open(board_bundle) as engine:
        layers = engine.profile("rgb")  # type: ignore[attr-defined]
        right(board_bundle, engine)
    assert [layer.name for layer in layers] == ["half_rgb", "conv_rgb", "sum", "single"]
    assert all(layer.ms > 0 for layer in layers)
