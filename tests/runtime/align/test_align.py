"""The fast way to the grid equals the reference, whatever the geometry, and settles into buffers of its own."""

from __future__ import annotations

import dataclasses
import importlib
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HEAT, NDSM, RGB, task_of

from dis2_edge.errors import DataError
from dis2_edge.lens import Lens
from dis2_edge.prepare import bring
from dis2_edge.sensors import Sensor
from dis2_runtime.align import lookup
from dis2_runtime.align.aligner import KEPT_SIZES, Aligner
from dis2_runtime.frames import Frame

WIDE = dataclasses.replace(HEAT, name="wide", channels=5, mean=(30000.0,) * 5, std=(1.0,) * 5)
FAST = [pytest.param(True, marks=pytest.mark.skipif(lookup.opencv() is None, reason="OpenCV is not installed")), False]
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))
HOMOGRAPHIES = st.tuples(
    *(st.floats(low, high) for low, high in ((0.3, 2), (-0.4, 0.4), (-20, 20), (-0.4, 0.4), (0.3, 2), (-20, 20))),
    *(st.floats(-0.004, 0.004) for _ in range(2)),
    st.just(1.0),
)
LENSES = st.builds(
    Lens,
    st.floats(20, 90),
    st.floats(20, 90),
    st.floats(-5, 70),
    st.floats(-5, 70),
    k1=st.floats(-0.3, 0.3),
    p1=st.floats(-0.02, 0.02),
)


def frame_of(sensor: Sensor, size: tuple[int, int], holes: float = 0.0, seed: int = 0) -> np.ndarray:
    """Noise over the whole valid range, with a share of holes."""
    random = np.random.default_rng(seed)
    pixels = random.uniform(sensor.valid_min, sensor.valid_max, (*size, sensor.channels)).astype(sensor.dtype)
    if holes and sensor.dtype != "uint8":
        pixels[random.random(pixels.shape) < holes] = np.nan if sensor.dtype == "float32" else 0
    return pixels


def aligner_of(sensor: Sensor, grid: tuple[int, int], *, fast: bool, remap: np.ndarray | None = None) -> Aligner:
    return Aligner(task_of(sensor, grid=grid), {} if remap is None else {sensor.name: remap}, fast=fast)


def check_equal(sensor: Sensor, pixels: np.ndarray, grid: tuple[int, int], *, fast: bool, remap=None) -> None:
    """Same pixels within 1 of an integer or 1e-5 of a float's largest magnitude, same holes, or the same refusal."""
    refusal = ""
    try:
        expected, holes = bring(pixels, sensor, grid, remap)
    except DataError as error:
        refusal = str(error)
    if refusal:
        with pytest.raises(DataError) as found:
            aligner_of(sensor, grid, fast=fast, remap=remap).align(Frame(sensor.name, pixels, 0, 0))
        assert str(found.value) == refusal
        return
    aligned = aligner_of(sensor, grid, fast=fast, remap=remap).align(Frame(sensor.name, pixels, 0, 0))
    assert aligned.pixels.dtype == pixels.dtype
    assert aligned.holes == holes
    scale = 1 if sensor.dtype != "float32" else 1e-5 * max(1.0, float(np.nanmax(np.abs(pixels), initial=0)))
    difference = np.abs(aligned.pixels.astype(np.float64) - expected)
    assert difference.max() <= scale


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize("sensor", [RGB, NDSM, HEAT, WIDE], ids=lambda sensor: sensor.name)
class TestEqualToTheReference:
    @settings(max_examples=25)
    @given(size=SIZES, grid=SIZES, fit=st.sampled_from(["resize", "crop"]), holes=st.sampled_from([0, 0.1, 1]))
    def test_fit(self, fast, sensor, size, grid, fit, holes) -> None:
        check_equal(dataclasses.replace(sensor, fit=fit), frame_of(sensor, size, holes), grid, fast=fast)

    @settings(max_examples=25)
    @given(size=SIZES, grid=SIZES, to_grid=HOMOGRAPHIES, holes=st.sampled_from([0, 0.1]))
    def test_homography(self, fast, sensor, size, grid, to_grid, holes) -> None:
        check_equal(dataclasses.replace(sensor, to_grid=to_grid), frame_of(sensor, size, holes), grid, fast=fast)

    @settings(max_examples=25)
    @given(size=SIZES, grid=SIZES, lens=LENSES, to_grid=st.one_of(st.none(), HOMOGRAPHIES))
    def test_lens(self, fast, sensor, size, grid, lens, to_grid) -> None:
        changes = {"lens": lens} | ({"to_grid": to_grid} if to_grid else {})
        check_equal(dataclasses.replace(sensor, **changes), frame_of(sensor, size), grid, fast=fast)

    @settings(max_examples=25)
    @given(size=SIZES, grid=SIZES, seed=st.integers(0, 99))
    def test_remap(self, fast, sensor, size, grid, seed) -> None:
        table = np.random.default_rng(seed).uniform(-8, 75, (*grid, 2)).astype(np.float32)
        check_equal(sensor, frame_of(sensor, size, 0.1), grid, fast=fast, remap=table)


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize("view", ["flipped", "bands swapped", "every second", "read-only"])
def test_frames_of_any_layout(fast: bool, view: str) -> None:
    frame = frame_of(RGB, (40, 50))
    seen = {
        "flipped": frame[::-1],
        "bands swapped": frame[..., ::-1],
        "every second": frame[:, ::2],
        "read-only": frame,
    }
    pixels = seen[view]
    pixels.flags.writeable = False
    for sensor in (
        RGB,
        dataclasses.replace(RGB, to_grid=(0.6, 0, 0, 0, 0.6, 0, 0, 0, 1)),
        dataclasses.replace(RGB, fit="crop"),
    ):
        check_equal(sensor, pixels, (24, 25), fast=fast)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)],
)
def test_a_foreign_frame_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DataError):
        aligner_of(RGB, (8, 8), fast=True).align(Frame("rgb", pixels, 0, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to_grid": (0.0,) * 9}, "cannot be inverted"),
        ({"to_grid": (1, 0, 900, 0, 1, 0, 0, 0, 1), "size": (48, 64)}, "to_grid brings no pixel of a 48x64 frame"),
        ({"fit": "crop", "size": (20, 64)}, "20x64 pixels; expected at least the grid's 24x32"),
        ({"fit": "tile", "size": (48, 64)}, "say its size in the rig"),
    ],
)
def test_a_geometry_that_can_never_fit_is_refused_at_the_start(changes, message) -> None:
    with pytest.raises(DataError, match=message):
        Aligner(task_of(dataclasses.replace(RGB, **changes)))
    with pytest.raises(DataError, match="remap table of 3x3x2"):
        Aligner(task_of(RGB), {"rgb": np.zeros((3, 3, 2), np.float32)})


def test_a_size_that_covers_nothing_is_refused_in_flight_at_little_cost(monkeypatch) -> None:
    aligner = aligner_of(dataclasses.replace(RGB, to_grid=(1, 0, -60, 0, 1, 0, 0, 0, 1)), (24, 32), fast=False)
    aligner.align(Frame("rgb", frame_of(RGB, (70, 70)), 0, 0))
    calls = []
    places = importlib.import_module("dis2_runtime.align.aligner").places
    monkeypatch.setattr("dis2_runtime.align.aligner.places", lambda *args: calls.append(args) or places(*args))
    for number in range(5):
        with pytest.raises(DataError, match="brings no pixel of a 50x50 frame"):
            aligner.align(Frame("rgb", frame_of(RGB, (50, 50)), 0, number))
    assert len(calls) == 1
    assert aligner.align(Frame("rgb", frame_of(RGB, (70, 70)), 0, 9)).holes == 0


@pytest.mark.parametrize("fast", FAST)
def test_a_result_is_valid_until_the_next_but_one(fast: bool) -> None:
    aligner = aligner_of(RGB, (24, 32), fast=fast)
    first, second = (aligner.align(Frame("rgb", frame_of(RGB, (48, 64), seed=n), 0, n)) for n in (1, 2))
    kept = first.pixels.copy()
    np.testing.assert_array_equal(first.pixels, kept)
    assert not np.shares_memory(first.pixels, second.pixels)
    third = aligner.align(Frame("rgb", frame_of(RGB, (48, 64), seed=3), 0, 3))
    assert np.shares_memory(first.pixels, third.pixels)


GEOMETRIES = {
    "fits": {},
    "resize": {"size": (300, 400)},
    "crop": {"size": (300, 400), "fit": "crop"},
    "homography": {"size": (300, 400), "to_grid": (0.7, 0, 3, 0, 0.7, 0, 0, 0, 1)},
    "lens": {"size": (300, 400), "lens": Lens(300, 300, 200, 150, k1=-0.1)},
}


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize("sensor", [RGB, NDSM, HEAT, WIDE], ids=lambda sensor: sensor.name)
@pytest.mark.parametrize("geometry", list(GEOMETRIES))
def test_nothing_of_frame_size_is_allocated_once_it_flies(fast: bool, sensor: Sensor, geometry: str) -> None:
    bent = dataclasses.replace(sensor, **GEOMETRIES[geometry])
    aligner = aligner_of(bent, (256, 256), fast=fast)
    size = bent.size if min(bent.size) else (256, 256)
    frames = [Frame(sensor.name, frame_of(sensor, size, 0.05, seed), 0, seed) for seed in range(6)]
    for frame in frames:
        aligner.align(frame)
    tracemalloc.start()
    try:
        for frame in frames:
            aligner.align(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 70_000  # a plane of the grid, one byte a pixel, is 65,536; NumPy's cast buffers are smaller


def sizes_in_turn(count: int) -> Iterator[tuple[int, int]]:
    for number in range(count):
        yield 30 + number, 41 + number % 7


def test_a_source_that_keeps_changing_size_keeps_no_tables() -> None:
    sensor = dataclasses.replace(RGB, lens=Lens(30, 30, 20, 20, k1=-0.1))
    aligner = aligner_of(sensor, (24, 32), fast=False)
    for number, size in enumerate(sizes_in_turn(40)):
        aligner.align(Frame("rgb", frame_of(RGB, size), 0, number))
    assert len(aligner._ways["rgb"]._routes) == KEPT_SIZES


def test_without_opencv_numpy_flies(monkeypatch) -> None:
    lookup.opencv.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    try:
        assert lookup.opencv() is None
        check_equal(RGB, frame_of(RGB, (48, 64)), (24, 32), fast=True)
    finally:
        lookup.opencv.cache_clear()


def test_an_opencv_that_rounds_places_is_not_believed(monkeypatch) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    exact = cv2.remap

    def rounding(pixels, columns, rows, *args, **settings):
        return exact(pixels, np.round(columns * 32) / 32, np.round(rows * 32) / 32, *args, **settings)

    lookup.opencv.cache_clear()
    monkeypatch.setattr(cv2, "remap", rounding)
    try:
        assert lookup.opencv() is None
    finally:
        lookup.opencv.cache_clear()


def test_a_failure_of_opencv_is_told_as_ours(monkeypatch) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    resize = lookup.resize_with(cv2, (0, 0))
    with pytest.raises(DataError, match="OpenCV cannot bring a frame"):
        resize(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))


@given(st.integers(1, 40), st.integers(1, 40))
def test_frames_that_fit_come_back_themselves(height: int, width: int) -> None:
    frame = frame_of(RGB, (height, width))
    assert aligner_of(RGB, (height, width), fast=True).align(Frame("rgb", frame, 0, 0)).pixels is frame
