"""The update module through Mender's states: the good way, each failure, power that goes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dis2_edge.bundle import Bundle
from tests.boards.updaters.on_board import OLD, STATES, OnBoard


def test_the_good_way_ends_with_the_new_version(tmp_path: Path, archive: Path, packed: Bundle) -> None:
    board = OnBoard.made(tmp_path, archive)
    told = [board.mender(state) for state in STATES]
    assert [done.returncode for done in told] == [0, 0, 0, 0], told
    now = board.now()
    assert (now["current"], now["previous"], now["pending"]) == (packed.id, OLD, None)
    assert now["wheels"] == ["dis2_edge-0.1.0-py3-none-any.whl", "numpy-2.2.6-py3-none-any.whl"]
    assert "dis2-edge: proving\n" in told[1].stdout
    assert f"{packed.id} flies: onnxruntime int8" in told[1].stdout
    assert not list((tmp_path / "update" / "tmp").iterdir())


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SupportsRollback", "Yes\n"),
        ("NeedsArtifactReboot", "No\n"),
        ("ProvidePayloadFileSizes", "No\n"),
        ("SupportsAugmentedArtifacts", ""),
        ("SomethingOfTheFuture", ""),
        ("ArtifactFailure", ""),
    ],
)
def test_queries_are_answered_without_touching_anything(tmp_path: Path, archive: Path, query: str, answer: str) -> None:
    board = OnBoard.made(tmp_path, archive)
    done = board.mender(query)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, "")
    assert board.now() == {"current": OLD}


@pytest.mark.parametrize(
    ("verb", "blow", "why"),
    [
        ("place", "refuse", "place failed; expected better; try again"),
        ("install", "refuse", "install failed"),
        ("prove", "no", "passed: all wrong"),
        ("switch", "refuse", "switch failed"),
        ("settle", "no", "was not kept, what flew before flies: no tick"),
        ("prove", "die", "the agent ended without an answer"),
        ("switch", "die", "the agent ended without an answer"),
    ],
)
def test_what_fails_is_told_and_rolled_back(tmp_path: Path, archive: Path, verb: str, blow: str, why: str) -> None:
    board = OnBoard.made(tmp_path, archive)
    board.blow(**{verb: blow})
    done = board.mender("ArtifactInstall")
    assert done.returncode == 1
    assert why in done.stderr
    board.blow()
    assert [board.mender(state).returncode for state in ("ArtifactRollback", "ArtifactFailure", "Cleanup")] == [0, 0, 0]
    assert (board.now()["current"], board.now()["pending"]) == (OLD, None)


@pytest.mark.parametrize("verb", ["put", "place", "install", "prove", "switch", "settle"])
def test_power_that_goes_within_the_installation_leaves_the_old_version(
    tmp_path: Path, archive: Path, packed: Bundle, verb: str
) -> None:
    """After it Mender rolls back; and an installation that is called again instead ends with the new version."""
    board = OnBoard.made(tmp_path, archive)
    board.blow(**{verb: "die"})
    assert board.mender("ArtifactInstall").returncode == 1
    board.blow()
    assert board.mender("ArtifactRollback").returncode == 0
    assert (board.now()["current"], board.now()["pending"]) == (OLD, None)
    assert board.mender("ArtifactInstall").returncode == 0
    assert board.now()["current"] == packed.id
    assert board.mender("ArtifactRollback").returncode == 0
    assert board.now()["current"] == OLD, "what flew before is remembered from the first call, not from the last"


def test_every_state_may_be_called_twice(tmp_path: Path, archive: Path, packed: Bundle) -> None:
    board = OnBoard.made(tmp_path, archive)
    for state in ("Download", "ArtifactInstall", "ArtifactCommit"):
        assert [board.mender(state).returncode for _ in range(2)] == [0, 0]
    assert board.now()["current"] == packed.id
    assert board.now()["log"].count("switch") == 1
    for state in ("ArtifactRollback", "ArtifactFailure", "Cleanup"):
        assert [board.mender(state).returncode for _ in range(2)] == [0, 0]
    assert board.now()["current"] == OLD
    assert board.now()["log"].count("rollback") == 1


def test_a_refused_commit_goes_back(tmp_path: Path, archive: Path) -> None:
    board = OnBoard.made(tmp_path, archive)
    assert board.mender("ArtifactInstall").returncode == 0
    board.blow(health="no")
    refused = board.mender("ArtifactCommit")
    assert (refused.returncode, "is not healthy" in refused.stderr) == (1, True)
    board.blow()
    assert board.mender("ArtifactRollback").returncode == 0
    assert board.now()["current"] == OLD
    assert "aaaaaaaaaaaa flies; expected" in board.mender("ArtifactCommit").stderr


def test_a_version_that_flew_already_stays_when_the_update_is_undone(
    tmp_path: Path, archive: Path, packed: Bundle
) -> None:
    board = OnBoard.made(tmp_path, archive, flies=packed.id)
    for state in ("ArtifactInstall", "ArtifactCommit", "ArtifactRollback"):
        assert board.mender(state).returncode == 0
    assert board.now()["current"] == packed.id
    assert "place" not in board.now()["log"]


def test_a_first_version_has_nothing_to_go_back_to_and_says_so(tmp_path: Path, archive: Path, packed: Bundle) -> None:
    board = OnBoard.made(tmp_path, archive, flies=None)
    assert board.mender("ArtifactInstall").returncode == 0
    done = board.mender("ArtifactRollback")
    assert (done.returncode, "nothing flew before it" in done.stderr) == (1, True)
    assert board.now()["current"] == packed.id


def test_a_rollback_of_an_installation_that_never_began_changes_nothing(tmp_path: Path, archive: Path) -> None:
    board = OnBoard.made(tmp_path, archive)
    assert board.mender("ArtifactRollback").returncode == 0
    assert board.now()["current"] == OLD


@pytest.mark.parametrize(
    ("defaults", "why"),
    [
        ("", "DIS2_EDGE_ROOT is ''; expected this board's ROOT"),
        ("DIS2_EDGE_ROOT=here\n", "DIS2_EDGE_ROOT is 'here'"),
        ("DIS2_EDGE_ROOT={root}\nDIS2_EDGE_USER=nobody-of-that-name\n", "expected a user of this board"),
        ("DIS2_EDGE_ROOT={root}\nDIS2_EDGE_WAIT_S=soon\n", "expected a number of seconds"),
        ("DIS2_EDGE_ROOT={root}\nDIS2_EDGE_LIMIT_S=nan\n", "DIS2_EDGE_LIMIT_S is 'nan'; expected a number of seconds"),
        ("DIS2_EDGE_ROOT={root}\nDIS2_EDGE_ENGINE=tensort\n", "expected auto, onnxruntime, tensorrt"),
        ("DIS2_EDGE_ROOT={root}\nDIS2_EDGE_SERVICE=init\n", "expected systemd-user, systemd, process, none"),
        ("DIS2_EDGE_PYTHON=false\n", "false is not Python 3.10 or newer"),
    ],
)
def test_settings_that_cannot_be_are_told(tmp_path: Path, archive: Path, defaults: str, why: str) -> None:
    board = OnBoard.made(tmp_path, archive)
    (tmp_path / "defaults").write_text(defaults.format(root=tmp_path / "root"))
    done = board.mender("ArtifactInstall")
    assert done.returncode == 1
    assert why in done.stderr
    assert board.now() == {"current": OLD}


def test_a_payload_that_is_no_archive_is_told(tmp_path: Path, archive: Path) -> None:
    board = OnBoard.made(tmp_path, archive)
    (tmp_path / "update" / "files" / "second").touch()
    assert "the payload is not one file" in board.mender("ArtifactInstall").stderr
    (tmp_path / "update" / "files" / "anything.tar").unlink()
    assert "brings no updater" in board.mender("ArtifactInstall").stderr
