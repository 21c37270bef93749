"""What the harness finds out before it makes a board: programs, rule of QEMU, archive of Debian, noise of the cable."""

import os
import socket
from pathlib import Path

import pytest

from tests.boards.emulated import base, means
from tests.boards.emulated.wire import Line, Wire

ARCHIVE = "file:/srv/debian"
NEW_FORM = f"""Types: deb
URIs: file:/srv/debian-security
Suites: bookworm-security
Components: main

Types: deb
# a remark
URIs: {ARCHIVE}
Suites: bookworm bookworm-updates
Components: main
"""


def test_a_program_that_lacks_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(means.LackingError, match=r"no-such-program is not here \(Debian's package some-package\)"):
        means.check({"no-such-program": "some-package"})


def test_whoever_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(means.LackingError, match="not root"):
        means.check({})


@pytest.mark.parametrize(("rule", "held"), [(":q:M::x:y:/q:OP\n", ":q:M::x:y:/q:OPF"), (":q:M::x:y:/q:OPF", "OPF")])
def test_the_kernel_holds_the_interpreter_open(rule: str, held: str) -> None:
    assert means._with_interpreter_held(rule).endswith(held)
    assert means._with_interpreter_held(rule).count("F") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", f"# deb file:/srv/old bookworm main\ndeb {ARCHIVE} bookworm main\n"),
        ("sources.list", f"deb [arch=amd64 signed-by=/k.gpg] {ARCHIVE} bookworm main contrib\n"),
        ("sources.list.d/debian.sources", NEW_FORM),
    ],
)
def test_the_archive_is_that_of_this_machines_apt(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert base.mirror_of(tmp_path) == f"{ARCHIVE}"


def test_an_apt_of_another_system_is_no_archive_of_debian(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb file:/srv/ubuntu jammy main\n")
    with pytest.raises(means.LackingError, match="--mirror"):
        base.mirror_of(tmp_path)


def test_a_python_is_told_by_its_link(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").symlink_to("python3.11")
    assert base.python_of(tmp_path) == "3.11"


def test_the_cable_flips_one_bit_once_and_counts() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire, line = Wire(flip_after=10), Line(near, far)
        pieces = [wire._counted(line, piece, True) for piece in (b"12345678", b"12345678", b"12345678")]
        assert pieces[0] == pieces[2] == b"12345678"
        assert sum(a != b for a, b in zip(pieces[1], b"12345678", strict=True)) == 1
        assert wire._counted(line, b"abc", False) == b"abc"
        assert (wire.sent, wire.heard) == (24, 3)
    wire._listener.close()


def test_an_ubuntu_needs_its_archive_and_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "here")
    with pytest.raises(means.LackingError, match=r"jammy needs --mirror.*--keyring"):
        base.make(tmp_path, "jammy", "file:/srv/ports")
