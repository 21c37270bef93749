"""An engine's surroundings: a fake TensorRT, a GPU that is this computer, builds in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import frames_of
from trt_bundle import reference

from dis2_edge.bundle import Bundle
from dis2_runtime import engines
from dis2_runtime.engines.tensorrt import builder
from dis2_runtime.engines.tensorrt import engine as tensorrt
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.engine import Settings, TensorRtEngine
from dis2_runtime.engines.tensorrt.plugins import registered
from dis2_runtime.kernels.loading import Kernels
from dis2_runtime.selftest import prove, verify
from tests.runtime.pretend import fake_tensorrt
from tests.runtime.pretend.fake_tensorrt import Faults
from tests.runtime.pretend.host_gpu import Gpu


class Bench:
    """Counts builds; plans of one bench are those of another where the cache says so."""

    def __init__(self, cache: Path, version: str = "10.3.0", gpu: Gpu | None = None, **settings: Any) -> None:
        self.gpu, self.faults = gpu or Gpu(), Faults()
        self.open_gpu: Callable[[], Any] = lambda: self.gpu
        self.trt = Trt(fake_tensorrt.make(version, self.gpu, self.faults))
        self.settings = Settings(cache=cache, **settings)
        self.used: tuple[str, ...] = ()
        """Sources of kernels that are built for this computer."""
        self.images: dict[str, bytes] = {}
        """Kernels as a GPU loads them."""
        self.ptx: dict[str, bytes] = {}
        self.builds: list[bytes] = []

    def open(self, bundle: Bundle, precision: str = "fp16") -> TensorRtEngine:
        return TensorRtEngine(
            bundle,
            precision,
            self.settings,
            trt=self.trt,
            open_gpu=self.open_gpu,
            build=self.build,
            load=self.kernels,
        )

    def build(self, onnx: bytes, options: Any, bounds: Any, timings: Path, kernels: Any, tell: Any) -> bytes:
        self.builds.append(onnx)
        if not kernels:
            return builder.build(self.trt, onnx, options, timings)
        with registered(self.trt, self.gpu, self.kernels(self.gpu)):
            return builder.build(self.trt, onnx, options, timings)

    def kernels(self, driver: Any, *_: Any) -> Kernels:
        modules = {name: driver.built(name) for name in self.used}
        loaded = {name: driver.module(image) for name, image in self.images.items()}
        return Kernels({**modules, **loaded}, ptx=self.ptx, folders=(Path("kernels"),))


def installed(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Bench:
    """From now on TensorRT is here, with the bench's GPU: whatever opens an engine opens it there."""
    for module in (engines, verify, prove):
        monkeypatch.setattr(module, "can_tensorrt", lambda: True)
    real = tensorrt.TensorRtEngine

    def opened(bundle: Bundle, precision: str, *_: Any) -> TensorRtEngine:
        return real(
            bundle,
            precision,
            bench.settings,
            trt=bench.trt,
            open_gpu=lambda: bench.gpu,
            build=bench.build,
            load=bench.kernels,
        )

    monkeypatch.setattr(tensorrt, "TensorRtEngine", opened)
    return bench


def right(bundle: Bundle, engine: Any, seed: int = 5, precision: str = "fp16") -> None:
    """Every scenario's answer is what ONNX Runtime says of its file."""
    frames = frames_of(bundle.manifest.task, seed)
    for scenario in engine.scenarios:
        row = bundle.model(scenario, precision, "trt", "tensor")
        expected = reference(bundle.file(row.file), bundle.manifest.task, scenario, frames)
        answer = engine.infer(scenario, frames)
        assert np.array_equal(answer.mask, expected.mask), scenario
        assert np.abs(answer.confidence.astype(int) - expected.confidence).max() <= 1, scenario
