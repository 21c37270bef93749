"""Fusion attention: what its launchers refuse, the shape that DIS2 flies, and what bytes cost."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.kernels.fusion_attention import FusionAttention, FusionAttentionQk8, Sizes
from dis2_runtime.kernels.fusion_truth import allowed_of, exact_of, naive_of, qk8_bound
from dis2_runtime.kernels.proving import Room, excess
from tests.runtime.kernels.host_driver import HostDriver
from tests.runtime.kernels.shim.building import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")

SIZES = Sizes(batch=1, queries=9, keys=70, heads=2, width=64)
Array = npt.NDArray[Any]


@pytest.fixture
def room() -> Room:
    driver = HostDriver(schedule=2)
    return Room(driver, driver.built("fusion_attention"), driver.stream())


def drawn(sizes: Sizes, spread: float = 1.0) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(5)
    rows = (sizes.queries, sizes.keys, sizes.keys)
    q, k, v = (random.standard_normal((sizes.batch, n, sizes.width)).astype(np.float16) for n in rows)
    return q * np.float16(spread), k, v


def answer(room: Room, sizes: Sizes, q: Array, k: Array, v: Array, *, qk8: bool = False, groups: int = 1) -> Array:
    out = room.take(q.shape, np.float16)
    given = [room.give(part) for part in (q, k, v)]
    if qk8:
        kernel = FusionAttentionQk8(room.driver, room.module, sizes, np.float16, groups)
        kernel.launch(room.stream, *given, out.address, room.take((kernel.scratch_bytes,), np.uint8).address)
    else:
        FusionAttention(room.driver, room.module, sizes, np.float16, groups).launch(room.stream, *given, out.address)
    return room.read(out)


@pytest.mark.parametrize(
    ("change", "dtype", "told"),
    [
        ({"width": 128}, "float16", "2 heads in 128 numbers of float16"),
        ({"width": 48}, "float16", "heads of 32 in float16"),
        ({}, "float32", "2 heads in 64 numbers of float32"),
        ({"queries": 0}, "float16", "queries is 0"),
        ({"keys": -1}, "float16", "keys is -1"),
        ({"queries": 1 << 31}, "float16", "queries is 2147483648"),
        ({"q_row": 60}, "float16", "rows of q lie 60 apart"),
        ({"k_row": 68}, "float16", "rows of k lie 68 apart"),
        ({"v_row": 1 << 25}, "float16", "rows of 33554432"),
        ({"batch": 1 << 16}, "float16", "a batch of 65536"),
    ],
)
def test_refuses_what_it_has_no_answer_for(room: Room, change: dict[str, int], dtype: str, told: str) -> None:
    sizes = dataclasses.replace(SIZES, **change)
    for kernel in (FusionAttention, FusionAttentionQk8):
        with pytest.raises(EngineError, match=told):
            kernel(room.driver, room.module, sizes, dtype)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("wrong", [0, 8, 2])
def test_refuses_addresses_that_lie_badly(room: Room, place: int, wrong: int) -> None:
    kernel = FusionAttention(room.driver, room.module, SIZES, np.float16)
    addresses = [4096, 8192, 16384, 32768]
    addresses[place] = addresses[place] + wrong if wrong else 0

    with pytest.raises(EngineError, match=f"^{('q', 'k', 'v', 'out')[place]} lies at"):
        kernel.launch(room.stream, addresses[0], addresses[1], addresses[2], addresses[3])


def test_refuses_scratch_that_lies_badly(room: Room) -> None:
    kernel = FusionAttentionQk8(room.driver, room.module, SIZES, np.float16)

    with pytest.raises(EngineError, match="scratch lies at"):
        kernel.launch(room.stream, 4096, 4096, 4096, 4096, 4100)


@pytest.mark.parametrize(
    ("multiprocessors", "batch", "keys", "groups"),
    [(132, 1, 130, 2), (132, 1, 2050, 2), (132, 8, 2050, 1), (132, 1, 64, 1), (16, 1, 130, 1), (8, 1, 2050, 1)],
)
def test_splits_keys_where_a_gpu_would_idle(multiprocessors: int, batch: int, keys: int, groups: int) -> None:
    assert Sizes(batch, 2050, keys, 8, 256).groups(multiprocessors) == groups


def test_reference_is_the_definition() -> None:
    q, k, v = (part.astype(np.float64) for part in drawn(SIZES))
    expected = np.empty_like(q)
    for row in range(SIZES.queries):
        for head in range(SIZES.heads):
            own = slice(32 * head, 32 * head + 32)
            weights = [math.exp(float(q[0, row, own] @ key) / math.sqrt(32)) for key in k[0, :, own]]
            expected[0, row, own] = np.array(weights) @ v[0, :, own] / sum(weights)

    assert np.allclose(exact_of(q, k, v, SIZES.heads), expected, rtol=1e-12)


def test_bound_is_the_naive_error_twice() -> None:
    given = drawn(SIZES)
    naive, exact = naive_of(*given, SIZES.heads), exact_of(*given, SIZES.heads)

    assert allowed_of(*given, SIZES.heads) == 2 * np.abs(naive - exact).max() > 0


@pytest.mark.parametrize(("queries", "keys", "groups"), [(2050, 130, 1), (64, 2050, 2)])
def test_shapes_that_fly(room: Room, queries: int, keys: int, groups: int) -> None:
    sizes = Sizes(1, queries, keys, 1, 32)
    given = drawn(sizes, spread=2.0)

    found = answer(room, sizes, *given, groups=groups)

    assert excess(found, exact_of(*given, 1), allowed_of(*given, 1)) <= 1


@pytest.mark.parametrize("qk8", [False, True])
def test_scores_that_no_float_tells_apart_are_no_number(room: Room, qk8: bool) -> None:
    sizes = Sizes(1, 32, 70, 1, 32)
    q, k, v = drawn(sizes)
    k[:], q[0, :16] = 60000, np.linspace(2000, 60000, 16)[:, None]  # to 2e10; half ends at 65,504
    q[0, 16:] = -q[0, :16]

    assert np.isnan(answer(room, sizes, q, k, v, qk8=qk8)).all()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_query_that_is_no_number_stays_alone(room: Room, groups: int) -> None:
    sizes = Sizes(1, 40, 130, 1, 32)
    q, k, v = drawn(sizes)
    q[0, 17, 0] = np.nan

    found = answer(room, sizes, q, k, v, groups=groups)

    assert np.isnan(found[0, 17]).all()
    assert np.isfinite(np.delete(found[0], 17, axis=0)).all()


def test_bytes_cost_what_their_steps_say(room: Room) -> None:
    sizes = Sizes(1, 64, 200, 1, 32)
    q, k, v = drawn(sizes)
    exact = exact_of(q, k, v, 1)

    wrong = answer(room, sizes, q, k, v, qk8=True) - exact

    assert (np.abs(wrong) <= qk8_bound(q, k, v, 1) + allowed_of(q, k, v, 1)).all()
    assert 0.7 < np.sqrt((wrong**2).mean()) / foretold_of(q[0], k[0], v[0], exact[0]) < 1.4


def foretold_of(q: Array, k: Array, v: Array, exact: Array) -> float:
    """Root mean square error if each number's rounding is uniform within half a step."""
    q, k, v = (part.astype(np.float64) for part in (q, k, v))
    q_step = np.abs(q).max(axis=1) / 127
    k_step = np.concatenate(
        [np.full(len(part), np.abs(part).max() / 127) for part in np.split(k, range(64, len(k), 64))]
    )
    variance = (q_step[:, None] ** 2 * (k**2).sum(axis=1) + (q**2).sum(axis=1)[:, None] * k_step**2) / 12 / 32
    weights = np.exp(q @ k.T / math.sqrt(32))
    weights /= weights.sum(axis=1, keepdims=True)
    apart = (v[None] - exact[:, None]) ** 2  # (N, M, 32)
    return float(np.sqrt(np.einsum("nm,nmd->nd", weights**2 * variance, apart).mean()))
