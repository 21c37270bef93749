"""The whole way on one board: placed, installed by the real pip, proven, flown as a process, judged, rolled back."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dis2_boards.agent.places import Places
from dis2_boards.agent.services.process import ProcessService
from tests.boards.agent.standin import deliver, version
from tests.boards.agent.talking import AgentError, Local


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, copied_environments: None) -> Iterator[Path]:
    """One board for all tests here: each leaves it as it must always be."""
    root = tmp_path_factory.mktemp("board") / "root"
    yield root
    ProcessService(Places(root)).stop()


def flying(root: Path) -> str:
    return os.path.basename(os.readlink(root / "current"))


def test_a_board_goes_from_nothing_to_a_model_that_flies_and_back(board: Path) -> None:
    first, second, third = version("first"), version("second"), version("third", run="restart")
    with Local(board) as talk:
        talk.ask("lock", who="tester")
        deliver(talk, first)
        assert {"label": "build", "done": 2, "total": 2} in talk.told
        talk.ask("service", kind="process", sources={"rgb": "folder:x"})
        assert talk.ask("switch", id=first.id) == {"before": None}
        settled = talk.ask("settle", wait_s=20, min_ticks=5, watch_s=0.2)
        assert settled["kept"], settled
        assert flying(board) == first.id
        status = talk.ask("status")
        assert (status["current"], status["previous"], status["pending"]) == (first.id, None, None)
        assert status["healthy"] is True
        assert status["telemetry"] == {"power_w": 7.0}
        assert status["versions"][0]["chosen"] == {"engine": "onnxruntime", "precision": "int8"}
    assert "'--source', 'rgb=folder:x'" in (board / "service.out").read_text()

    with Local(board) as talk:
        assert talk.facts["current"] == first.id
        deliver(talk, second)
        assert talk.ask("switch", id=second.id) == {"before": first.id}
        assert talk.ask("settle", wait_s=20, min_ticks=5, watch_s=0.2)["kept"]
        assert (board / "state" / f"summary-{first.id}").read_text() == "ended well"
        deliver(talk, third)
        talk.ask("switch", id=third.id)
        settled = talk.ask("settle", wait_s=10, min_ticks=5, watch_s=2)
        assert not settled["kept"]
        assert flying(board) == second.id
        wait_for_life(talk, second.id)
        assert talk.ask("rollback") == {"before": second.id, "current": first.id}
        status = talk.ask("status")
        assert (status["current"], status["previous"]) == (first.id, second.id)
        wait_for_life(talk, first.id)
        with pytest.raises(AgentError, match="flies already"):
            talk.ask("rollback", to=first.id)
    log = (board / "deploy.log").read_text()
    assert "tester" in log
    assert f"rollback  {second.id} -> {first.id}" in log


def test_a_workstation_that_leaves_before_the_judgement_leaves_the_old_version(board: Path) -> None:
    fourth = version("fourth")
    before = flying(board)
    with Local(board) as talk:
        deliver(talk, fourth)
        talk.ask("switch", id=fourth.id)
        assert flying(board) == fourth.id
    assert flying(board) == before
    with Local(board) as talk:
        wait_for_life(talk, before)
    assert not (board / "pending.json").exists()


@pytest.mark.parametrize(
    ("run", "why"), [("crash", "ended"), ("silent", "told nothing"), ("stuck", "0 of 5 ticks")], ids=lambda word: word
)
def test_a_version_that_does_not_fly_well_is_not_kept(board: Path, run: str, why: str) -> None:
    fake, before = version(f"bad {run}", run=run), flying(board)
    with Local(board) as talk:
        deliver(talk, fake)
        talk.ask("switch", id=fake.id)
        settled = talk.ask("settle", wait_s=2, min_ticks=5, watch_s=0.1)
        assert not settled["kept"]
        assert why in settled["why"]
        assert flying(board) == before
        wait_for_life(talk, before)
        talk.ask("prune", keep=0)
        assert fake.id not in [row["id"] for row in talk.ask("status")["versions"]]


def wait_for_life(talk: Local, name: str) -> None:
    end = time.monotonic() + 30
    while not ((status := talk.ask("status"))["healthy"] and status["live"]["bundle"] == name):
        assert time.monotonic() < end, status
        time.sleep(0.05)
