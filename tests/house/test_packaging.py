"""The wheel: exactly the expected top-level names, with every module, type marker and data file inside."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dis2_edge import __version__

PORCHES = {"train", "quantize", "boards", "runtime"}
PACKAGES = {"dis2_edge", "dis2_train", "dis2_quantize", "dis2_boards", "dis2_runtime"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, root: Path, tracked: tuple[Path, ...]) -> zipfile.ZipFile:
    """The wheel of the tracked files, built offline."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((root / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--wheel-dir", str(out), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_only_our_packages_reach_site_packages(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {*PACKAGES, f"dis2_edge-{__version__}.dist-info"}


def test_every_file_of_a_package_is_in_the_wheel(wheel: zipfile.ZipFile, tracked: tuple[Path, ...]) -> None:
    inside = set(wheel.namelist())
    wanted = {_installed(name) for name in tracked} - {None}
    assert {name for name in wanted if name} <= inside, "package data is missing in pyproject.toml"


def test_every_package_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel.namelist())


def test_command_licence_and_extras_are_told(wheel: zipfile.ZipFile) -> None:
    info = f"dis2_edge-{__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "dis2-edge = dis2_edge.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    for extra in ("host", "jetson", "deploy", "kernels", "report", "train", "quantize", "tensorrt", "dev"):
        assert f"Provides-Extra: {extra}\n" in metadata


def test_the_base_brings_neither_torch_nor_an_engine(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"dis2_edge-{__version__}.dist-info/METADATA").decode()
    base = [row for row in metadata.splitlines() if row.startswith("Requires-Dist:") and "extra ==" not in row]
    assert sorted(re.split("[ <>=;]", row.partition(" ")[2])[0] for row in base) == ["numpy", "pillow", "rich", "tomli"]


def _installed(name: Path) -> str | None:
    """Where a tracked file stands in the wheel, if it belongs to a package."""
    parts = name.parts[1:] if name.parts[0] in PORCHES else name.parts
    return "/".join(parts) if parts and parts[0] in PACKAGES and len(parts) > 1 else None
