"""Kernels as files: `sm_87/decide.cubin`, `compute_87/decide.ptx`, each with a record of what it was made from.

A file is built once and then taken from its folder, as long as sources, flags and compiler are the same. Files are
written whole, the image before its record: killed in between, the image does not match the record and is built again.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dis2_edge.errors import EngineError
from dis2_edge.files import read_json, write_bytes, write_json
from dis2_runtime.kernels.compiler import FLAGS, OLDEST_PTX, Compiler, check_target
from dis2_runtime.kernels.resources import Resources, report_of

SOURCES = Path(__file__).parent
"""Where the kernels' sources lie."""
FIRST_CLASS = ("sm_87", "sm_110", "sm_90")
"""Orin, Thor, and the H100 that kernels are measured on."""
PORTABLE = "compute_87"
"""PTX that every architecture of the first class can take: the lowest of them."""
_MADE_WITH = [*FLAGS, f"PTX {OLDEST_PTX}"]
"""What an image depends on beside sources and compiler."""


@dataclass(frozen=True)
class Built:
    """One kernel source for one target, as it lies in a folder."""

    name: str
    """The kernel source."""
    target: str
    """sm_87 (machine code) or compute_87 (PTX)."""
    file: Path
    compiler: str
    """Version of nvcc that made it."""
    resources: tuple[Resources, ...]
    """What its kernels take; empty for PTX."""
    fresh: bool = False
    """Whether it was built just now."""


def names() -> tuple[str, ...]:
    """The kernel sources that there are, in alphabetical order."""
    return tuple(sorted(path.stem for path in SOURCES.glob("*.cu")))


def place_of(folder: Path, name: str, target: str) -> Path:
    """Where the image of `name` for `target` lies below `folder`."""
    return folder / target / f"{name}.{'cubin' if target.startswith('sm_') else 'ptx'}"


def build(compiler: Compiler, name: str, target: str, folder: Path) -> Built:
    """The image of `name` for `target` below `folder`; compiled unless the one that lies there is of today."""
    check_target(target, compiler.targets)
    found = _kept(name, target, folder)
    if found is not None and found.compiler == compiler.version:
        return found
    made = compiler.compile(SOURCES / f"{name}.cu", target)
    rows = report_of(made.log)
    if target.startswith("sm_") and not rows:
        raise EngineError(f"nvcc {compiler.version} gave no resource report of {name} that can be read")
    put(folder, name, target, made.image, compiler.version, rows)
    return Built(name, target, place_of(folder, name, target), compiler.version, rows, fresh=True)


def build_all(compiler: Compiler, targets: Iterable[str], folder: Path, wanted: Sequence[str] = ()) -> list[Built]:
    """`build` of each source (or those `wanted`) for each target, as many at once as there are cores."""
    pairs = [(name, target) for target in targets for name in wanted or names()]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda pair: build(compiler, pair[0], pair[1], folder), pairs))


def put(folder: Path, name: str, target: str, image: bytes, compiler: str, resources: Sequence[Resources] = ()) -> None:
    """Write an image and its record."""
    file = place_of(folder, name, target)
    write_bytes(file, image)
    record = {
        "source": digest_of(name),
        "flags": _MADE_WITH,
        "compiler": compiler,
        "sha256": hashlib.sha256(image).hexdigest(),
        "resources": [asdict(row) for row in resources],
    }
    write_json(_record_of(file), record)


def take(folder: Path, name: str, target: str) -> tuple[bytes, Built]:
    """An image that lies in a folder, as bytes; EngineError when it is damaged or of other sources than ours."""
    file = place_of(folder, name, target)
    record = _read_record(file)
    try:
        image = file.read_bytes()
    except OSError as error:
        raise EngineError(f"{file} cannot be read ({error.strerror})") from error
    if hashlib.sha256(image).hexdigest() != record["sha256"]:
        raise EngineError(f"{file} is damaged", expected="the bytes that its record tells", mend=_again(target))
    if record["source"] != digest_of(name):  # its kernels may take other arguments than our launchers give
        raise EngineError(f"{file} was built from other sources than this dis2-edge has", mend=_again(target))
    return image, Built(name, target, file, record["compiler"], record["resources"])


@functools.cache
def digest_of(name: str) -> str:
    """SHA-256 of a kernel's source and of the headers beside it."""
    digest = hashlib.sha256()
    for path in (SOURCES / f"{name}.cu", *sorted(SOURCES.glob("*.cuh"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _kept(name: str, target: str, folder: Path) -> Built | None:
    """What lies in the folder, if it may be used as it is."""
    try:
        built = take(folder, name, target)[1]
        flags = _read_record(built.file)["flags"]
    except EngineError:
        return None
    return built if flags == _MADE_WITH else None


def _read_record(file: Path) -> dict[str, Any]:
    path = _record_of(file)
    found = read_json(path, EngineError)
    try:
        rows = tuple(Resources(**row) for row in found["resources"])
        texts = {key: str(found[key]) for key in ("source", "compiler", "sha256")}
        return {**texts, "flags": found["flags"], "resources": rows}
    except (KeyError, TypeError) as error:
        raise EngineError(f"{path} is no record of a kernel ({error})", mend=_again(file.parent.name)) from error


def _record_of(file: Path) -> Path:
    return file.with_suffix(".json")


def _again(target: str) -> str:
    return f"build it again: dis2-edge kernels --arch {target}"
