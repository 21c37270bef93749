"""The board's Python path under newer TensorRTs, without kernels, at one pixel, and on a device that fails.

Real pycuda and cuda-bindings on the pretend GPU; test_tensorrt_over_packages.py has the plain flight.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import NDSM, RGB, frames_of, task_of
from trt_bundle import make_trt, reference

from dis2_edge import bundle as bundles
from dis2_edge.errors import EngineError
from dis2_runtime.driver import DRIVERS
from dis2_runtime.driver.opening import open_driver
from dis2_runtime.engines import open_engine
from dis2_runtime.engines.tensorrt import builder, choosing
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.engine import Settings, TensorRtEngine
from dis2_runtime.guard import EngineGuard, Rung
from dis2_runtime.kernels.loading import Kernels
from tests.runtime.kernels.shim.building import build as build_kernel
from tests.runtime.pretend import fake_tensorrt
from tests.runtime.pretend.host_work import HostWork
from tests.runtime.pretend.kit import Worker, lacking, pretend_environment
from tests.runtime.pretend.make_tensorrt import MEND, is_made

HERE = (Path(__file__).parents[1], Path(__file__).parent)
"""Where test bundles are made."""
ORIN = "cc=8.7;sms=8;integrated=1;name=Orin"


def opened(name: str, bundle: Any, version: str, sources: tuple[str, ...], cache: str) -> TensorRtEngine:
    """An engine whose every part but TensorRT is that of the board."""
    choosing.TIMED, choosing.WARM_UP = 2, 1
    driver, work = open_driver(name), HostWork()
    work.device = driver.device  # type: ignore[attr-defined]
    trt = Trt(fake_tensorrt.make(version, work))

    def build(onnx: bytes, options: Any, bounds: Any, timings: Any, kernels: Any, tell: Any) -> bytes:
        return builder.build(trt, onnx, options, timings)

    def load(driver: Any, folders: Any, compile_into: Any) -> Kernels:
        return Kernels({source: driver.module(build_kernel(source).read_bytes()) for source in sources})

    settings = Settings(cache=Path(cache))
    return TensorRtEngine(bundle, "fp16", settings, trt=trt, open_gpu=lambda: driver, build=build, load=load)


def flown(name: str, path: str, version: str, sources: tuple[str, ...], cache: str) -> tuple[list[float], bool]:
    """Share of right pixels a scenario and frame, and whether every tick was a graph."""
    bundle = bundles.read(Path(path))
    task, shares = bundle.manifest.task, []
    with opened(name, bundle, version, sources, cache) as engine:
        for seed in (3, 4):
            frames = frames_of(task, seed)
            for scenario in engine.scenarios:
                file = bundle.file(bundle.model(scenario, "fp16", "trt", "tensor").file)
                right = reference(file, task, scenario, frames)
                answer = engine.infer(scenario, frames)
                near = np.abs(answer.confidence.astype(int) - right.confidence.astype(int)) <= 1
                shares.append(float(np.mean((answer.mask == right.mask) & near)))
        graphs = all(tick._graph is not None for tick in engine._ticks.values())
    return shares, graphs


def refused(name: str, path: str, version: str, cache: str) -> str:
    """The EngineError with which an engine does not open, or with which its first tick fails."""
    bundle = bundles.read(Path(path))
    try:
        with opened(name, bundle, version, ("decide",), cache) as engine:
            engine.infer("rgb", frames_of(bundle.manifest.task))
    except EngineError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trt(tmp_path_factory.mktemp("whole") / "bundle").path


@pytest.fixture(scope="module")
def on() -> Iterator[Callable[..., Any]]:
    """Runs a function in a child with the pretend GPU, one child a package: importing takes the most time."""
    with contextlib.ExitStack() as stack:
        workers: dict[str, Worker] = {}

        def run(function: Any, name: str, *arguments: Any, gpu: str = ORIN, **more: Any) -> Any:
            if name not in workers:
                environment = pretend_environment(name)
                environment["PYTHONPATH"] += "".join(os.pathsep + str(path) for path in HERE)
                workers[name] = stack.enter_context(Worker(environment))
            return workers[name].call(function, name, *arguments, gpu=gpu, **more)

        yield run


def need(name: str, version: str = "10.3.0") -> None:
    if not is_made(version):
        pytest.skip(MEND)
    if why := lacking(name):
        pytest.skip(why)


@pytest.mark.parametrize("version", ["10.16.1.11", "11.4.0.106"])
def test_masks_are_the_references_under_newer_versions(on: Any, board: Path, tmp_path: Path, version: str) -> None:
    need("pycuda", version)
    shares, graphs = on(flown, "pycuda", str(board), version, ("decide", "prepare"), str(tmp_path))
    assert min(shares) > 0.998
    assert graphs


def test_without_kernels_numpy_stands_in(on: Any, board: Path, tmp_path: Path) -> None:
    need("pycuda")
    shares, graphs = on(flown, "pycuda", str(board), "10.3.0", (), str(tmp_path))
    assert min(shares) == 1
    assert graphs


def test_one_pixel_flies(on: Any, tmp_path: Path) -> None:
    need("pycuda")
    bundle = make_trt(tmp_path / "bundle", task_of(RGB, NDSM, grid=(1, 1)), fallback=False)
    arguments = ("pycuda", str(bundle.path), "10.3.0", ("decide", "prepare"), str(tmp_path / "plans"))
    shares, _ = on(flown, *arguments)
    assert min(shares) == 1


def closed_elsewhere(name: str, path: str, cache: str) -> list[str]:
    """Open here, close in another thread, as the guard does with an engine that it reloads."""
    engine = opened(name, bundles.read(Path(path)), "10.3.0", (), cache)
    problems: list[str] = []

    def close() -> None:
        try:
            engine.__exit__(None, None, None)
        except Exception as error:
            problems.append(repr(error))

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    return problems


@pytest.mark.parametrize("name", DRIVERS)
def test_another_thread_may_close_it(on: Any, board: Path, tmp_path: Path, name: str) -> None:
    need(name)
    assert on(closed_elsewhere, name, str(board), str(tmp_path)) == []


def handed_over(name: str, path: str, cache: str) -> list[str]:
    """What answers before and after the GPU fails for good, through the guard."""
    bundle = bundles.read(Path(path))
    rungs = [
        Rung("gpu", lambda: opened(name, bundle, "10.3.0", ("decide",), cache)),
        Rung("processor", lambda: open_engine(bundle, "int8", 1, "onnxruntime")),
    ]
    told, frames = [], frames_of(bundle.manifest.task)
    with EngineGuard(rungs) as guard:
        for _ in range(2):
            guard.infer("rgb", frames)
            told.append(guard.describe("rgb").split(",")[0])
            ctypes.CDLL("libcuda.so.1").pretend_break(719)
    return told


@pytest.mark.parametrize("name", DRIVERS)
def test_a_gpu_that_is_lost_in_flight_ends_no_flight(on: Any, board: Path, tmp_path: Path, name: str) -> None:
    need(name)
    assert on(handed_over, name, str(board), str(tmp_path), clean=False) == ["gpu", "processor"]


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(
    ("gpu", "fail", "words"),
    [("memory=8192", "", "memory"), ("", "kernel:5=700", "illegal"), ("", "cuMemHostAlloc:2=2", "memory")],
)
def test_what_fails_on_the_device_is_an_engine_error(
    on: Any, board: Path, tmp_path: Path, name: str, gpu: str, fail: str, words: str
) -> None:
    need(name)
    sticks = fail.startswith("kernel")  # after such a fault nothing can be given back
    told = on(refused, name, str(board), "10.3.0", str(tmp_path), gpu=f"{ORIN};{gpu}", fail=fail, clean=not sticks)
    assert re.search(words, told), told
