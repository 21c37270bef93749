"""The agent is carried to a Python that has nothing of ours, and serves from memory."""

import ast
import subprocess
import sys
from pathlib import Path

from dis2_boards.agent.carrying import OLDEST, bootstrap
from tests.boards.agent.talking import Carried


def test_a_bare_python_serves_and_says_what_board_it_is(tmp_path: Path) -> None:
    talk = Carried(cwd=tmp_path)
    facts = talk.ask("hello", root=str(tmp_path / "root"), now_s=1.0, version="9.9")
    assert facts["version"] == "9.9"
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["current"] is None
    assert facts["free_bytes"] > 0
    assert facts["memory_bytes"] > facts["memory_free_bytes"] > 0
    assert talk.close() == ""
    assert talk.process.returncode == 0
    assert list(tmp_path.iterdir()) == [], "a question changes nothing"


def test_a_module_of_the_home_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('read')\n")
    talk = Carried(cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)})
    assert talk.ask("hello", root="~/root", now_s=1.0, version="1")["root"] == str(tmp_path / "root")
    assert talk.close() == ""


def test_an_archive_that_breaks_off_ends_the_agent() -> None:
    source, archive = bootstrap()
    done = subprocess.run([sys.executable, "-I", "-c", source], input=archive[:100], capture_output=True, timeout=60)
    assert done.returncode != 0
    assert b"the connection ended before the agent had arrived" in done.stderr


def test_an_old_python_answers_with_a_message() -> None:
    """No old Python is here: ours is told to be older than it takes, and the syntax is held by a parser."""
    source, _ = bootstrap()
    newer = source.replace(f"sys.version_info < {OLDEST}", "sys.version_info < (99,)")
    done = subprocess.run([sys.executable, "-I", "-c", newer], input=b"", capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b'"expected": "3.10 or newer"' in done.stdout
    ast.parse(source, feature_version=(3, 4))
    assert not [word for word in ("f'", 'f"', "nonlocal", "async", "print ") if word in source]


def test_the_same_files_give_the_same_archive() -> None:
    assert bootstrap() == bootstrap()
