"""`--unless-flying`: a board that flies the bundle is left alone, unless it is unwell or in the middle of a switch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from fake_board import FakeBoard
from shipped import make_shipped

from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.telling import Spoken


@pytest.mark.parametrize(
    ("said", "only_new", "touched"),
    [
        ({"healthy": None}, True, False),
        ({"healthy": True}, True, False),
        ({"healthy": False}, True, True),
        ({"healthy": True, "pending": "b" * 12}, True, True),
        ({"healthy": None}, False, True),
        ({"healthy": True}, False, True),
    ],
)
def test_what_is_touched(tmp_path: Path, said: dict[str, Any], only_new: bool, touched: bool) -> None:
    """With a service asked for, so that without the word everything is done again."""
    board, bundle = FakeBoard(), make_shipped(tmp_path / "bundle", tmp_path / "wheels")
    board.hello["trusted"] = []
    order = Order(source=bundle.path, target=board, wheels=tmp_path / "wheels", service="process", only_new=only_new)
    deploy(dataclasses.replace(order, only_new=False), Spoken())
    before = len(board.verbs)
    state = {"current": bundle.id, "pending": None, "why": "", "free_bytes": 10**12}
    board.faults["status"] = {"answer": {**state, **said}}
    board.faults["fetch"] = {"error": {"found": "no proof.json", "expected": "", "mend": ""}}
    done = deploy(order, Spoken())
    assert done.already is not touched
    assert ("place" in board.verbs[before:]) is touched
