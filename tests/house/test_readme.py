"""The README's commands run, in order, in one folder; its links lead somewhere; its table has every verb."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dis2_boards.profile import known_boards
from dis2_edge import cli

BLOCK = re.compile(r"(?:<!-- (?P<mark>run|not run: [^>]+) -->\n)?```sh\n(?P<text>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "README.md").read_text("utf-8")


def test_every_block_of_commands_is_run_or_says_why_not(text: str) -> None:
    marks = [found["mark"] for found in BLOCK.finditer(text)]
    assert len(marks) == text.count("```sh")
    assert all(marks)
    assert marks.count("run") >= 4


@pytest.mark.slow
def test_the_commands_run(text: str, copy: Path) -> None:
    script = "\n".join(found["text"] for found in BLOCK.finditer(text) if found["mark"] == "run")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-eu"],
        input=script,
        cwd=copy,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for made in ("bundle/manifest.json", "flight/telemetry.jsonl", "report/report.html", "check/sheet.png"):
        assert (copy / "out" / made).is_file(), made


def test_links_of_all_pages_lead_somewhere(root: Path, tracked: tuple[Path, ...]) -> None:
    pages = [name for name in tracked if name.suffix == ".md"]
    dead = [
        f"{page}: {link}"
        for page in pages
        for link in LINK.findall((root / page).read_text("utf-8"))
        if not (root / page.parent / link).exists()
    ]
    assert not dead


def test_every_verb_is_told(text: str) -> None:
    table = text.partition("## Verbs")[2]
    assert re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE) == list(cli.VERBS)


def test_boards_are_told_of_honestly(text: str, root: Path) -> None:
    page = (root / "docs" / "boards.md").read_text("utf-8")
    assert [board for board in known_boards() if f"`{board}`" not in page] == []
    assert "Nothing has run on a Jetson yet" in " ".join(text.split())
