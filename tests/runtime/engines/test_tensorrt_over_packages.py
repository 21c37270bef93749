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
from tests.runtime.kernels.shim.building import build, compiler
from tests.runtime.pretend.marking import on_pretend_gpu

Expected = dict[str, Any]


@pytest.fixture
def flight(board_bundle: Bundle, tmp_path: Path) -> Expected:
    """All that the child needs: where the bundle lies, frames, and the answers of the files themselves."""
    if compiler() is None:
        pytest.skip("no g++ here: apt-get install g++")
    task = board_bundle.manifest.task
    frames = frames_of(task, 5)
    rows = {scenario: board_bundle.model(scenario, "fp16", "trt", "tensor") for scenario in task.scenarios}
    answers = {name: reference(board_bundle.file(row.file), task, name, frames) for name, row in rows.items()}
    kernels = {name: str(build(name)) for name in ("decide",)}
    return {"bundle": board_bundle.path, "cache": tmp_path, "frames": frames, "answers": answers, "kernels": kernels}


def _flies(package: str, flight: Expected) -> None:
    """Open in this thread and infer in another, as a flight does; twice, so that nothing of the first is left."""
    from dis2_runtime.driver.opening import open_driver
    from dis2_runtime.engines.tensorrt import choosing
    from dis2_runtime.engines.tensorrt.engine import TensorRtEngine
    from tests.runtime.engines.bench import Bench
    from tests.runtime.pretend.host_work import HostWork

    choosing.TIMED = choosing.WARM_UP = 1
    bench: Any = Bench(flight["cache"], gpu=HostWork())
    bench.images = {name: Path(file).read_bytes() for name, file in flight["kernels"].items()}
    opened = {"trt": bench.trt, "build": bench.build, "load": bench.kernels}
    problems: list[BaseException] = []

    def infer(engine: TensorRtEngine) -> None:
        try:
            for scenario, expected in (*flight["answers"].items(), *flight["answers"].items()):
                answer = engine.infer(scenario, flight["frames"])
                assert np.array_equal(answer.mask, expected.mask), scenario
                assert np.abs(answer.confidence.astype(int) - expected.confidence).max() <= 1, scenario
        except BaseException as error:
            problems.append(error)

    bundle = bundles.read(flight["bundle"])
    with TensorRtEngine(bundle, "fp16", bench.settings, open_gpu=lambda: open_driver(package), **opened) as engine:
        thread = threading.Thread(target=infer, args=(engine,))
        thread.start()
        thread.join()
        graphs = [tick._graph for tick in engine._ticks.values()]
    assert not problems, problems
    assert all(graphs), "a scenario runs without a graph"


@on_pretend_gpu(gpu="cc=8.7;integrated=1")
def test_masks_of_an_orin_are_those_of_the_files(package: str, flight: Expected) -> None:
    _flies(package, flight)


@on_pretend_gpu(gpu="cc=8.7;integrated=0")
def test_masks_of_a_card_with_memory_of_its_own_are_too(package: str, flight: Expected) -> None:
    _flies(package, flight)
