"""What tests of scenes share: the miniature bundle of the runtime's tests, and scenes as GeoTIFFs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "runtime"))

from ground_truth import TASK
from tiny_bundle import make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Camera and height, windows of 32x48 pixels, every pixel on its own: what it must answer is known."""
    return make_bundle(tmp_path_factory.mktemp("scenes") / "bundle", TASK).path
