"""softmax(q k' / sqrt(32)) v over several heads in half precision: launchers and cases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Driver, Module, Stream
from dis2_runtime.kernels.fusion_truth import HEAD, KEYS, Array, allowed_of, exact_of, qk8_bound, qk8_of
from dis2_runtime.kernels.launching import check_address, check_positive, cover
from dis2_runtime.kernels.proving import Case, Room, excess

QUERIES = 64
"""Queries of a block."""
_BLOCKS_AN_SM = 4
"""Blocks of four warps below which a GPU idles: then two groups of warps share a block's keys."""
_MOST = 65535
"""Blocks along y and z that a launch may have."""
_WIDEST = 1 << 24
"""Numbers of a row: offsets within a tile are 32-bit."""


@dataclass(frozen=True)
class Sizes:
    """q and out are (batch, queries, width), k and v (batch, keys, width); rows may lie further apart than width."""

    batch: int
    queries: int
    keys: int
    heads: int
    width: int
    q_row: int = 0
    """Numbers from a row of q to the next; 0 is width. A batch begins `queries` rows after the one before."""
    k_row: int = 0
    v_row: int = 0

    def rows(self) -> tuple[int, int, int]:
        """Those of q, k and v, resolved."""
        return self.q_row or self.width, self.k_row or self.width, self.v_row or self.width

    def check(self, dtype: npt.DTypeLike) -> None:
        """EngineError where the kernels have no answer and the operator's plain body must do."""
        check_positive(batch=self.batch, queries=self.queries, keys=self.keys, heads=self.heads)
        if self.width != self.heads * HEAD or np.dtype(dtype) != np.float16:
            found = f"{self.heads} heads in {self.width} numbers of {np.dtype(dtype).name}"
            raise EngineError(found, expected=f"heads of {HEAD} in float16", mend="use the function body of the node")
        for name, row in zip(("q", "k", "v"), self.rows(), strict=True):
            if row < self.width or row % 8:
                raise EngineError(f"rows of {name} lie {row} apart", expected=f"{self.width} or more, a multiple of 8")
        if max(self.heads, self.batch) > _MOST or max(self.rows()) > _WIDEST:
            found = f"{self.heads} heads, a batch of {self.batch}, rows of {max(self.rows())}"
            raise EngineError(found, expected=f"at most {_MOST} heads and batch, rows of {_WIDEST}")

    def groups(self, multiprocessors: int) -> int:
        """How many groups of four warps share a block's keys on a GPU of that size."""
        blocks = cover(self.queries, QUERIES) * self.heads * self.batch
        return 2 if self.keys > KEYS and blocks < _BLOCKS_AN_SM * multiprocessors else 1


class _Attention:
    """What both launchers hold: sizes that were checked, and the kernel for them."""

    _name: str
    _key_bytes: int
    """Bytes of a key's head in shared memory."""

    def __init__(
        self, driver: Driver, module: Module, sizes: Sizes, dtype: npt.DTypeLike, groups: int | None = None
    ) -> None:
        """`dtype` is that of q, k, v and out; `groups` is the launcher's to choose (tests name 1 or 2)."""
        sizes.check(dtype)
        self._driver, self._sizes = driver, sizes
        self._groups = groups or sizes.groups(driver.device.multiprocessors)
        self._function = module.function(self._name + "_split" * (self._groups == 2))

    def _start(self, stream: Stream, *arguments: Argument) -> None:
        shared = 2 * self._groups * KEYS * (self._key_bytes + 2 * HEAD)
        block = (128 * self._groups, 1, 1)
        grid = (cover(self._sizes.queries, QUERIES), self._sizes.heads, self._sizes.batch)
        self._driver.launch(self._function, grid, block, shared, stream, arguments)


class FusionAttention(_Attention):
    """Launches `fusion_attention` for one shape."""

    _name, _key_bytes = "fusion_attention", 2 * HEAD

    def launch(self, stream: Stream, q: int, k: int, v: int, out: int) -> None:
        """Addresses of the four, each aligned to 16 bytes; `out` has no room between its rows."""
        _check_addresses(q=q, k=k, v=v, out=out)
        sizes = self._sizes
        self._start(stream, q, k, v, *_numbers(sizes.queries, sizes.keys, sizes.heads, *sizes.rows()), out)


class FusionAttentionQk8(_Attention):
    """Launches `fusion_attention_qk8`: queries and keys as bytes; whoever takes it has chosen its error."""

    _name, _key_bytes = "fusion_attention_qk8", HEAD

    def __init__(
        self, driver: Driver, module: Module, sizes: Sizes, dtype: npt.DTypeLike, groups: int | None = None
    ) -> None:
        """As FusionAttention."""
        super().__init__(driver, module, sizes, dtype, groups)
        self._keys = module.function("fusion_attention_qk8_keys")
        self._grid = (cover(sizes.keys, KEYS), sizes.heads, sizes.batch)
        self._scales_at = sizes.batch * sizes.keys * sizes.width
        self.scratch_bytes = self._scales_at + 4 * math.prod(self._grid)
        """What `launch` needs: the keys as bytes, then a scale a tile of them."""

    def launch(self, stream: Stream, q: int, k: int, v: int, out: int, scratch: int) -> None:
        """As FusionAttention; `scratch` is overwritten."""
        _check_addresses(q=q, k=k, v=v, out=out, scratch=scratch)
        sizes, scales = self._sizes, scratch + self._scales_at
        q_row, k_row, v_row = sizes.rows()
        given: tuple[Argument, ...] = (k, *_numbers(sizes.keys, sizes.heads, k_row), scratch, scales)
        self._driver.launch(self._keys, self._grid, (32, 1, 1), 0, stream, given)
        numbers = _numbers(sizes.queries, sizes.keys, sizes.heads, q_row, v_row)
        self._start(stream, q, scratch, scales, v, *numbers, out)


@dataclass(frozen=True)
class _Shape:
    """One case: its sizes, how its values lie, which kernel."""

    batch: int
    queries: int
    keys: int
    heads: int
    groups: int = 1
    kind: str = "normal"
    """Name of what `_filled` does to the values."""
    joined: bool = False
    """Keys and values are halves of one tensor, queries a third of another."""
    qk8: bool = False


_SHAPES = (
    _Shape(1, 1, 1, 1),
    _Shape(1, 17, 5, 1, groups=2),
    _Shape(2, 33, 129, 2, joined=True),
    _Shape(1, 65, 130, 2, groups=2, joined=True),
    _Shape(1, 16, 200, 1, kind="rising"),
    _Shape(1, 16, 330, 1, groups=2, kind="rising"),
    _Shape(1, 3, 70, 1, kind="equal"),
    _Shape(1, 9, 150, 1, groups=2, kind="dominating"),
    _Shape(1, 9, 70, 1, kind="query not a number"),
    _Shape(1, 9, 150, 1, groups=2, kind="key not a number"),
    _Shape(1, 9, 70, 1, kind="value not a number"),
    _Shape(1, 16, 150, 1, kind="infinite keys"),
    _Shape(1, 16, 150, 1, groups=2, kind="infinite keys"),
    _Shape(1, 2, 70, 1, groups=2, kind="infinite keys behind"),
    _Shape(1, 1, 1, 1, qk8=True),
    _Shape(2, 17, 129, 2, joined=True, qk8=True),
    _Shape(1, 17, 330, 1, groups=2, kind="rising", qk8=True),
    _Shape(1, 2, 70, 1, kind="nothing", qk8=True),
    _Shape(1, 9, 70, 1, kind="query not a number", qk8=True),
    _Shape(1, 9, 70, 1, kind="key not a number", qk8=True),
)


def cases() -> Iterator[Case]:
    """Both kernels against `exact_of` within `allowed_of`; of qk8 also against `qk8_of`, and by `qk8_bound`."""
    for shape in _SHAPES:
        kernel = "fusion_attention" + "_qk8" * shape.qk8 + "_split" * (shape.groups == 2)
        sizes = f"{shape.batch}x{shape.queries} queries, {shape.keys} keys, {shape.heads} heads"
        yield Case("fusion_attention", f"{kernel}: {sizes}, {shape.kind}{', joined' * shape.joined}", _Run(shape))


@dataclass(frozen=True)
class _Run:
    shape: _Shape

    def __call__(self, room: Room) -> float:
        shape, width = self.shape, self.shape.heads * HEAD
        q, k, v = _filled(shape, room.random)
        given, rows = self._given(room, q, k, v)
        sizes = Sizes(shape.batch, shape.queries, shape.keys, shape.heads, width, *rows)
        out = room.take(q.shape, np.float16)
        made = (FusionAttentionQk8 if shape.qk8 else FusionAttention)(
            room.driver, room.module, sizes, np.float16, shape.groups
        )
        if isinstance(made, FusionAttentionQk8):
            made.launch(room.stream, *given, out.address, room.take((made.scratch_bytes,), np.uint8).address)
        else:
            made.launch(room.stream, *given, out.address)
        return _error_of(shape, room.read(out), q, k, v)

    def _given(self, room: Room, q: Array, k: Array, v: Array) -> tuple[tuple[int, int, int], tuple[int, ...]]:
        if not self.shape.joined:
            return (room.give(q), room.give(k), room.give(v)), ()
        width = q.shape[2]
        both = room.give(np.concatenate([k, v], axis=2))
        wide = room.give(np.concatenate([np.full_like(q, np.nan), q, np.full_like(q, np.nan)], axis=2))
        return (wide + 2 * width, both, both + 2 * width), (3 * width, 2 * width, 2 * width)


def _error_of(shape: _Shape, found: Array, q: Array, k: Array, v: Array) -> float:
    exact, allowed = exact_of(q, k, v, shape.heads), allowed_of(q, k, v, shape.heads)
    if not shape.qk8:
        return excess(found, exact, allowed)
    apart = np.abs(found - exact) / (qk8_bound(q, k, v, shape.heads) + allowed)
    return max(excess(found, qk8_of(q, k, v, shape.heads), allowed), float(np.fmax(apart, 0).max(initial=0.0)))


def _filled(shape: _Shape, random: np.random.Generator) -> tuple[Array, Array, Array]:
    rows = (shape.queries, shape.keys, shape.keys)
    q, k, v = (random.standard_normal((shape.batch, n, shape.heads * HEAD)).astype(np.float16) for n in rows)
    if shape.kind == "rising":  # each tile beats the offset of the one before, for every other query falls below it
        q, k[0] = np.abs(q), np.linspace(-40, 40, shape.keys)[:, None]
        q[:, 1::2] *= -1
    if shape.kind == "equal":
        q[:], k[:] = 100, 100  # 56,569 each; e to that is beyond every type
    if shape.kind == "dominating":
        q[:], k[:, -1] = np.abs(q), 30
    if shape.kind == "infinite keys":  # infinity for the first queries, which is no number; minus infinity for others
        k[:, :64, 5], q[:, :8, 5], q[:, 8:, 5] = np.inf, 1, -1
    if shape.kind == "infinite keys behind":  # all that the second group hears
        k[:, 64:, 5], q[:, :, 5] = np.inf, -1
    if shape.kind == "nothing":
        k[:] = 0
    if shape.kind == "query not a number":
        q[:, 4, 3] = np.nan
    if shape.kind == "key not a number":
        k[:, -1, 3] = np.nan
    if shape.kind == "value not a number":
        v[:, 2, 3] = np.nan
    return q, k, v


def _numbers(*values: int) -> tuple[np.int32, ...]:
    return tuple(map(np.int32, values))


def _check_addresses(**addresses: int) -> None:
    for name, address in addresses.items():
        check_address(name, address, 16)
