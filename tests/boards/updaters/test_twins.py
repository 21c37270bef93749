"""What runs on a board without dis2-edge says some things again: held equal to what `dis2-edge deploy` says."""

from __future__ import annotations

import dataclasses

import pytest

from dis2_boards.agent.proving import ENGINES
from dis2_boards.agent.services import KINDS
from dis2_boards.deployment.changing import MIN_TICKS
from dis2_boards.deployment.order import Order
from dis2_boards.packing.locks import parse_lock
from dis2_boards.updaters import install, payload, settings
from dis2_boards.updaters.messages import StoppedError
from dis2_edge.engine_names import WANTED
from dis2_edge.errors import BundleError

ORDER = {row.name: row.default for row in dataclasses.fields(Order)}
HASH = "0123456789abcdef" * 4
LINE = f"{HASH}  12  dis2_edge-0.1.0+3f2a-py3-none-any.whl\n"


def test_ways_to_start_and_engines_have_the_same_names() -> None:
    assert settings.SERVICES == KINDS
    assert set(settings.ENGINES) == set(ENGINES) == set(WANTED)


def test_a_board_that_says_nothing_is_treated_as_by_deploy() -> None:
    given = settings.read({"DIS2_EDGE_ROOT": "/data"})
    assert (given.wait_s, given.settle_s, given.limit_s) == (ORDER["wait_s"], ORDER["settle_s"], ORDER["limit_s"])
    assert (given.engine, install.MAX_DROP, install.MIN_TICKS) == (ORDER["engine"], ORDER["max_drop"], MIN_TICKS)


def test_a_lock_is_read_alike() -> None:
    wheels = parse_lock(LINE.encode(), "it", "cp311-aarch64")
    assert payload.rows_of(LINE.encode()) == [[wheel.filename, wheel.sha256, wheel.bytes] for wheel in wheels]


@pytest.mark.parametrize("line", [LINE.replace("  12", " 12"), LINE.replace("0123", "012G"), LINE.replace(".whl", "")])
def test_a_line_that_is_none_is_refused_by_both(line: str) -> None:
    with pytest.raises(BundleError):
        parse_lock(line.encode(), "it", "cp311-aarch64")
    with pytest.raises(StoppedError):
        payload.rows_of(line.encode())
