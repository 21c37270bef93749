"""Class-wise attention: what its launcher refuses, and that any shape in any layout is its reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dis2_edge.errors import EngineError
from dis2_runtime.kernels.classwise_attention import ClasswiseAttention, maps_of, naive_maps_of
from tests.runtime.kernels.roomy import room_of
from tests.runtime.kernels.shim.building import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")


def maps_from(
    f4: Any, queries: Any, layouts: tuple[Any, Any] = ("chw", "chw"), late: int = 0, schedule: int = 0
) -> Any:
    """Maps (B K, C, h, w) as the kernel makes them."""
    batch, channels, height, width = f4.shape
    with room_of("classwise_attention", schedule) as room:
        kernel = ClasswiseAttention(
            room.driver, room.module, f4.shape, len(queries), f4_layout=layouts[0], maps_layout=layouts[1]
        )
        given = f4.transpose(0, 2, 3, 1) if layouts[0] == "hwc" else f4
        last = layouts[1] == "hwc"
        shape = (height, width, channels) if last else (channels, height, width)
        maps = room.take((batch * len(queries), *shape), np.float16, late)
        space = room.take((kernel.workspace_bytes,), np.uint8)
        kernel.launch(room.stream, room.give(given, late), room.give(queries, late), maps.address, space.address)
        room.read(space)
        found = room.read(maps)
    return found.transpose(0, 3, 1, 2) if last else found


LAYOUTS = some.sampled_from(("chw", "hwc"))


@settings(max_examples=30)
@given(
    batch=some.integers(1, 2),
    channels=some.integers(1, 70),
    grid=some.tuples(some.integers(1, 9), some.integers(1, 9)),
    classes=some.integers(1, 20),
    layouts=some.tuples(LAYOUTS, LAYOUTS),
    loud=some.sampled_from((0.0, 1.0, 60.0)),
    seed=some.integers(0, 99),
)
def test_any_shape_is_the_reference(
    batch: int, channels: int, grid: tuple[int, int], classes: int, layouts: Any, loud: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    f4 = random.standard_normal((batch, channels, *grid)).astype(np.float16)
    queries = (random.standard_normal((classes, channels)) * loud).astype(np.float16)

    found, exact = maps_from(f4, queries, layouts, schedule=seed), maps_of(f4, queries)

    naive = np.abs(naive_maps_of(f4, queries) - exact).max()
    assert np.abs(found - exact).max() <= max(2 * naive, np.abs(exact).max() / 2048)


@pytest.mark.parametrize("layouts", [("chw", "chw"), ("chw", "hwc"), ("hwc", "chw"), ("hwc", "hwc")])
def test_the_way_of_reading_changes_no_bit(layouts: tuple[str, str]) -> None:
    random = np.random.default_rng(0)
    f4 = random.standard_normal((1, 40, 5, 8)).astype(np.float16)
    queries = random.standard_normal((3, 40)).astype(np.float16)

    wide, narrow = maps_from(f4, queries, layouts), maps_from(f4, queries, layouts, late=2, schedule=6)

    np.testing.assert_array_equal(wide, narrow)


def test_uniform_attention_leaves_f4_as_it_is() -> None:
    f4 = np.random.default_rng(0).standard_normal((2, 8, 3, 5)).astype(np.float16)

    maps = maps_from(f4, np.zeros((3, 8), np.float16))

    np.testing.assert_array_equal(maps.reshape(2, 3, 8, 3, 5), np.repeat(f4[:, None], 3, axis=1))


def test_one_place_has_all_the_weight_whatever_its_score() -> None:
    f4 = np.array([60000, -60000, 1, 2, 3, 4, 5, 6], np.float16).reshape(1, 8, 1, 1)

    np.testing.assert_array_equal(maps_from(f4, np.full((1, 8), 60000, np.float16)), f4)


def test_scores_beyond_what_exponents_hold_pick_the_best_place() -> None:
    f4 = np.zeros((1, 8, 1, 40), np.float16)
    f4[0, 0, 0] = np.linspace(-1, 1, 40)

    maps = maps_from(f4, np.full((1, 8), 30000, np.float16))

    expected = np.zeros_like(f4)
    expected[0, 0, 0, -1] = 40
    np.testing.assert_array_equal(maps, expected)


@pytest.mark.parametrize("channel", [0, 7])
def test_nan_spreads_over_its_picture_and_no_further(channel: int) -> None:
    f4 = np.ones((3, 8, 5, 8), np.float16)
    f4[1, channel, 4, 7] = np.nan

    maps = maps_from(f4, np.ones((2, 8), np.float16)).reshape(3, 2, 8, 5, 8)

    assert np.isnan(maps[1]).all()
    np.testing.assert_array_equal(maps[[0, 2]], 1)


@pytest.mark.parametrize(
    ("shape", "classes", "layout", "said"),
    [
        ((1, 8, 0, 4), 2, "chw", "height is 0"),
        ((0, 8, 4, 4), 2, "chw", "batch is 0"),
        ((1, 8, 1 << 16, 1 << 15), 2, "chw", "places is 2147483648"),
        ((1, 8, 4, 4), 0, "chw", "classes is 0"),
        ((1, 8, 4, 4), 129, "chw", "129 classes of 1 pictures"),
        ((65_536, 8, 4, 4), 2, "chw", "2 classes of 65536 pictures"),
        ((1, 8, 4, 4), 2, "nchw", "layout 'nchw'.*chw or hwc"),
    ],
)
def test_what_cannot_be_launched_is_refused(shape: Any, classes: int, layout: Any, said: str) -> None:
    with room_of("classwise_attention") as room, pytest.raises(EngineError, match=said):
        ClasswiseAttention(room.driver, room.module, shape, classes, maps_layout=layout)


@pytest.mark.parametrize("argument", ["f4", "queries", "maps", "workspace"])
@pytest.mark.parametrize(("address", "said"), [(0, "null"), (0x1001, "0x1001")])
def test_an_address_that_cannot_be_read_is_refused(argument: str, address: int, said: str) -> None:
    with room_of("classwise_attention") as room:
        kernel = ClasswiseAttention(room.driver, room.module, (1, 8, 4, 4), 2)
        given = dict.fromkeys(("f4", "queries", "maps", "workspace"), 4096) | {argument: address}

        with pytest.raises(EngineError, match=f"{argument} lies at {said}"):
            kernel.launch(room.stream, **given)
