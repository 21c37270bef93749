"""The whole way, frame to mask, under a TensorRT that computes: ticks, buffers, graphs, and what fails in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, right
from tiny_bundle import frames_of
from trt_bundle import TASK, make_trt

from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_runtime.engine import Answer
from tests.runtime.kernels.shim.building import compiler
from tests.runtime.pretend.host_gpu import Gpu
from tests.runtime.pretend.tensorrt_api import ALL


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
