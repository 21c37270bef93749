"""The wheel of dis2-edge that a board installs: what flies, without training and quantising. Same sources, same bytes.

It is written here rather than by setuptools, as setuptools' bytes change with its version, and as an installed
dis2-edge has no project to build. Its version ends in a digest of its contents (`0.1.0+3f2a...`): two states of one
version are two files, which may lie in one stock.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dis2_boards.packing.pins import GROUPS, PYTHONS, Pin, Wheel, pins
from dis2_edge import __version__
from dis2_edge.errors import WheelError
from dis2_edge.files import write_bytes

PACKAGES = ("dis2_boards", "dis2_edge", "dis2_runtime")
"""What flies. The stages above import torch, and stay on the workstation."""
KINDS = (".py", ".typed", ".toml", ".json", ".cu", ".cuh", ".html", ".jinja", ".css", ".sh", ".txt", ".raucm")
"""Files that belong to a package: all that the project's package data names."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENTRY = "[console_scripts]\ndis2-edge = dis2_edge.cli:main\n"
_KIND = "Wheel-Version: 1.0\nGenerator: dis2-edge\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_wheel(folder: Path) -> Wheel:
    """Write the wheel of the dis2-edge that runs to `folder`, if it does not lie there; what it is.

    Raises WheelError where the files of this dis2-edge cannot be found, StorageError when the disk refuses.
    """
    contents = _contents()
    version = f"{__version__}+{_digest(contents)[:12]}"
    image = _image(contents, version)
    wheel = Wheel(f"dis2_edge-{version}-py3-none-any.whl", hashlib.sha256(image).hexdigest(), len(image))
    path = folder / wheel.filename
    if not path.is_file() or path.read_bytes() != image:
        write_bytes(path, image)
    return wheel


def licence_text() -> str:
    """The licence of dis2-edge itself, from the checkout or the installed distribution."""
    beside = _room("dis2_edge").parent / "LICENSE"
    if beside.is_file() and (beside.parent / "pyproject.toml").is_file():
        return beside.read_text("utf-8")
    try:
        text = metadata.distribution("dis2-edge").read_text("licenses/LICENSE")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise WheelError("the licence of dis2-edge is not where it was installed", mend="install dis2-edge again")
    return text


def _contents() -> dict[str, bytes]:
    """Every file of the packages that fly, by its place in the wheel."""
    found = {}
    for package in PACKAGES:
        room = _room(package)
        for path in room.rglob("*"):
            inner = path.relative_to(room)
            if path.suffix in KINDS and "__pycache__" not in inner.parts and path.is_file():
                found[f"{package}/{inner.as_posix()}"] = path.read_bytes()
    return found


def _room(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WheelError(f"the package {package} is not here as files", mend="install dis2-edge again")
    return Path(next(iter(spec.submodule_search_locations)))


def _digest(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()


def _image(contents: dict[str, bytes], version: str) -> bytes:
    """The wheel's bytes. Nothing is compressed: the bytes of a deflate depend on the zlib that was at hand."""
    info = f"dis2_edge-{version}.dist-info"
    files = {
        **contents,
        f"{info}/METADATA": _metadata(version).encode(),
        f"{info}/WHEEL": _KIND.encode(),
        f"{info}/entry_points.txt": _ENTRY.encode(),
        f"{info}/licenses/LICENSE": licence_text().encode(),
        f"{info}/top_level.txt": "".join(f"{package}\n" for package in PACKAGES).encode(),
    }
    record = "".join(_record_row(name, data) for name, data in sorted(files.items())) + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [*sorted(files.items()), (f"{info}/RECORD", record.encode())]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _record_row(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
    return f"{name},sha256={digest},{len(data)}\n"


def _metadata(version: str) -> str:
    lines = ["Metadata-Version: 2.4", "Name: dis2-edge", f"Version: {version}"]
    lines += ["Summary: Segmentation from two or more sensors that keeps working when one fails: what flies"]
    lines += ["License-Expression: Apache-2.0", "License-File: LICENSE", "Requires-Python: >=3.10"]
    lines += [f"Requires-Dist: {_wanted(pin)}" for pin in pins() if pin.group == "base"]
    for group in (group for group in GROUPS if group != "base"):
        lines += [f"Provides-Extra: {group}"]
        lines += [f'Requires-Dist: {pin.name}; extra == "{group}"' for pin in pins() if pin.group == group]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _wanted(pin: Pin) -> str:
    """A requirement of the base; of a package for the oldest Python alone, with that condition."""
    oldest = bool(pin.tags) and all(tag.startswith(PYTHONS[0]) for tag in pin.tags)
    return pin.name + '; python_version < "3.11"' * oldest
