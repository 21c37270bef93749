"""A bundle with a lock of made-up wheels, and the folder that these lie in: all that travels is there, and small."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiny_bundle import NDSM, RGB, make_bundle, task_of

from dis2_boards.packing.locks import write_lock
from dis2_boards.packing.pins import Wheel
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.files import sha256

TAG = "cp311-x86_64"


def make_wheels(folder: Path, tag: str = TAG) -> list[Path]:
    """Two small wheels for `tag` in `folder`."""
    python, machine = tag.split("-")
    folder.mkdir(parents=True, exist_ok=True)
    names = ("dis2_edge-0.1-py3-none-any.whl", f"numpy-2.2.0-{python}-{python}-manylinux_2_28_{machine}.whl")
    for name in names:
        with zipfile.ZipFile(folder / name, "w") as wheel:
            wheel.writestr(zipfile.ZipInfo(f"{name[:5]}/__init__.py"), f"# {name}\n" * 400)
    return [folder / name for name in names]


def make_shipped(
    folder: Path,
    wheels: Path,
    *,
    board: str = "host",
    tag: str = TAG,
    dialect: str = "ort",
    files: Mapping[str, str] | None = None,
    packages: Sequence[Path] = (),
) -> Bundle:
    """The bundle at `folder`, whose wheels lie in `wheels`: two made-up ones, or `packages`; with `files` beside."""
    made = make_bundle(folder, task_of(RGB, NDSM), scenarios=("rgb",))
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    write_lock(
        folder,
        tag,
        [Wheel(path.name, sha256(path), path.stat().st_size) for path in packages or make_wheels(wheels, tag)],
    )
    models = tuple(dataclasses.replace(row, dialect=dialect) for row in made.manifest.models)
    return bundles.write(folder, dataclasses.replace(made.manifest, board=board, models=models))
