"""Images for the pretend GPU that tests need beside the real kernels."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def trivial_image(architecture: int = 87) -> bytes:
    """trivial.cc as "machine code" of sm_<architecture>."""
    source = Path(__file__).with_name("trivial.cc")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "image.so"
        command = ["g++", "-shared", "-fPIC", "-O1", f"-DARCHITECTURE={architecture}", str(source), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True)
        return made.read_bytes()
