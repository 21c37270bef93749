"""The walls between the rooms stand: the linter passes on the tree and fails where an import is planted over one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOTS = [".", "train", "quantize", "boards", "runtime"]


def lint_imports(tree: Path) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(tree / root) for root in ROOTS)
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_no_import_climbs_over_a_wall(copy: Path) -> None:
    done = lint_imports(copy)
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
def test_an_import_over_a_wall_is_found(copy: Path, module: str, planted: str) -> None:
    file = copy / module
    file.write_text(f"{file.read_text('utf-8')}\n{planted}\n", "utf-8")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


@pytest.mark.parametrize("planted", ["import train", "from runtime import dis2_runtime", "from . import scores"])
def test_a_porch_is_no_package(copy: Path, planted: str) -> None:
    (copy / "dis2_edge" / "planted.py").write_text(f'"""Planted."""\n\n{planted}\n', "utf-8")
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "dis2_edge/planted.py"]
    done = subprocess.run(ruff, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TID25" in done.stdout
