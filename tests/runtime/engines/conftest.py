"""Bundles with `trt` rows, made once, and an engine on a fake TensorRT and a GPU that is this computer."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bench import Bench
from trt_bundle import make_trt

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle


@pytest.fixture(scope="session")
def board_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_trt(tmp_path_factory.mktemp("board") / "bundle")


@pytest.fixture(scope="session")
def attentive(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its files hold FusionAttention with a body."""
    return make_trt(tmp_path_factory.mktemp("attentive") / "bundle", attention=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "plans")


@pytest.fixture
def own_copy(board_bundle: Bundle, tmp_path: Path) -> Bundle:
    return bundles.read(shutil.copytree(board_bundle.path, tmp_path / "bundle"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing a tick is not what these tests are about."""
    from dis2_runtime.engines.tensorrt import choosing

    monkeypatch.setattr(choosing, "TIMED", 2)
    monkeypatch.setattr(choosing, "WARM_UP", 1)
