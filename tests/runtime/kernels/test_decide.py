"""Decide: any logits are the reference, those that are not finite included, and bad input is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dis2_edge.errors import EngineError
from dis2_runtime.kernels.decide import Decide, answer_of
from tests.runtime.kernels.roomy import room_of
from tests.runtime.kernels.shim.building import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")

LOGITS = some.sampled_from((np.nan, np.inf, -np.inf, -60000.0, -2.0, 0.0, 0.5, 3.0, 3.0, 60000.0))


def run(logits: Any, schedule: int = 0) -> tuple[Any, Any, Any]:
    """Mask, confidence and counts."""
    classes, *grid = logits.shape
    with room_of("decide", schedule) as room:
        kernel = Decide(room.driver, room.module, classes, tuple(grid), logits.dtype)
        outs = room.take(tuple(grid), np.uint8), room.take(tuple(grid), np.uint8), room.take((classes,), np.int32)
        kernel.launch(room.stream, room.give(logits), *(one.address for one in outs))
        mask, confidence, counts = map(room.read, outs)
    return mask, confidence, counts


@given(
    values=some.lists(LOGITS, min_size=6, max_size=60),
    classes=some.integers(1, 6),
    dtype=some.sampled_from(("float32", "float16")),
)
def test_any_logits_are_the_reference(values: list[float], classes: int, dtype: str) -> None:
    pixels = len(values) // classes
    logits = np.array(values[: pixels * classes], dtype).reshape(classes, 1, pixels)

    mask, confidence, counts = run(logits, schedule=len(values))

    expected = answer_of(logits)
    np.testing.assert_array_equal(mask, expected.mask)
    np.testing.assert_allclose(confidence.astype(int), expected.confidence.astype(int), rtol=0, atol=1)
    np.testing.assert_array_equal(counts, np.bincount(mask.ravel(), minlength=classes))


def test_where_nothing_is_said_the_confidence_is_0() -> None:
    logits = np.zeros((3, 1, 4), np.float32)
    logits[1, 0, 0], logits[1, 0, 1], logits[:, 0, 2] = np.nan, np.inf, -np.inf

    mask, confidence, _ = run(logits)

    assert mask.ravel()[:2].tolist() == [1, 1]
    assert confidence.ravel().tolist() == [0, 0, 0, 85]


@pytest.mark.parametrize(
    ("classes", "grid", "dtype", "said"),
    [
        (0, (4, 4), "float32", "classes is 0"),
        (2, (4, 0), "float32", "width is 0"),
        (2, (1 << 16, 1 << 15), "float32", "pixels is 2147483648"),
        (257, (4, 4), "float32", "257 classes in float32"),
        (2, (4, 4), "float64", "2 classes in float64"),
    ],
)
def test_what_cannot_be_launched_is_refused(classes: int, grid: Any, dtype: str, said: str) -> None:
    with room_of("decide") as room, pytest.raises(EngineError, match=said):
        Decide(room.driver, room.module, classes, grid, dtype)


@pytest.mark.parametrize(
    ("argument", "address"), [("logits", 0), ("logits", 0x1002), ("counts", 0x1002), ("mask", 0), ("confidence", 0)]
)
def test_an_address_that_cannot_be_used_is_refused(argument: str, address: int) -> None:
    with room_of("decide") as room:
        kernel = Decide(room.driver, room.module, 2, (4, 4), "float32")
        given = dict.fromkeys(("logits", "mask", "confidence", "counts"), 4096) | {argument: address}
        with pytest.raises(EngineError, match=f"{argument} lies at"):
            kernel.launch(room.stream, **given)
