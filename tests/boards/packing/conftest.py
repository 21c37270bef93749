"""A stock of small wheels, a cache of its own, and a run to pack; a stock of another test is never met."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_stock import make_stock

from dis2_boards.packing import pins


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def stock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with every wheel that the pins name, which are small ones for as long as the test runs."""
    folder = tmp_path_factory.mktemp("stock") / "wheels"
    monkeypatch.setattr(pins, "FILE", make_stock(folder))
    pins.pins.cache_clear()
    yield folder
    pins.pins.cache_clear()
