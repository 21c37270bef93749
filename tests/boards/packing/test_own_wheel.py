"""Our own wheel: what flies and nothing else, the same bytes from any folder, installed and run."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dis2_boards.packing import own_wheel as making
from dis2_boards.packing.own_wheel import PACKAGES, own_wheel
from dis2_boards.packing.pins import Wheel
from dis2_edge import __version__
from dis2_edge.errors import WheelError

ROOT = Path(__file__).resolve().parents[3]
ROOMS = {"dis2_edge": ROOT, "dis2_boards": ROOT / "boards", "dis2_runtime": ROOT / "runtime"}
PLACED = ("dis2_train", "dis2_quantize")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Wheel]:
    folder = tmp_path_factory.mktemp("own")
    return folder, own_wheel(folder)


def opened(made: tuple[Path, Wheel]) -> zipfile.ZipFile:
    return zipfile.ZipFile(made[0] / made[1].filename)


def test_it_holds_every_tracked_file_of_what_flies_and_nothing_else(made: tuple[Path, Wheel]) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    flat = [name.removeprefix("boards/").removeprefix("runtime/") for name in names]
    wanted = {name for name in flat if name.partition("/")[0] in PACKAGES and (Path(name).name != "README.md")}
    inside = {name for name in opened(made).namelist() if ".dist-info/" not in name}
    assert inside == wanted


def test_its_version_tells_its_contents(made: tuple[Path, Wheel]) -> None:
    assert made[1].filename.startswith(f"dis2_edge-{__version__}+")
    assert made[1].filename.endswith("-py3-none-any.whl")
    assert hashlib.sha256((made[0] / made[1].filename).read_bytes()).hexdigest() == made[1].sha256


def test_its_record_is_right(made: tuple[Path, Wheel]) -> None:
    with opened(made) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert [row[0] for row in rows] == archive.namelist()
        for name, digest, size in rows[:-1]:
            data = archive.read(name)
            found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={found}", len(data))


def test_another_folder_process_umask_zone_and_locale_give_the_same_bytes(
    made: tuple[Path, Wheel], tmp_path: Path
) -> None:
    for name, room in ROOMS.items():
        shutil.copytree(room / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / "checkout")
    (tmp_path / "checkout/dis2_edge/cli.py.orig").write_text("an editor's")
    (tmp_path / "checkout/dis2_edge/__pycache__").mkdir()
    (tmp_path / "checkout/dis2_edge/__pycache__/x.py").write_text("x")
    code = (
        "import os, sys; from pathlib import Path; os.umask(0o077)\n"
        "from dis2_boards.packing.own_wheel import own_wheel; print(own_wheel(Path('out')).sha256)"
    )
    strange = {"PYTHONPATH": str(tmp_path / "checkout"), "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | strange, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == made[1].sha256


def test_an_installed_one_makes_itself_again(made: tuple[Path, Wheel], tmp_path: Path) -> None:
    place = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--target", place]
    subprocess.run([*pip, made[0] / made[1].filename], check=True, capture_output=True)
    code = (
        "from pathlib import Path; import dis2_edge; from dis2_boards.packing.own_wheel import own_wheel\n"
        "print(dis2_edge.__file__, own_wheel(Path('out')).sha256)"
    )
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    where, digest = done.stdout.split()
    assert Path(where).is_relative_to(place)
    assert digest == made[1].sha256


def test_training_and_quantising_stay_on_the_workstation(made: tuple[Path, Wheel]) -> None:
    with opened(made) as archive:
        assert not [name for name in archive.namelist() if name.startswith(PLACED)]
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(info).decode()
    assert "Requires-Dist: numpy\n" in metadata
    assert 'Requires-Dist: tomli; python_version < "3.11"\n' in metadata
    assert 'Requires-Dist: onnxruntime; extra == "host"\n' in metadata
    assert "License-Expression: Apache-2.0\n" in metadata


def test_what_lies_there_is_not_written_again_and_what_is_damaged_is(made: tuple[Path, Wheel]) -> None:
    file = made[0] / made[1].filename
    before = file.stat().st_mtime_ns
    assert own_wheel(made[0]) == made[1]
    assert file.stat().st_mtime_ns == before
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    own_wheel(made[0])
    assert file.read_bytes() == whole


def test_a_package_that_is_not_here_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(making, "find_spec", lambda _: None)
    with pytest.raises(WheelError, match="install dis2-edge again"):
        own_wheel(tmp_path)
