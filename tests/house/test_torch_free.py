"""What flies imports with torch blocked, and `dis2-edge --help` is quick because it imports almost nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOTS = [".", "train", "quantize", "boards", "runtime"]

BLOCK = """
import importlib, pkgutil, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "onnxscript", "safetensors", "dis2_train", "dis2_quantize"}:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Block())
"""
IMPORT_ALL = """
count = 0
for package in ("dis2_edge", "dis2_boards", "dis2_runtime"):
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            count += 1
print(count)
"""
HELP = """
import sys
there = set(sys.modules)
from dis2_edge.cli import main
code = main(["--help"])
loaded = set(sys.modules) - there
foreign = sorted(name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names)
print(*foreign, len(loaded), sep="\\n", file=sys.stderr)
sys.exit(code)
"""
QUICK = {"dis2_edge", "dis2_edge.cli", "dis2_edge.errors", "dis2_edge.settings"}
"""All of ours that `--help` may load. With them it is there in a tenth of a second on a quiet core."""
FEW = 60
"""Modules of Python itself that it may load: argparse, dataclasses and what those need, 25 today."""


def python(root: Path, code: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / place) for place in ROOTS)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_every_module_that_flies_imports_with_torch_blocked(root: Path) -> None:
    done = python(root, BLOCK + IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_the_block_blocks(root: Path) -> None:
    assert "blocked: torch" in python(root, BLOCK + "import torch").stderr


def test_help_is_quick_because_it_imports_almost_nothing(root: Path) -> None:
    done = python(root, HELP)
    assert done.returncode == 0, done.stderr
    assert "profile" in done.stdout
    *foreign, count = done.stderr.split()
    assert set(foreign) == QUICK
    assert int(count) <= FEW + len(QUICK)


@pytest.mark.parametrize("verb", ["boards", "faults"])
def test_verbs_of_the_base_need_no_engine(root: Path, verb: str) -> None:
    block = BLOCK.replace('"torch",', '"torch", "onnxruntime", "jinja2",')
    done = python(root, f"{block}\nfrom dis2_edge.cli import main; sys.exit(main([{verb!r}, '--help']))")
    assert done.returncode == 0, done.stderr
