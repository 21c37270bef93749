"""The whole way with the real agent as a program of its own, through `ssh` and into a folder, by the command line.

What is installed is a stand-in for dis2-edge, so that a version can be well or fall over on request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_ssh import make_stand_in, path_with
from shipped import make_shipped

from dis2_boards.agent import services
from dis2_boards.agent.places import Places
from dis2_edge.cli import main
from tests.boards.agent import standin

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "root"
    services.of(Places(tmp_path / "root"), "process").stop()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Makes a bundle by its name and how it behaves: its folder, and its id."""

    def made(name: str, prove: str = "ok", run: str = "ok") -> tuple[str, str]:
        stock = tmp_path / "wheels"
        stock.mkdir(exist_ok=True)
        (stock / standin.NAME).write_bytes(standin.wheel())
        files = {"behaviour.json": json.dumps({"prove": prove, "run": run, "name": name})}
        bundle = make_shipped(tmp_path / name, stock, tag=standin.tag(), files=files, packages=[stock / standin.NAME])
        return str(bundle.path), bundle.id

    return made


@pytest.fixture
def deploy(tmp_path: Path, root: Path, capsys: Capture) -> Callable[..., tuple[int, str, dict[str, Any]]]:
    """Runs `dis2-edge deploy`: exit code, what was said, what was recorded."""

    def deployed(bundle: str, *more: str, target: str = "") -> tuple[int, str, dict[str, Any]]:
        record = tmp_path / "record.json"
        words = [bundle, "--target", target or f"dir:{root}", "--wheels", str(tmp_path / "wheels"), "--settle", "4"]
        code = main(["deploy", *words, "--record", str(record), *more])
        said = capsys.readouterr()
        return code, said.out + said.err, json.loads(record.read_text())

    return deployed


def status(root: Path, capsys: Capture) -> dict[str, Any]:
    main(["status", "--target", f"dir:{root}", "--json"])
    table: dict[str, Any] = json.loads(capsys.readouterr().out)
    return table


def test_two_versions_a_bad_one_and_back(
    make: Callable[..., tuple[str, str]],
    deploy: Callable[..., Any],
    root: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first deploy goes through `ssh`, the others into the same folder: each environment costs seconds."""
    first, old = make("first")
    second, new = make("second")
    bad, worse = make("bad", run="crash")
    (tmp_path / "rig.toml").write_text('sinks = ["png"]\n')
    (tmp_path / "other.toml").write_text('sinks = ["mcap"]\n')

    with monkeypatch.context() as patch:
        patch.setenv("PATH", path_with(make_stand_in(tmp_path / "bin")))
        code, said, record = deploy(first, "--root", str(root), target="ssh://pilot@drone")
    assert (code, record["state"], record["before"], record["after"]) == (0, "kept", None, old), said
    assert f"dis2-edge status --target ssh://pilot@drone --root {root}" in said
    assert "dis2-edge rollback" not in said, "there is nothing to go back to"
    assert "agreement with goldens" in said
    assert "no service starts it" in said

    code, said, record = deploy(first, "--service", "process", "--rig", str(tmp_path / "rig.toml"))
    assert (code, record["state"], record["before"], record["after"]) == (0, "kept", old, old), said

    code, said, record = deploy(first)
    assert (code, record["state"]) == (0, "flew already"), said

    code, said, record = deploy(second)
    assert (code, record["state"], record["before"]) == (0, "kept", old), said
    assert "dis2-edge rollback" in said

    code, said, record = deploy(bad, "--rig", str(tmp_path / "other.toml"))
    assert (code, record["state"]) == (2, "rolled back"), said
    assert f"did not keep {worse}" in said
    assert "its last words: fell over" in said
    assert f"it went back by itself: dir:{root} runs {new}" in said
    assert (root / "rig.toml").read_text() == 'sinks = ["png"]\n'
    now = status(root, capsys)
    assert (now["current"], now["previous"], now["pending"], now["healthy"]) == (new, old, None, True)

    assert main(["rollback", "--target", f"dir:{root}"]) == 0
    assert f"runs {old}; before it was {new}" in capsys.readouterr().out
    assert main(["prune", "--keep", "0", "--root", str(root)]) == 0
    assert f"removed versions {worse}" in capsys.readouterr().out
    assert main(["status", "--root", str(root)]) == 0
    told = capsys.readouterr().out
    assert "health: healthy" in told
    assert f"{old}  tiny" in told


def test_a_second_deploy_is_told_who_holds_the_board(
    make: Callable[..., tuple[str, str]], deploy: Callable[..., Any], root: Path
) -> None:
    from dis2_boards.targets.folder import FolderTarget

    bundle, _ = make("first")
    with FolderTarget(str(root)).open() as session:
        session.ask("lock", wait_s=0, who="ann@base")
        code, said, _ = deploy(bundle)
    assert code == 2
    assert "another deploy holds the board: ann@base" in said
    assert "--wait" in said
