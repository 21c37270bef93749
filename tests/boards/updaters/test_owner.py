"""An updater runs as root: the agent runs as whoever owns ROOT, with their home and services."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from dis2_boards.updaters.messages import StoppedError
from dis2_boards.updaters.talking import _identity


def test_the_owner_of_root_is_whom_the_agent_runs_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As seen by somebody else, who may be anybody here: nothing is started."""
    owner = pwd.getpwuid(os.stat(tmp_path).st_uid)
    monkeypatch.setattr(os, "getuid", lambda: owner.pw_uid + 1)
    monkeypatch.setenv("HOME", "/nowhere")
    identity = _identity("", str(tmp_path))
    assert (identity["user"], identity["group"]) == (owner.pw_uid, owner.pw_gid)
    assert owner.pw_gid in identity["extra_groups"]
    assert identity["env"]["HOME"] == owner.pw_dir
    assert identity["env"]["XDG_RUNTIME_DIR"] == f"/run/user/{owner.pw_uid}"
    assert _identity(owner.pw_name, "/gone/and/away")["user"] == owner.pw_uid


def test_who_is_that_already_changes_nothing_but_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid)
    monkeypatch.setenv("HOME", "/mine")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    identity = _identity("", str(tmp_path))
    assert set(identity) == {"env"}
    assert identity["env"]["HOME"] == "/mine"
    assert "XDG_RUNTIME_DIR" in identity["env"]


def test_nobody_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match="expected a user of this board"):
        _identity("nobody-of-that-name", str(tmp_path))
