"""What stands behind --target becomes a target, or a message; nothing of it can become an option of ssh."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from dis2_boards.targets import address
from dis2_boards.targets.folder import FolderTarget
from dis2_boards.targets.ssh import SshTarget
from dis2_boards.targets.target import Target
from dis2_edge.errors import BoardError


def parsed(*words: str) -> Target:
    parser = argparse.ArgumentParser()
    address.configure(parser)
    return address.target_of(parser.parse_args(words))


@pytest.mark.parametrize(
    ("text", "host", "user", "port", "root"),
    [
        ("ssh://pilot@drone", "drone", "pilot", None, ""),
        ("ssh://Drone.local:2222", "Drone.local", "", 2222, ""),
        ("ssh://pilot@[fe80::1%eth0]:22/srv/dis2/", "fe80::1%eth0", "pilot", 22, "/srv/dis2"),
        ("ssh://pilot@10.0.0.7/~/here", "10.0.0.7", "pilot", None, "~/here"),
        ("ssh://pilot@drone/", "drone", "pilot", None, ""),
    ],
)
def test_ssh_targets(text: str, host: str, user: str, port: int | None, root: str) -> None:
    target = parsed("--target", text)
    assert isinstance(target, SshTarget)
    assert (target.host, target.user, target.port, target.root) == (host, user, port, root)
    assert target.words == ("--target", shlex.quote(text))


def test_the_words_lead_back_to_the_same_target() -> None:
    words = ["--target", "ssh://pilot@drone:2", "--root", "/a b", "--ssh-config", "my file", "--python", "python3.12"]
    target = parsed(*words)
    assert target.words == (
        "--target",
        "ssh://pilot@drone:2",
        "--root",
        "'/a b'",
        "--ssh-config",
        "'my file'",
        *words[6:],
    )
    assert isinstance(target, SshTarget)
    assert target.shell("sudo x 'y'") == "ssh -F 'my file' -p 2 -t pilot@drone 'sudo x '\"'\"'y'\"'\"''"


def test_a_folder_is_absolute_and_without_a_target_it_is_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parsed("--target", "dir:here") == FolderTarget(str(tmp_path / "here"), ("--target", "dir:here"))
    assert parsed() == FolderTarget("")
    assert parsed("--root", "there").words == ("--root", "there")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pilot@drone", r"did you mean --target ssh://pilot@drone\?"),
        ("drone:/opt", "expected ssh://"),
        ("./here", "did you mean --target dir:./here"),
        ("dir:", "names no folder"),
        ("ssh://", "expected ssh://"),
        ("ssh://-oProxyCommand=x", "expected ssh://"),
        ("ssh://-o@drone", "expected ssh://"),
        ("ssh://pilot:secret@drone", r"holds a password.*ssh-copy-id pilot@drone"),
        ("ssh://drone:99999", "expected ssh://"),
        ("ssh://drone?x=1", "expected ssh://"),
        ("ssh://dro ne", "expected ssh://"),
        ("ftp://drone", "expected ssh://"),
    ],
)
def test_what_is_no_target_is_refused(text: str, told: str) -> None:
    with pytest.raises(BoardError, match=told):
        parsed("--target", text)


@pytest.mark.parametrize("text", ["ssh://drone/opt", "dir:here"])
def test_a_root_twice_is_refused(text: str) -> None:
    with pytest.raises(BoardError, match="a root folder twice"):
        parsed("--target", text, "--root", "/else")


def test_a_python_with_words_is_refused() -> None:
    with pytest.raises(BoardError, match="--python"):
        parsed("--target", "ssh://drone", "--python", "python3; rm")
