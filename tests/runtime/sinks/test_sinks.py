"""Sinks that write files: whole files only, on a full disk too, and in a folder that is taken away."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome_of
from PIL import Image
from tiny_bundle import NDSM, RGB, task_of

from dis2_edge.errors import StorageError
from dis2_runtime.sinks import open_sinks
from dis2_runtime.sinks.png import PngSink, palette_of
from dis2_runtime.sinks.png_bytes import PngEncoder
from dis2_runtime.sinks.telemetry import TelemetrySink
from dis2_runtime.sinks.whole_files import WholeFiles

TASK = task_of(RGB, NDSM)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 255), st.booleans(), st.integers(0, 2**32 - 1))
def test_our_png_says_what_pillow_reads(height, width, most, palette, seed) -> None:
    pixels = np.random.default_rng(seed).integers(0, most, (height, width), np.uint8)
    encoder = PngEncoder((height, width), palette_of(TASK) if palette else b"")
    for shown in (pixels, pixels[::-1], pixels[::-1], pixels):
        with Image.open(io.BytesIO(encoder.encode(shown))) as image:
            assert image.mode == ("P" if palette else "L")
            assert np.array_equal(np.asarray(image), shown)
            if palette:
                assert image.getpalette() == list(palette_of(TASK))


def test_mask_that_is_held_after_one_that_was_dropped_is_the_right_one(tmp_path) -> None:
    sink = PngSink(tmp_path, TASK)
    ticks = [outcome_of(TASK, 0), outcome_of(TASK, 1, "held"), outcome_of(TASK, 2, "held"), outcome_of(TASK, 3)]
    for outcome in ticks:
        sink.write(outcome)
    sink.close()
    for outcome in ticks:
        assert np.array_equal(read(tmp_path / "masks" / f"{outcome.tick.number:08d}.png"), outcome.mask)


def test_confidence_and_side_car_stand_beside_the_masks_on_request(tmp_path) -> None:
    sink = PngSink(tmp_path, TASK, confidence=True, sidecar=True, durable=True)
    ticks = [outcome_of(TASK, 0), outcome_of(TASK, 1, "blind")]
    for outcome in ticks:
        sink.write(outcome)
    sink.close()
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert names == [
        "confidence/00000000.png",
        *(f"masks/0000000{number}.{ending}" for number in (0, 1) for ending in ("json", "png")),
    ]
    assert np.array_equal(read(tmp_path / "confidence" / "00000000.png"), ticks[0].confidence_map)
    assert json.loads((tmp_path / "masks" / "00000001.json").read_text()) == ticks[1].row()


def test_durable_file_has_its_name_only_once_it_is_on_the_disk(tmp_path, monkeypatch) -> None:
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), real(handle))
    )
    files = WholeFiles(tmp_path / "masks", durable=True)
    files.write("a.png", b"a")
    files.write("b.png", b"b")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [".a.png.part", ".b.png.part"]
    files.sync()
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a.png", "b.png"]
    assert [Path(path).name for path in synced] == [".a.png.part", ".b.png.part", "masks"]
    files.sync()
    assert len(synced) == 3


def test_disk_that_refuses_to_sync_leaves_no_file_that_may_be_hollow(tmp_path, monkeypatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    files = WholeFiles(tmp_path, durable=True)
    files.write("a.png", b"a")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="no space left"):
        files.sync()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("durable", [True, False])
def test_folder_that_was_taken_away_is_made_again(tmp_path, durable) -> None:
    files = WholeFiles(tmp_path / "masks", durable=durable)
    shutil.rmtree(tmp_path / "masks")
    files.write("a.png", b"a")
    files.sync()
    assert (tmp_path / "masks" / "a.png").read_bytes() == b"a"


def test_row_that_a_full_disk_takes_in_part_is_cut_off_and_the_next_one_stands_alone(tmp_path, monkeypatch) -> None:
    sink = TelemetrySink(tmp_path)
    sink.write(outcome_of(TASK, 0))
    real, room = io.FileIO.write, [30]

    class Small(io.FileIO):
        def write(self, data: bytes) -> int:
            taken, room[0] = data[: room[0]], room[0] - min(len(data), room[0])
            if not taken:
                raise OSError(28, "No space left on device")
            return real(self, taken)

    monkeypatch.setattr("dis2_runtime.sinks.telemetry.io.FileIO", Small)
    sink.close()
    sink._file = Small(tmp_path / "telemetry.jsonl", "a")
    with pytest.raises(StorageError, match="no space left"):
        sink.write(outcome_of(TASK, 1))
    room[0] = 10**6
    sink.write(outcome_of(TASK, 2))
    sink.sync()
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "telemetry.jsonl").read_text().splitlines()]
    assert [row["tick"] for row in rows] == [0, 2]


def test_rows_whose_file_was_removed_are_told_and_the_next_begin_a_new_one(tmp_path) -> None:
    sink = TelemetrySink(tmp_path / "flight")
    sink.write(outcome_of(TASK, 0))
    shutil.rmtree(tmp_path / "flight")
    sink.write(outcome_of(TASK, 1))
    with pytest.raises(StorageError, match="was removed"):
        sink.sync()
    sink.write(outcome_of(TASK, 2))
    sink.sync()
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "flight" / "telemetry.jsonl").read_text().splitlines()]
    assert [row["tick"] for row in rows] == [2]


def test_folder_that_cannot_be_made_is_told_before_the_flight(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("png", "telemetry"):
        with pytest.raises(StorageError, match="cannot be written"):
            open_sinks([name], tmp_path / "file" / "out", TASK)
