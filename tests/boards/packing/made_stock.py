"""A stock in miniature: wheels of a few hundred bytes and the pins that name them, so that tests fetch nothing."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

MIT = "Permission is hereby granted, free of charge, to any person"
BASE = ("numpy", "pillow", "rich", "markdown-it-py", "mdurl", "Pygments")


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    tag: str = "py3-none-any",
    *,
    metadata: str = "License-Expression: MIT\n",
    texts: dict[str, str] | None = None,
) -> Path:
    """A wheel of `name` with a licence in its dist-info."""
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    path = folder / f"{stem}-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}"
        files = {f"{info}/METADATA": head, **({f"{info}/licenses/LICENSE": MIT} if texts is None else texts)}
        for inner, text in files.items():
            archive.writestr(zipfile.ZipInfo(inner, (1980, 1, 1, 0, 0, 0)), text)
    return path


def make_stock(folder: Path) -> Path:
    """Fill `folder` with wheels for cp310-aarch64 and cp312-x86_64; the file that pins them, beside it."""
    rows = [_pin(name, "base", [make_wheel(folder, name)]) for name in BASE]
    kinds = [f"{python}-{python}-manylinux_2_28_{machine}" for python in ("cp310", "cp312") for machine in MACHINES]
    rows.append(_pin("onnxruntime", "host", [make_wheel(folder, "onnxruntime", tag=kind) for kind in kinds]))
    rows.append(_pin("cuda-bindings", "jetson", [make_wheel(folder, "cuda-bindings")]))
    rows.append(_pin("av", "stream", [make_wheel(folder, "av")]))
    file = folder.parent / "wheels.toml"
    file.write_text("".join(rows), "utf-8")
    return file


MACHINES = ("aarch64", "x86_64")


def _pin(name: str, group: str, files: list[Path]) -> str:
    rows = "".join(
        f'{{ filename = "{file.name}", bytes = {file.stat().st_size}, '
        f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}" }},\n'
        for file in files
    )
    return f'[[pin]]\nname = "{name}"\nversion = "1.0"\ngroup = "{group}"\nwheels = [\n{rows}]\n'
