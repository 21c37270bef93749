"""Fetch the wheel of torch-tensorrt, without what it depends on: `python -m tests.train.contracts.make_torch_tensorrt`.

It is 4 MB, cannot run where there is no TensorRT and no GPU, and is only read: tests/train/contracts/wheel_source.py.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "out" / "pretend" / "torch_tensorrt"
MAKE = "python -m tests.train.contracts.make_torch_tensorrt"


def pinned() -> str:
    """The version that constraints.txt asks for."""
    found = re.search(r"^torch-tensorrt==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def wheel() -> Path | None:
    """The fetched wheel of the pinned version, or None."""
    return next(iter(sorted(FOLDER.glob(f"torch_tensorrt-{pinned()}-*.whl"))), None)


def main() -> None:
    """Fetch it where it is not there yet."""
    if not wheel():
        words = ["--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_28_x86_64", "--dest", str(FOLDER)]
        command = [sys.executable, "-m", "pip", "download", "-q", *words, f"torch-tensorrt=={pinned()}"]
        subprocess.run(command, check=True)
    print(wheel())


if __name__ == "__main__":
    main()
