"""A file of tiles comes back bit for bit, or is refused before it can take memory: fuzzed, bombed, cut and swapped."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2_edge import tiles_file
from dis2_edge.errors import DataError, RecipeError
from dis2_edge.labelled import Labelled
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.tiles_file import read_tiles, write_tiles

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)
HEAT = Sensor("heat", "thermal", 1, "uint16", "DN", 1, 60000)
TASK = Task((RGB, HEAT), ("dark", "bright"), ("#000000", "#ffffff"), (4, 6))


def tiles(count: int, task: Task = TASK) -> list[Labelled]:
    random = np.random.default_rng(count)
    return [
        Labelled(
            f"image {place}",
            {s.name: random.integers(0, 200, (*task.grid, s.channels)).astype(s.numpy_dtype) for s in task.sensors},
            random.choice(np.array([0, 1, 255], np.uint8), task.grid),
        )
        for place in range(count)
    ]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "tiles.npz"
    write_tiles(path, tiles(3), TASK)
    return path.read_bytes()


def arrays_of(data: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def saved(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_tiles_come_back_bit_for_bit_and_equal_tiles_give_equal_bytes(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tiles.npz"
    assert write_tiles(path, iter(tiles(3)), TASK) == 3
    assert path.read_bytes() == good
    found = read_tiles(path, TASK)
    assert len(found.names) == 3
    for name, wanted in zip(found.names, tiles(3), strict=True):
        tile = found.read(name)
        assert np.array_equal(tile.truth, wanted.truth)
        for sensor in TASK.sensors:
            assert np.array_equal(tile.frames[sensor.name], wanted.frames[sensor.name])
            assert tile.frames[sensor.name].dtype == sensor.numpy_dtype
    assert set(arrays_of(good)) == {"rgb", "heat", "truth"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"truth": np.zeros((3, 4, 6), np.int64)}, "truth.npy"),
        ({"truth": np.zeros((2, 4, 6), np.uint8)}, "rgb.npy"),
        ({"truth": np.zeros((0, 4, 6), np.uint8)}, "0 tiles"),
        ({"truth": np.uint8(3)}, "0 tiles"),
        ({"rgb": np.zeros((3, 4, 6, 4), np.uint8)}, "rgb.npy"),
        ({"heat": np.zeros((3, 4, 6, 1), np.int16)}, "heat.npy is int16"),
        ({"heat": np.zeros((3, 4, 6, 1), ">u2")}, "heat.npy is >u2"),
        ({"heat": np.asfortranarray(np.ones((3, 4, 6, 1), np.uint16))}, "by columns"),
        ({"radar": np.zeros(3)}, "radar.npy"),
    ],
)
def test_other_arrays_than_the_tasks_are_refused(good: bytes, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_tiles(saved(tmp_path / "t.npz", **{**arrays_of(good), **change}), TASK)


def test_a_sensor_that_is_lacking_is_refused(good: bytes, tmp_path: Path) -> None:
    arrays = arrays_of(good)
    del arrays["heat"]
    with pytest.raises(DataError, match=r"heat\.npy"):
        read_tiles(saved(tmp_path / "t.npz", **arrays), TASK)


def entry(path: Path, name: str, data: bytes, good: bytes) -> Path:
    """The good file with one entry of other bytes."""
    with zipfile.ZipFile(io.BytesIO(good)) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for info in before.infolist():
            after.writestr(info.filename, data if info.filename == name else before.read(info))
    return path


def head(shape: str, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", ["(3, 4, 1099511627776)", "(1099511627776, 4, 6)", "(-1, 4, 6)", "(3, 4, 6.0)", "3"])
def test_a_head_that_lies_takes_no_memory(good: bytes, tmp_path: Path, shape: str) -> None:
    with pytest.raises(DataError):
        read_tiles(entry(tmp_path / "t.npz", "truth.npy", head(shape) + bytes(72), good), TASK)


def test_a_bomb_is_refused_by_the_size_it_would_have(good: bytes, tmp_path: Path) -> None:
    path = entry(tmp_path / "t.npz", "rgb.npy", head("(3, 4, 6, 3)") + bytes(50 << 20), good)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="unpacks to"):
        read_tiles(path, TASK)


def test_nothing_is_unpickled(good: bytes, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "sprung").touch, ())

    data = head("(3, 4, 6)", "|O") + pickle.dumps(np.array([Trap()] * 72, object))
    with pytest.raises(DataError):
        read_tiles(entry(tmp_path / "t.npz", "truth.npy", data, good), TASK)
    assert not (tmp_path / "sprung").exists()


def test_limits_hold_for_who_writes_and_who_reads(good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.npz"
    path.write_bytes(good)
    monkeypatch.setattr(tiles_file, "LARGEST", 400)
    with pytest.raises(DataError, match=r"take fewer tiles"):
        write_tiles(tmp_path / "new.npz", tiles(3), TASK)
    with pytest.raises(DataError):
        read_tiles(path, TASK)
    monkeypatch.setattr(tiles_file, "LARGEST", 1 << 20)
    monkeypatch.setattr(tiles_file, "MOST", 2)
    with pytest.raises(DataError, match="3 tiles"):
        read_tiles(path, TASK)
    with pytest.raises(DataError, match="no tile"):
        write_tiles(tmp_path / "new.npz", [], TASK)
    assert not (tmp_path / "new.npz").exists()


def test_what_is_not_there_or_no_zip_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_tiles(tmp_path / "none.npz", TASK)
    (tmp_path / "t.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="no readable file of tiles"):
        read_tiles(tmp_path / "t.npz", TASK)


@settings(max_examples=150)
@given(place=st.integers(0), value=st.integers(1, 255), cut=st.booleans())
def test_a_file_that_was_damaged_anywhere_is_refused_or_unharmed(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: bool
) -> None:
    place %= len(good)
    data = bytearray(good[:place] if cut else good)
    if not cut:
        data[place] ^= value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(data)
    try:
        found = read_tiles(path, TASK)
    except DataError:
        return
    wanted = tiles(3)  # a byte that says nothing of the arrays, as the time of an entry
    assert all(np.array_equal(found.read(f"tile {at}").truth, wanted[at].truth) for at in range(3))


def test_no_sensor_may_be_called_truth() -> None:
    with pytest.raises(RecipeError, match=r"'truth': the name is taken; expected another name than blind, .* truth"):
        Sensor("truth", "optical", 3, "uint8", "DN", 0, 255)
