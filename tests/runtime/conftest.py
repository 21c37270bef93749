"""Bundles that many runtime tests share: made once a session, only read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_bundle import HEAT, NDSM, RGB, make_bundle, task_of

from dis2_edge.bundle import Bundle
from tests.runtime.pretend.marking import pretend_gpu  # noqa: F401  a fixture


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Camera and height."""
    return make_bundle(tmp_path_factory.mktemp("two") / "bundle", task_of(RGB, NDSM))


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Camera, height and thermal camera."""
    return make_bundle(tmp_path_factory.mktemp("three") / "bundle", task_of(RGB, NDSM, HEAT))


@pytest.fixture(scope="session")
def flying(request: pytest.FixtureRequest) -> Bundle:
    """The bundle of that name: `two` and `three` are linear classifiers, `pair` (tests/conftest.py) is a CSK-Net."""
    found: Bundle = request.getfixturevalue(request.param)
    return found
