"""Write one archive for those who have an updater of their own: bundle, wheels, agent, and the updaters' scripts.

Equal input gives equal bytes: no times, no owners, names in a fixed order, nothing compressed but the agent's zip.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import IO, Any

from dis2_boards.agent.carrying import bootstrap
from dis2_boards.packing import locks, stock
from dis2_boards.profile import only_on
from dis2_boards.updaters.payload import AGENT, BUNDLE, CONTENTS, FORMAT, SOURCE, WHEELS
from dis2_edge import __version__
from dis2_edge.bundle import BESIDE, Bundle, verify_hashes
from dis2_edge.errors import BundleError
from dis2_edge.files import check_free, new_file, sha256

UPDATER = "updater.pyz"
_HERE = Path(__file__).parent
_ON_BOARD = ("__init__.py", "install.py", "payload.py", "settings.py", "talking.py", "messages.py")
_MAIN = b"""import sys

from dis2_boards.updaters.install import main

sys.exit(main(sys.argv[1:]))
"""
_PLAIN, _SCRIPT = 0o644, 0o755


def write(bundle: Bundle, wheels: Path, out: Path) -> None:
    """Write the archive `out` of `bundle` and the wheels of all its locks, which lie in the folder `wheels`.

    Raises BundleError on a bundle that was altered or has no lock, WheelError on wheels that are not there, and
    StorageError.
    """
    check_free(out)
    verify_hashes(bundle)
    found = dict(_wheels(bundle, wheels))
    with new_file(out) as file:
        _fill(file, bundle, found)


def _fill(file: IO[bytes], bundle: Bundle, wheels: Mapping[str, Path]) -> None:
    """The small files first: a board reads them without passing over the large ones."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content, mode in _small(bundle):
            _add(tar, name, io.BytesIO(content), len(content), mode)
        large = {BUNDLE + name: bundle.path / name for name in _names(bundle)}
        large.update({WHEELS + name: path for name, path in wheels.items()})
        for name, path in sorted(large.items()):
            with path.open("rb") as source:
                _add(tar, name, source, path.stat().st_size, _PLAIN)


def _add(tar: tarfile.TarFile, name: str, source: IO[bytes], size: int, mode: int) -> None:
    """Without time and owner, which would make each archive another."""
    row = tarfile.TarInfo(name)
    row.size, row.mode = size, mode
    tar.addfile(row, source)


def _small(bundle: Bundle) -> Iterator[tuple[str, bytes, int]]:
    about = {"id": bundle.id, "name": bundle.manifest.name, "board": bundle.manifest.board}
    source, agent = bootstrap()
    yield "README.txt", _filled("README.txt", about), _PLAIN
    yield CONTENTS, (json.dumps(_contents(bundle, about), indent=2, sort_keys=True) + "\n").encode("ascii"), _PLAIN
    yield UPDATER, _updater(), _PLAIN
    yield "mender/dis2-edge", (_HERE / "mender.sh").read_bytes(), _SCRIPT
    yield "rauc/handler.sh", (_HERE / "rauc.sh").read_bytes(), _SCRIPT
    yield "rauc/manifest.raucm", _filled("manifest.raucm", about), _PLAIN
    yield SOURCE, source.encode("utf-8"), _PLAIN
    yield AGENT, agent, _PLAIN


def _filled(name: str, about: Mapping[str, str]) -> bytes:
    return Template((_HERE / name).read_text("utf-8")).substitute(about).encode("utf-8")


def _contents(bundle: Bundle, about: Mapping[str, str]) -> dict[str, Any]:
    files = {name: [sha256(bundle.path / name), (bundle.path / name).stat().st_size] for name in _names(bundle)}
    tensorrt = any(row.dialect == "trt" for row in bundle.manifest.models)
    about = {**about, "only_on": only_on(bundle.manifest.board), "version": __version__}
    return {**about, "format": FORMAT, "tensorrt": tensorrt, "files": files}


def _names(bundle: Bundle) -> list[str]:
    """Every file of the bundle: those that the manifest lists, and those that prove the manifest."""
    proofs = [name for name in BESIDE if (bundle.path / name).is_file()]
    return sorted([*bundle.manifest.files, *proofs])


def _wheels(bundle: Bundle, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each wheel of all locks."""
    tags = locks.tags_of(bundle)
    if not tags:
        mend = "make it again with this dis2-edge, from the quantised run"
        raise BundleError(f"{bundle.path} locks no packages: a board could not install it", mend=mend)
    for tag in tags:
        for wheel in locks.read_lock(bundle, tag):
            yield wheel.filename, stock.path_of(folder, wheel)


def _updater() -> bytes:
    """What runs on the board, as one file that Python runs; stored, as compressed bytes differ between zlibs."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), _MAIN)
        archive.writestr(zipfile.ZipInfo("dis2_boards/__init__.py"), (_HERE.parent / "__init__.py").read_bytes())
        for name in _ON_BOARD:
            archive.writestr(zipfile.ZipInfo(f"dis2_boards/updaters/{name}"), (_HERE / name).read_bytes())
    return data.getvalue()
