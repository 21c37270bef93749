"""The real ansible-core does what the stand-in does: order, waves, stop. Few runs, as each start takes seconds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.boards.fleet.a_fleet import AFleet

pytestmark = pytest.mark.skipif(find_spec("ansible") is None, reason="ansible-core is not installed")


def test_waves_go_in_order_and_some_may_fail(tmp_path: Path, bundle: Path) -> None:
    head = 'at_most_failed = 1\nwaves = [["b1", "b2", "b3"], ["b4"]]'
    fleet = AFleet.made(tmp_path, bundle, count=5, head=head)
    fleet.mode("b3", "roll back")
    fleet.mode("b1", "wait")
    (tmp_path / "b1" / "go on").symlink_to(tmp_path / "b2" / "words")
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == ["kept", "kept", "kept", "rolled back", "kept"]
    assert fleet.diary()[:2] == ["begin b0", "end b0"]
    assert fleet.diary()[-2:] == ["begin b4", "end b4"]


def test_the_first_wave_that_failed_is_the_last(tmp_path: Path, bundle: Path) -> None:
    head = 'canary = "b1"\nat_most_failed = 1\nwaves = [["b0", "b2", "b3"], ["b4"]]'
    fleet = AFleet.made(tmp_path, bundle, count=5, head=head)
    fleet.mode("b0", "refuse")
    fleet.mode("b3", "die")
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == ["kept", "failed", "kept", "failed", "not tried"]
    assert fleet.flies()["b4"] == "old"
