"""The overlay: what a person reads in the caption, a constant rate, a file that a cut leaves playable."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from outcomes import outcome_of
from tiny_bundle import HEAT, NDSM, RGB, frames_of, task_of, write_scene

from dis2_edge.cli import main
from dis2_edge.errors import StorageError
from dis2_runtime.sinks.guarded import Guarded
from dis2_runtime.sinks.overlay import OverlaySink
from dis2_runtime.sinks.painting import IGNORE_COLOUR, Painter
from dis2_runtime.sinks.video import Video

av = pytest.importorskip("av", reason="PyAV is not installed (extra stream)")

TASK = task_of(RGB, NDSM, HEAT, grid=(25, 33))
RED = (255, 92, 80)


def pictures(path: Path) -> list[np.ndarray]:
    """All pictures up to the first that cannot be decoded, as a player shows them."""
    found = []
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="rgb24"))
    return found


def fly(folder: Path, numbers, rate_hz: float = 10.0) -> None:
    sink = OverlaySink(folder, TASK, rate_hz)
    for number in numbers:
        sink.write(outcome_of(TASK, number, frames=frames_of(TASK, number), rate_hz=rate_hz))
    sink.close()


def has_red(picture: np.ndarray) -> bool:
    return bool((np.abs(picture.astype(int) - RED).max(axis=2) < 12).sum() > 10)


def test_class_colours_lie_over_the_frame_and_a_mask_that_is_held_stays_on_its_own() -> None:
    painter = Painter(TASK, ("rgb", "ndsm", "heat"))
    frames = {"rgb": np.full((*TASK.grid, 3), (200, 100, 0), np.uint8)}
    fresh = outcome_of(TASK, 0, frames=frames)
    picture = painter.paint(fresh)
    factor = 480 // 33 + 1
    corner, colour = (
        picture[factor // 2, factor // 2],
        (0x20, 0x40, 0x80) if fresh.mask[0, 0] == 0 else (0xF0, 0xE0, 0x20),
    )
    assert np.allclose(corner, 0.55 * np.array((200, 100, 0)) + 0.45 * np.array(colour), atol=2)
    assert not has_red(picture)
    held = painter.paint(dataclasses.replace(outcome_of(TASK, 1, "held"), mask=fresh.mask))
    assert np.array_equal(held[: 25 * factor], picture[: 25 * factor])
    assert has_red(held)


def test_blind_tick_is_grey_and_its_caption_red() -> None:
    picture = Painter(TASK, ("rgb",)).paint(outcome_of(TASK, 0, "blind"))
    assert tuple(picture[3, 3]) == IGNORE_COLOUR
    assert has_red(picture)


@pytest.mark.parametrize("name", ["rgb", "ndsm", "heat"])
def test_every_kind_of_frame_is_shown_with_contrast_and_holes_harm_nothing(name: str) -> None:
    frame = frames_of(TASK)[name]
    if frame.dtype == np.float32:
        frame[0, 0] = np.nan
    picture = Painter(TASK, (name,)).paint(outcome_of(TASK, 0, frames={name: frame}))
    assert picture.std() > 20


def test_size_is_even_whatever_the_grid_and_long_reasons_and_many_classes_find_room() -> None:
    for grid in ((1, 1), (25, 33), (301, 515)):
        names = tuple(f"class number {n} with a name that is much too long to be shown in one line" for n in range(9))
        task = dataclasses.replace(task_of(RGB, grid=grid), classes=names, colours=("#102030",) * 9)
        painter = Painter(task, ("rgb",))
        picture = painter.paint(dataclasses.replace(outcome_of(task, 0), why="rgb off: a long story " * 20))
        assert picture.shape == (*painter.size, 3)
        assert not picture.shape[0] % 2
        assert not picture.shape[1] % 2


@pytest.mark.parametrize("rate_hz", [1.0, 10.0, 29.97])
def test_rate_is_constant_and_missing_ticks_show_the_picture_before(tmp_path, rate_hz) -> None:
    fly(tmp_path, [0, 1, 2, 6, 7], rate_hz)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        times = [frame.time for frame in container.decode(video=0)]
        assert float(stream.average_rate) == pytest.approx(rate_hz, rel=1e-3)
    assert np.allclose(times, np.arange(8) / rate_hz, atol=1e-3)


def test_file_that_is_cut_anywhere_plays_up_to_the_last_half_second_on_the_disk(tmp_path) -> None:
    fly(tmp_path, range(40))
    data = (tmp_path / "overlay.mp4").read_bytes()
    whole = len(pictures(tmp_path / "overlay.mp4"))
    assert whole == 40
    for share in (0.3, 0.5, 0.77, 0.95):
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(data[: int(len(data) * share)])
        assert len(pictures(cut)) >= share * whole - 10


def test_file_holds_all_but_the_last_half_second_while_it_is_being_written(tmp_path) -> None:
    sink = OverlaySink(tmp_path, TASK, 10.0)
    for number in range(30):
        sink.write(outcome_of(TASK, number, frames=frames_of(TASK, number)))
    sink.sync()
    (tmp_path / "copy.mp4").write_bytes((tmp_path / "overlay.mp4").read_bytes())
    sink.close()
    assert len(pictures(tmp_path / "copy.mp4")) >= 24


def test_full_disk_is_a_storage_error_and_the_next_success_begins_another_file(tmp_path, monkeypatch) -> None:
    full, real = [False], io.FileIO

    class Disk(real):
        def write(self, data: bytes) -> int:
            if full[0]:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr("dis2_runtime.sinks.video.io.FileIO", Disk)
    sink = OverlaySink(tmp_path, TASK, 10.0)
    failed = []
    for number in range(60):
        full[0] = 20 <= number < 40
        try:
            sink.write(outcome_of(TASK, number, frames=frames_of(TASK, number)))
        except StorageError as error:
            failed.append(number)
            message = str(error)
    sink.close()
    assert failed
    assert "no space left while writing" in message
    assert set(failed) <= set(range(20, 40))
    parts = sorted(tmp_path.glob("overlay*.mp4"), key=lambda path: path.stat().st_mtime_ns)
    assert len(pictures(tmp_path / "overlay.mp4")) >= 14
    assert len(pictures(parts[-1])) >= 20


def test_disk_that_stays_full_leaves_one_file_not_one_an_attempt(tmp_path, monkeypatch) -> None:
    class Full(io.FileIO):
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("dis2_runtime.sinks.video.io.FileIO", Full)
    guard = Guarded("overlay", OverlaySink(tmp_path, TASK, 10.0))
    for number in range(400):
        guard.write(outcome_of(TASK, number))
    guard.close()
    assert guard.tally.failed > 5
    assert guard.tally.written < 20
    assert len(list(tmp_path.iterdir())) <= 3


def test_file_without_a_picture_and_without_h264_are_no_errors(tmp_path, monkeypatch) -> None:
    OverlaySink(tmp_path / "empty", TASK, 10.0).close()
    codecs = {"no-such-encoder": {}, "mpeg4": {"qscale": "4"}}
    monkeypatch.setattr("dis2_runtime.sinks.video.CODECS", codecs)
    video = Video(tmp_path / "x.mp4", (32, 48), 10.0)
    video.append(np.zeros((32, 48, 3), np.uint8))
    video.close()
    assert video.codec == "mpeg4"
    assert len(pictures(tmp_path / "x.mp4")) == 1


def test_missing_pyav_is_answered_with_the_pip_line(tmp_path, two, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "rig.toml").write_text('sinks = ["overlay"]\n[sensors.rgb]\nsource = "flight:none"\n')
    (tmp_path / "none").mkdir()
    write_scene(tmp_path / "none", two.manifest.task)
    words = ["run", str(two.path), "--rig", str(tmp_path / "rig.toml"), "--out", str(tmp_path / "out"), "--ticks", "1"]
    assert main([*words, "--speed", "max"]) == 2
    assert "pip install 'dis2-edge[stream]'" in capsys.readouterr().err


def test_folder_that_cannot_be_made_is_told_before_the_flight(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        OverlaySink(tmp_path / "file" / "out", TASK, 10.0)
