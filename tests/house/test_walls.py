"""The walls between the rooms stand: the linter passes on the tree and fails where an import is planted over one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOTS = [".", "train", "quantize", "boards", "runtime"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, root: Path, tracked: tuple[Path, ...]) -> Path:
    """A copy of the code, one for all tests here: whoever plants in it weeds."""
    folder = tmp_path_factory.mktemp("walls")
    for name in tracked:
        if name.suffix in (".py", ".toml"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    return folder


def lint_imports(tree: Path) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(tree / root) for root in ROOTS)
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_no_import_climbs_over_a_wall(tree: Path) -> None:
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("dis2_edge/scores.py", "import torch"),
        ("boards/dis2_boards/profile.py", "import torch.nn"),
        ("runtime/dis2_runtime/engine.py", "import torch"),
        ("dis2_edge/scores.py", "import dis2_boards"),
        ("boards/dis2_boards/profile.py", "from dis2_runtime import engine"),
        ("boards/dis2_boards/profile.py", "from dis2_train.networks import seam"),
        ("runtime/dis2_runtime/engine.py", "import dis2_quantize"),
        ("train/dis2_train/networks/seam.py", "import dis2_boards"),
        ("train/dis2_train/networks/seam.py", "import dis2_runtime"),
        ("train/dis2_train/networks/seam.py", "import dis2_quantize"),
    ],
)
def test_an_import_over_a_wall_is_found(tree: Path, module: str, planted: str) -> None:
    file = tree / module
    text = file.read_text("utf-8")
    file.write_text(f"{text}\n{planted}\n", "utf-8")
    try:
        done = lint_imports(tree)
    finally:
        file.write_text(text, "utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


@pytest.mark.parametrize("planted", ["import train", "from runtime import dis2_runtime", "from . import scores"])
def test_a_porch_is_no_package(tree: Path, planted: str) -> None:
    file = tree / "dis2_edge" / "planted.py"
    file.write_text(f'"""Planted."""\n\n{planted}\n', "utf-8")
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "dis2_edge/planted.py"]
    try:
        done = subprocess.run(ruff, cwd=tree, capture_output=True, text=True, check=False)
    finally:
        file.unlink()
    assert done.returncode == 1
    assert "TID25" in done.stdout
