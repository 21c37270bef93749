"""A bundle with a lock of wheels for this machine, and the archive of it with a stand-in for the agent."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from tiny_bundle import NDSM, RGB, make_bundle, task_of

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle

WHEELS = ("dis2_edge-0.1.0-py3-none-any.whl", "numpy-2.2.6-py3-none-any.whl")


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two wheels, which are none."""
    folder = tmp_path_factory.mktemp("stock")
    for name in WHEELS:
        (folder / name).write_bytes(f"the bytes of {name}".encode() * 3000)
    return folder


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, stock: Path) -> Bundle:
    """A small bundle that locks these wheels for this machine's Python."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    made = make_bundle(folder, task_of(RGB, NDSM))
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}-{os.uname().machine}"
    (folder / "wheels").mkdir()
    rows = [(hashlib.sha256((stock / name).read_bytes()).hexdigest(), (stock / name).stat().st_size) for name in WHEELS]
    lines = (f"{sha}  {size}  {name}\n" for (sha, size), name in zip(rows, WHEELS, strict=True))
    (folder / "wheels" / f"{tag}.lock").write_text("".join(lines))
    return bundles.write(folder, made.manifest)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, packed: Bundle, stock: Path) -> Path:
    """The archive, whose agent is a stand-in."""
    from dis2_boards.updaters import archive as archives
    from tests.boards.updaters.on_board import stand_in

    out = tmp_path_factory.mktemp("archive") / "dis2-edge.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "bootstrap", stand_in)
        archives.write(packed, stock, out)
    return out
