"""Our kernels on this GPU, as an engine uses them: launched beside a plan, and by plug-ins within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_edge.terminal import note
from dis2_runtime.driver import Driver
from dis2_runtime.kernels.building import PORTABLE, build, place_of, take
from dis2_runtime.kernels.compiler import find_compiler
from dis2_runtime.kernels.loading import Kernels, load

__all__ = ["FOLDER", "load_kernels"]

FOLDER = "kernels"
"""Folder of kernel images, in a bundle and among its plans."""


def load_kernels(driver: Driver, folders: Sequence[Path], compile_into: Path | None = None) -> Kernels:
    """The kernels that load here and equal their references, from `folders` or compiled into one more.

    There it is noted what was proven, for the next start. What cannot be had is told: the function's body, or NumPy,
    stands in.
    """
    places = tuple(folders) + ((compile_into,) if compile_into is not None else ())
    found = load(driver, places, compile_into=compile_into, notes=compile_into)
    for name in sorted(set(found.reasons) - set(found.modules)):
        note(f"the kernel {name} is not used: {found.why_not(name)}")
    ptx = {name: text for name in found.modules if (text := _text(name, places, compile_into)) is not None}
    return replace(found, ptx=ptx, folders=places)


def _text(name: str, folders: Sequence[Path], compile_into: Path | None) -> bytes | None:
    """The PTX of a kernel, if it can be had: TensorRT takes no machine code."""
    try:
        for folder in folders:
            if place_of(folder, name, PORTABLE).exists():
                return take(folder, name, PORTABLE)[0]
        compiler = find_compiler() if compile_into is not None else None
        if compiler is None or compile_into is None:
            return None
        build(compiler, name, PORTABLE, compile_into)
        return take(compile_into, name, PORTABLE)[0]
    except UserError:
        return None
