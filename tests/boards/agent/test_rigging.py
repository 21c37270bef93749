"""A new rig is for the new version alone: until that is kept, the old one flies with the rig of before."""

from __future__ import annotations

from pathlib import Path

import pytest

from dis2_boards.agent import launcher
from tests.boards.agent import standin
from tests.boards.agent.talking import AgentError, Local

OLD, NEW = b'sinks = ["png"]\n', b'sinks = ["mcap"]\n'


def give(talk: Local, rig: bytes) -> dict[str, bool]:
    sha, size = talk.upload(rig)
    return talk.ask("rig", sha256=sha, bytes=size)


@pytest.mark.parametrize("before", [OLD, None])
def test_a_rig_without_a_switch_goes_again(tmp_path: Path, before: bytes | None) -> None:
    if before is not None:
        (tmp_path / "rig.toml").write_bytes(before)
    with Local(tmp_path) as talk:
        assert give(talk, NEW) == {"changed": True}
        assert (tmp_path / "rig.toml").read_bytes() == NEW
        # What flew before would be started with the rig of before, whatever lies in the new one's place.
        rig = launcher.rig_of(tmp_path, "a" * 12)
        assert (rig.read_bytes() if rig else None) == before
    with Local(tmp_path) as talk:
        talk.ask("lock")
        rig = tmp_path / "rig.toml"
        assert (rig.read_bytes() if rig.exists() else None) == before
    assert not (tmp_path / ".rig.back").exists()


@pytest.mark.usefixtures("copied_environments")
def test_a_rig_that_is_kept_stays_and_one_that_is_not_goes(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_bytes(OLD)
    fake = standin.version("one")
    with Local(tmp_path) as talk:
        standin.deliver(talk, fake)
        give(talk, NEW)
        talk.ask("switch", id=fake.id)
        rig = launcher.rig_of(tmp_path, fake.id)
        assert rig is not None
        assert rig.read_bytes() == NEW
    assert (tmp_path / "rig.toml").read_bytes() == OLD  # nobody judged the switch
    with Local(tmp_path) as talk:
        give(talk, NEW)
        talk.ask("switch", id=fake.id)
        assert talk.ask("settle", wait_s=1)["kept"]
    assert (tmp_path / "rig.toml").read_bytes() == NEW
    assert not (tmp_path / ".rig.back").exists()


def test_the_same_rig_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_bytes(OLD)
    with Local(tmp_path) as talk:
        assert give(talk, OLD) == {"changed": False}
    assert not (tmp_path / ".rig.back").exists()


def test_a_rig_that_was_not_received_is_refused(tmp_path: Path) -> None:
    with Local(tmp_path) as talk, pytest.raises(AgentError, match="was not received"):
        talk.ask("rig", sha256="0" * 64, bytes=5)
    assert not (tmp_path / "rig.toml").exists()
