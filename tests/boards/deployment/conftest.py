"""What most tests of a deploy begin with: a bundle and its wheels, a made-up board, an order from one to the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_board import FakeBoard
from shipped import make_shipped

from dis2_boards.deployment.order import Order
from dis2_edge.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_shipped(tmp_path / "bundle", tmp_path / "wheels")


@pytest.fixture
def board() -> FakeBoard:
    made = FakeBoard()
    made.hello["trusted"] = []
    return made


@pytest.fixture
def order(bundle: Bundle, board: FakeBoard, tmp_path: Path) -> Order:
    return Order(source=bundle.path, target=board, wheels=tmp_path / "wheels", words=("bundle", *board.words))
