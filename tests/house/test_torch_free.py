"""What flies imports with torch blocked, and `dis2-edge --help` is quick because it imports almost nothing."""

import os
import subprocess
import sys
import time
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
from dis2_edge.cli import main
code = main(["--help"])
heavy = {"torch", "onnxruntime", "numpy", "rich", "PIL", "jinja2"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else code)
"""


def python(root: Path, code: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / place) for place in ROOTS)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_every_module_that_flies_imports_with_torch_blocked(root: Path) -> None:
    done = python(root, BLOCK + IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_the_block_blocks(root: Path) -> None:
    assert "blocked: torch" in python(root, BLOCK + "import torch").stderr


def test_help_imports_nothing_heavy(root: Path) -> None:
    done = python(root, HELP)
    assert done.returncode == 0, done.stderr
    assert "profile" in done.stdout


def test_help_is_there_within_a_third_of_a_second(root: Path) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        python(root, "from dis2_edge.cli import main; main(['--help'])")
        return time.perf_counter() - start

    best = min(seconds() for _ in range(5))
    assert best < 0.3, f"the quickest of five took {best:.2f} s"


@pytest.mark.parametrize("verb", ["boards", "faults"])
def test_verbs_of_the_base_need_no_engine(root: Path, verb: str) -> None:
    block = BLOCK.replace('"torch",', '"torch", "onnxruntime", "jinja2",')
    done = python(root, f"{block}\nfrom dis2_edge.cli import main; sys.exit(main([{verb!r}, '--help']))")
    assert done.returncode == 0, done.stderr
