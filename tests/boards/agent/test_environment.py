"""A version's own environment: filled with nothing but its wheels, and never taken from under what flies by it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dis2_boards.agent import environment, placing
from dis2_boards.agent.places import Places
from tests.boards.agent.bundles import bundle, send
from tests.boards.agent.talking import AgentError, Local

FAKE = bundle("flies")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board with one version, which is not current, and a link to that board."""
    with Local(tmp_path / "root") as talk:
        send(talk, FAKE)
    (tmp_path / "another way").symlink_to("root")
    version = tmp_path / "root" / "versions" / FAKE.id
    (version / "env-1" / "bin").mkdir(parents=True)
    (version / "env-1" / "bin" / "python").symlink_to(sys.executable)
    (version / "env").symlink_to("env-1")
    return tmp_path / "root"


@pytest.fixture(params=["root", "another way"])
def flying(root: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The version, by whose Python a process runs that was started by this or that path."""
    below = Path("versions") / FAKE.id
    program = root.parent / request.param / below / ("env" if request.param != "root" else "env-1") / "bin" / "python"
    command = [str(program), "-I", "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        yield root / below
        child.kill()


def test_nobody_else_says_what_is_installed(built: Path) -> None:
    """The environment was built for a user whose pip is told to install elsewhere, in three ways."""
    assert list(built.glob("lib/python*/site-packages/dis2_edge/__main__.py"))
    assert not (built.parents[3] / "elsewhere").exists()
    assert {"--isolated", "--ignore-installed", "--no-index", "--require-hashes"} <= set(environment._PIP_WORDS)


def test_what_flies_is_known_by_whatever_path_it_was_started(flying: Path) -> None:
    assert environment.in_use(flying / "env-1")
    assert not environment.in_use(flying.parent / ("0" * 12) / "env-1")


def test_a_version_that_flies_without_being_current_stays(flying: Path, root: Path) -> None:
    (flying / "env").unlink()
    with Local(root) as talk:
        assert talk.ask("prune", keep=0)["removed"] == []
        assert (flying / "env-1").is_dir(), "no link names it, but it flies"
        file = flying / "bundle" / "recipe.toml"
        file.unlink()
        with pytest.raises(AgentError, match="flies and is damaged"):
            send(talk, FAKE)
    assert placing.judging.was_judged(Places(root), FAKE.id)


@pytest.mark.parametrize("spelled", ["env-1", "./env-1", "{version}/env-1"])
def test_an_environment_that_is_linked_stays_however_the_link_is_spelled(root: Path, spelled: str) -> None:
    version = root / "versions" / FAKE.id
    (version / "env").unlink()
    (version / "env").symlink_to(spelled.format(version=version))
    (version / "env-2").mkdir()
    assert list(environment.remove_unused(version)) == ["env-2"]
    assert (version / "env" / "bin" / "python").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": "x", "wheels": 5, "files": 1, "bytes": 1}'])
def test_a_damaged_mark_is_no_environment_and_no_fault(root: Path, text: str) -> None:
    version = root / "versions" / FAKE.id
    (version / "env-1" / environment.MARK).write_text(text)
    assert not environment.stands(version)
    assert environment.used_wheels(version) == []
    with Local(root) as talk:
        with pytest.raises(AgentError, match="no whole environment"):
            talk.ask("switch", id=FAKE.id)
        assert talk.ask("prune", keep=0)["removed"] == [FAKE.id]
    assert not os.path.lexists(version)
