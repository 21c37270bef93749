"""The board's own Python path, frame to mask: TensorRT's engine over the real pycuda and the real cuda-bindings.

What is not real is TensorRT, which computes with ONNX Runtime when its turn in the stream has come, and the GPU.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import frames_of
from trt_bundle import reference

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_runtime.driver import Driver
from tests.runtime.kernels.shim.building import build, compiler
from tests.runtime.pretend.child import Witness
from tests.runtime.pretend.marking import on_pretend_gpu

Expected = dict[str, Any]
COUNTED = ("cuGraphLaunch", "kernel")


@pytest.fixture
def flight(board_bundle: Bundle, tmp_path: Path) -> Expected:
    """All that the child needs: where the bundle lies, frames, and the answers of the files themselves."""
    if compiler() is None:
        pytest.skip("no g++ here: apt-get install g++")
    task = board_bundle.manifest.task
    frames = frames_of(task, 5)
    rows = {scenario: board_bundle.model(scenario, "fp16", "trt", "tensor") for scenario in task.scenarios}
    answers = {name: reference(board_bundle.file(row.file), task, name, frames) for name, row in rows.items()}
    kernels = {name: str(build(name)) for name in ("prepare", "decide")}
    return {"bundle": board_bundle.path, "cache": tmp_path, "frames": frames, "answers": answers, "kernels": kernels}


def _flies(package: str, flight: Expected) -> None:
    """Open in this thread and infer in another, as a flight does."""
    with _bench(package, flight).open(bundles.read(flight["bundle"])) as engine:
        problems: list[BaseException] = []
        before = [Witness().calls(name) for name in COUNTED]
        thread = threading.Thread(target=_infer, args=(engine, flight, problems))
        thread.start()
        thread.join()
        launches, kernels = (Witness().calls(name) - had for name, had in zip(COUNTED, before, strict=True))
    assert not problems, problems
    assert launches == 2 * len(flight["answers"]), "a tick is not one graph"
    assert kernels >= 2 * launches, "prepare or decide stood aside"


def _bench(package: str, flight: Expected) -> Any:
    from dis2_runtime.driver.opening import open_driver
    from dis2_runtime.engines.tensorrt import choosing
    from dis2_runtime.kernels.loading import Kernels
    from tests.runtime.engines.bench import Bench
    from tests.runtime.pretend.host_work import HostWork

    def open_gpu() -> Driver:
        driver = open_driver(package)
        work.device = driver.device
        return driver

    def load(driver: Driver, *_: object) -> Kernels:
        return Kernels({name: driver.module(Path(file).read_bytes()) for name, file in flight["kernels"].items()})

    choosing.TIMED = choosing.WARM_UP = 1
    work: Any = HostWork()
    bench: Any = Bench(flight["cache"], gpu=work)
    bench.open_gpu, bench.kernels = open_gpu, load
    return bench


def _infer(engine: Any, flight: Expected, problems: list[BaseException]) -> None:
    """Each scenario twice: what the first left behind must not matter."""
    try:
        for scenario, expected in (*flight["answers"].items(), *flight["answers"].items()):
            answer = engine.infer(scenario, flight["frames"])
            assert np.array_equal(answer.mask, expected.mask), scenario
            assert np.abs(answer.confidence.astype(int) - expected.confidence).max() <= 1, scenario
    except BaseException as error:
        problems.append(error)


@on_pretend_gpu(gpu="cc=8.7;integrated=1")
def test_masks_of_an_orin_are_those_of_the_files(package: str, flight: Expected) -> None:
    _flies(package, flight)


@on_pretend_gpu()
def test_the_thread_that_opened_may_end_before_the_engine(package: str, flight: Expected) -> None:
    opened: list[Any] = []
    bench = _bench(package, flight)
    thread = threading.Thread(target=lambda: opened.append(bench.open(bundles.read(flight["bundle"]))))
    thread.start()
    thread.join()
    problems: list[BaseException] = []
    with opened.pop() as engine:
        _infer(engine, flight, problems)
    assert not problems, problems


@on_pretend_gpu(gpu="cc=8.7;integrated=0")
def test_masks_of_a_card_with_memory_of_its_own_are_too(package: str, flight: Expected) -> None:
    _flies(package, flight)
