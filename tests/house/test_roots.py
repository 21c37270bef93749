"""The five roots are the same for packaging, tests, type checkers, formatter and Makefile."""

import re
from pathlib import Path
from typing import Any

import pytest

from dis2_edge.files import parse_toml

ROOTS = [".", "train", "quantize", "boards", "runtime"]
PACKAGES = {"dis2_edge", "dis2_train", "dis2_quantize", "dis2_boards", "dis2_runtime"}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return parse_toml((root / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    "place",
    [
        ("setuptools", "packages", "find", "where"),
        ("pytest", "ini_options", "pythonpath"),
        ("mypy", "mypy_path"),
        ("pyright", "extraPaths"),
        ("ruff", "src"),
    ],
    ids=".".join,
)
def test_every_tool_has_the_same_roots(project: dict[str, Any], place: tuple[str, ...]) -> None:
    found: Any = project["tool"]
    for key in place:
        found = found[key]
    assert found == ROOTS


def test_every_root_holds_one_package_and_every_tool_knows_it(project: dict[str, Any], root: Path) -> None:
    found = {
        entry.name for place in ROOTS for entry in (root / place).glob("dis2_*") if (entry / "__init__.py").exists()
    }
    assert found == PACKAGES
    tools = project["tool"]
    assert set(tools["mypy"]["packages"]) == PACKAGES
    assert set(tools["importlinter"]["root_packages"]) == PACKAGES
    assert set(tools["ruff"]["lint"]["isort"]["known-first-party"]) == PACKAGES


def test_every_porch_is_banned_as_an_import(project: dict[str, Any]) -> None:
    assert set(project["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]) == set(ROOTS[1:])


def test_every_extra_is_pinned(project: dict[str, Any], root: Path) -> None:
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", (root / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    table = project["project"]
    for wanted in [*table["dependencies"], *(row for rows in table["optional-dependencies"].values() for row in rows)]:
        name = re.match(r"[A-Za-z0-9_.-]+", wanted)
        assert name is not None
        assert name.group() in {"dis2-edge"} | pinned | {pin.lower() for pin in pinned}, f"{wanted} is not pinned"


def test_the_makefile_has_the_words_that_ci_and_people_use(root: Path) -> None:
    words = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"install", "check", "test", "demo", "bench", "reproduce", "test-runtime"} <= words
    told = (root / ".ci" / "run").read_text("utf-8")
    assert "\nmake check\n" in told
    again = told.index("make test WORKERS=0 PYTEST_ARGS=--last-failed\n")  # a fault fails twice
    assert "set -eu" in told
    assert told.index("if ! make test; then") < again
