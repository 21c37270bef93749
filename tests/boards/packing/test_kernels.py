"""Kernels in a bundle: where an engine looks for them, whole and of today's sources, or sources alone and why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dis2_boards.packing import kernels as packing
from dis2_boards.packing.kernels import FOLDER, PackedKernels, write_kernels
from dis2_boards.profile import load
from dis2_edge.errors import BundleError
from dis2_runtime.engines.tensorrt.kernels import FOLDER as LOOKED_BELOW
from dis2_runtime.kernels.building import PORTABLE, SOURCES, names, place_of, put, take
from dis2_runtime.kernels.resources import Resources

ORIN = load("orin-nx-16gb")
TAKES = Resources("k", 1, 0, 0, 0, 0)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as `dis2-edge kernels` fills it, with images that no compiler made, and one for another board."""
    folder = tmp_path / "built"
    for name in names():
        for target in ("sm_87", "sm_110", PORTABLE):
            put(folder, name, target, f"{name} for {target}".encode(), "13.0.88", (TAKES,))
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_given_folder_is_taken_as_it_is_and_found_where_an_engine_looks(tmp_path: Path, built: Path) -> None:
    assert write_kernels(tmp_path / "bundle", ORIN, built) == PackedKernels(("compute_87", "sm_87"))
    assert FOLDER == LOOKED_BELOW
    place = tmp_path / "bundle" / FOLDER
    for name in names():
        assert (place / f"{name}.cu").read_bytes() == (SOURCES / f"{name}.cu").read_bytes()
        for target in ("sm_87", PORTABLE):
            assert take(place, name, target)[0] == f"{name} for {target}".encode()
    assert {path.name for path in place.glob("*.cuh")} == {path.name for path in SOURCES.glob("*.cuh")}
    assert not (place / "sm_110").exists()
    assert not list(place.rglob("notes.txt"))


@pytest.mark.parametrize("fault", ["missing", "flipped", "of other sources"])
def test_a_given_folder_that_is_not_whole_is_refused(tmp_path: Path, built: Path, fault: str) -> None:
    image = place_of(built, "decide", "sm_87")
    record = image.with_suffix(".json")
    if fault == "missing":
        image.unlink()
    elif fault == "flipped":
        image.write_bytes(b"x" + image.read_bytes()[1:])
    else:
        record.write_text(record.read_text().replace('"source": "', '"source": "0'))
    with pytest.raises(BundleError, match="sm_87/decide"):
        write_kernels(tmp_path / "bundle", ORIN, built)


def test_a_board_without_a_gpu_gets_none(tmp_path: Path) -> None:
    assert write_kernels(tmp_path / "bundle", load("host")) is None
    assert not (tmp_path / "bundle").exists()


def test_without_a_compiler_sources_go_alone_and_it_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = packing.start

    def without(words: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
        return start([*words, *["--as-built"] * ("--sources" not in words)], limit_s)

    monkeypatch.setattr(packing, "start", without)
    found = write_kernels(tmp_path / "bundle", ORIN)
    assert found is not None
    assert not found.targets
    assert found.why == "no nvcc was found"  # no place of this machine: it goes into the card
    assert {path.suffix for path in (tmp_path / "bundle" / FOLDER).rglob("*")} == {".cu", ".cuh"}


def test_a_compiler_that_hangs_does_not_hold_up_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(words: list[str], _: float) -> subprocess.CompletedProcess[str]:
        if "--sources" in words:
            return subprocess.CompletedProcess(words, 0, "", "")
        raise subprocess.TimeoutExpired(words, 1)

    monkeypatch.setattr(packing, "start", hang)
    found = write_kernels(tmp_path / "bundle", ORIN)
    assert found is not None
    assert found.why == "the nvcc that was there built none for sm_87"


def test_what_is_built_here_is_built_once_below_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(words: list[str], _: float) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        out = Path(words[words.index("--out") + 1])
        out.mkdir(parents=True, exist_ok=True)
        if "--sources" not in words:
            for target in ("sm_87", PORTABLE):
                put(out, "decide", target, target.encode(), "13.0.88", (TAKES,))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(packing, "start", build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert write_kernels(tmp_path / "bundle", ORIN) == PackedKernels(("compute_87", "sm_87"))
    assert take(tmp_path / "bundle" / FOLDER, "decide", "sm_87")[0] == b"sm_87"
    cache = tmp_path / "cache" / "dis2-edge" / "kernels" / "sm_87"
    assert asked[-1] == ["kernels", "--arch", "sm_87", "--portable", "--out", str(cache)]
