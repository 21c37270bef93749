"""Write wheels.toml anew from constraints.txt: `python -m dis2_boards.packing.repin constraints.txt` (needs an index).

For each package that a board carries, the files for every Python and machine, each with its SHA-256. It is run by
whoever raises a version; a test holds the two files equal.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from dis2_boards.packing.pins import FILE, GROUPS, TAGS
from dis2_boards.packing.stock import platform_of
from dis2_edge.files import sha256, write_text

CARRIED = {
    "base": ("numpy", "pillow", "rich", "markdown-it-py", "mdurl", "Pygments", "tomli"),
    "host": ("onnxruntime",),
    "jetson": ("cuda-bindings", "cuda-pathfinder"),
    "stream": ("av", "mcap", "lz4", "zstandard", "opencv-python-headless"),
}
"""By group. What ONNX Runtime asks for beside NumPy (sympy, protobuf, ...) only its conversion tools import."""
_HEAD = """\
# The wheels that boards carry, by package, with the SHA-256 of each. Written from constraints.txt by
# python -m dis2_boards.packing.repin, and held equal to it by tests/boards/packing/test_pins.py. Edit neither alone.
"""
_ROW = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(?:\s*;\s*(.+))?$", re.MULTILINE)


def rows_of(constraints: str) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """By package, its versions and the tags that each is for (empty: all)."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name, version, marker in _ROW.findall(constraints):
        if any(name in names for names in CARRIED.values()):
            tags = tuple(tag for tag in TAGS if _holds(marker, tag)) if marker else ()
            found.setdefault(name, []).append((version, tags))
    found["tomli"] = [(version, tuple(tag for tag in TAGS if tag.startswith("cp310"))) for version, _ in found["tomli"]]
    return found


def download(wanted: list[str], tag: str, folder: Path) -> None:
    """Fetch wheels of `wanted` (requirements) for `tag` into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), *platform_of(tag)]
    subprocess.run([*command, *wanted], check=True)


def main(constraints: Path) -> None:
    """Download everything, hash it, write wheels.toml."""
    rows = rows_of(constraints.read_text("utf-8"))
    pins = []
    with tempfile.TemporaryDirectory() as scratch:
        for tag in TAGS:
            wanted = [f"{n}=={v}" for n, versions in rows.items() for v, tags in versions if not tags or tag in tags]
            download(wanted, tag, Path(scratch))
        files = sorted(Path(scratch).iterdir())
        for group in GROUPS:
            for name in CARRIED[group]:
                pins += [_pin(name, version, group, tags, files) for version, tags in rows[name]]
    write_text(FILE, _HEAD + "".join(pins))


def _pin(name: str, version: str, group: str, tags: tuple[str, ...], files: list[Path]) -> str:
    stem = re.sub(r"[-_.]+", "_", name).lower()
    own = [file for file in files if file.name.lower().startswith(f"{stem}-{version}-")]
    lines = ["", "[[pin]]", f'name = "{name}"', f'version = "{version}"', f'group = "{group}"']
    lines += [f"tags = [{', '.join(repr(tag) for tag in tags)}]".replace("'", '"')] if tags else []
    lines += ["wheels = ["]
    for file in own:
        size, digest = file.stat().st_size, sha256(file)
        lines += [f'    {{ filename = "{file.name}", bytes = {size}, sha256 = "{digest}" }},']
    return "\n".join([*lines, "]"]) + "\n"


def _holds(marker: str, tag: str) -> bool:
    """Whether an environment marker of constraints.txt holds for `tag`."""
    from packaging.markers import Marker

    python, machine = tag.split("-")
    place = {"python_version": f"3.{python[3:]}", "platform_machine": machine, "sys_platform": "linux"}
    return Marker(marker).evaluate(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
