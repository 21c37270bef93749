"""Frames larger than the grid: windows cover them, votes decide, and nothing shows where windows meet."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import NDSM, RGB, frames_of, make_bundle, task_of, write_scene

from dis2_edge.errors import EngineError, RecipeError
from dis2_edge.images import image_size
from dis2_runtime.align.tiler import Tiler, output_grid, output_task, tiled
from dis2_runtime.engine import Answer
from dis2_runtime.engines import open_engine
from dis2_runtime.fly import Flight, fly
from dis2_runtime.rig import Rig, RigSensor
from dis2_runtime.stream import Limits

GRID = (24, 32)


class Scripted:
    """An engine whose answer depends on the window's own pixels: class and confidence stand in the frame."""

    scenarios = ("rgb",)

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.calls = -1

    def infer(self, scenario, frames, into=None):
        self.calls += 1
        into.mask[...] = frames["rgb"][..., 0]
        into.confidence[...] = frames["rgb"][..., 1]
        return into


class Constant(Scripted):
    """Each window in turn answers one class with one confidence."""

    def __init__(self, answers) -> None:
        super().__init__()
        self.answers = answers

    def infer(self, scenario, frames, into=None):
        into.mask[...], into.confidence[...] = self.answers[self.calls % len(self.answers)]
        self.calls += 1
        return into


def big(task, size):
    return dataclasses.replace(task, grid=size)


def in_tiles(*sensors, size):
    return task_of(*(dataclasses.replace(sensor, fit="tile", size=size) for sensor in sensors), grid=GRID)


@given(st.integers(24, 110), st.integers(32, 140), st.integers(0, 99))
@settings(max_examples=30)
def test_windows_that_agree_leave_every_pixel_as_it_is(height: int, width: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    answer = Tiler(Scripted(), task_of(RGB), (height, width)).infer("rgb", {"rgb": frame})
    np.testing.assert_array_equal(answer.mask, frame[..., 0])
    np.testing.assert_array_equal(answer.confidence, frame[..., 1])


@pytest.mark.parametrize("scenario", ["rgb+ndsm", "rgb", "ndsm"])
def test_a_tiled_answer_is_that_of_one_large_inference(two, tmp_path, scenario: str) -> None:
    size = (100, 150)
    task, whole = in_tiles(RGB, NDSM, size=size), task_of(RGB, NDSM, grid=size)
    pixels = frames_of(whole)
    frames = {name: pixels[name] for name in scenario.split("+")}
    with open_engine(make_bundle(tmp_path / "large", whole), threads=1) as engine:
        large = engine.infer(scenario, frames)
    with tiled(open_engine(two, threads=1), task) as engine:
        answer = engine.infer(scenario, frames)
        assert engine.scenarios == task.scenarios
    assert 0.1 < large.mask.mean() < 0.9
    np.testing.assert_array_equal(answer.mask, large.mask)
    np.testing.assert_array_equal(answer.confidence, large.confidence)


def test_votes_fall_towards_a_window_edge_and_the_confident_win_more_ground() -> None:
    size = (24, 56)  # two windows, which share columns 24 to 31
    even = Tiler(Constant([(1, 200), (2, 200)]), task_of(RGB), size).infer("rgb", {"rgb": np.zeros((*size, 3), "u1")})
    assert (even.mask[:, :28] == 1).all()
    assert (even.mask[:, 28:] == 2).all()
    assert even.confidence[0, 0] == even.confidence[0, -1] == 200
    assert even.confidence[0, 27] == round(200 * 5 / 9)  # weights 5 and 4: only its own share speaks for a winner
    sure = Tiler(Constant([(1, 100), (2, 250)]), task_of(RGB), size).infer("rgb", {"rgb": np.zeros((*size, 3), "u1")})
    assert (sure.mask == 2).mean() > (even.mask == 2).mean()


def test_three_windows_of_which_two_agree() -> None:
    size = (24, 34)
    tiler = Tiler(Constant([(1, 100), (2, 120)]), task_of(RGB), size)
    answer = tiler.infer("rgb", {"rgb": np.zeros((*size, 3), np.uint8)})
    assert set(np.unique(answer.mask)) == {1, 2}
    assert answer.confidence.max() <= 120


def test_neighbours_share_an_eighth_even_where_windows_would_fit_side_by_side() -> None:
    tiler = Tiler(Scripted(), task_of(RGB), (48, 64))
    starts = sorted({window.left for window in tiler._windows})
    assert max(b - a for a, b in itertools.pairwise(starts)) <= 32 - 4


def test_no_buffer_of_frame_size_is_made_in_flight() -> None:
    size = (240, 320)
    tiler, into = Tiler(Scripted(), task_of(RGB), size), Answer.empty(*size)
    frame = np.zeros((*size, 3), np.uint8)
    tiler.infer("rgb", {"rgb": frame}, into)
    tracemalloc.start()
    try:
        tiler.infer("rgb", {"rgb": frame}, into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 70_000


def test_frames_and_buffers_of_another_size_are_refused() -> None:
    tiler = Tiler(Scripted(), task_of(RGB), (48, 64))
    with pytest.raises(EngineError, match="'rgb': a frame of 48x60x3; expected 48x64x3"):
        tiler.infer("rgb", {"rgb": np.zeros((48, 60, 3), np.uint8)})
    with pytest.raises(EngineError, match="a buffer of"):
        tiler.infer("rgb", {"rgb": np.zeros((48, 64, 3), np.uint8)}, Answer.empty(24, 32))


def test_output_grid_is_that_of_the_sensors_in_tiles() -> None:
    assert output_grid(task_of(RGB, NDSM)) == GRID
    assert output_grid(task_of(dataclasses.replace(RGB, fit="tile"), grid=GRID)) == GRID
    mixed = task_of(dataclasses.replace(RGB, fit="tile", size=(48, 64)), NDSM, grid=GRID)
    assert output_task(mixed).grid == (48, 64)
    bent = dataclasses.replace(NDSM, fit="tile", size=(20, 20), to_grid=(3, 0, 0, 0, 3, 0, 0, 0, 1))
    assert output_grid(task_of(mixed.sensors[0], bent, grid=GRID)) == (48, 64)
    engine = Scripted()
    assert tiled(engine, task_of(RGB)) is engine


@pytest.mark.parametrize(
    ("sizes", "message"),
    [(((48, 64), (50, 64)), "rgb 48x64, ndsm 50x64; expected one size"), (((20, 64), (20, 64)), "at least the grid's")],
)
def test_tiles_that_cannot_be_cut(sizes, message) -> None:
    sensors = (dataclasses.replace(s, fit="tile", size=size) for s, size in zip((RGB, NDSM), sizes, strict=True))
    with pytest.raises(RecipeError, match=message):
        output_grid(task_of(*sensors, grid=GRID))


def test_a_flight_in_tiles_writes_masks_of_the_frames_size(tmp_path) -> None:
    bundle = make_bundle(tmp_path / "b", task_of(RGB, NDSM))
    scene = write_scene(tmp_path / "scene", bundle.manifest.task)
    rig = Rig({"rgb": RigSensor(fit="tile", size=(48, 64)), "ndsm": RigSensor(size=(30, 40))})
    flight = Flight(dict.fromkeys(("rgb", "ndsm"), f"flight:{scene}"), rig, speed="max", limits=Limits(ticks=5))
    summary = fly(bundle.path, tmp_path / "out", flight)
    assert summary["answered"] == 5
    for file in (tmp_path / "out" / "masks").iterdir():
        assert image_size(file) == (48, 64)
    last = json.loads((tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()[-1])
    assert last["scenario"] == "rgb+ndsm"
