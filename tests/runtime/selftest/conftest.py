"""Bundles with files for TensorRT, and a bench that stands for it, as the engines' tests have them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from bench import Bench, installed
from trt_bundle import make_trt

from dis2_edge.bundle import Bundle


@pytest.fixture(scope="session")
def jetson_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """FP16 and INT8 for TensorRT, INT8 for the processor."""
    return make_trt(tmp_path_factory.mktemp("jetson") / "bundle", precisions=("fp16", "int8"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """TensorRT is here."""
    from dis2_runtime.engines.tensorrt import choosing

    monkeypatch.setattr(choosing, "TIMED", 2)
    monkeypatch.setattr(choosing, "WARM_UP", 1)
    return installed(monkeypatch, Bench(tmp_path / "plans"))
