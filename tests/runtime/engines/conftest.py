"""Bundles with `trt` rows, made once, and an engine on a fake TensorRT and a GPU that is this computer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from trt_bundle import make_trt

from dis2_edge.bundle import Bundle


@pytest.fixture(scope="session")
def board_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_trt(tmp_path_factory.mktemp("board") / "bundle")


@pytest.fixture(scope="session")
def attentive(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its files hold FusionAttention with a body."""
    return make_trt(tmp_path_factory.mktemp("attentive") / "bundle", attention=True)
