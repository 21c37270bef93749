"""Fusion attention at DIS2's shapes, in half precision: ours against torch eager, torch.compile, every SDPA backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu.contest import BACKENDS, COMPILED, Contest, Ready
from benchmarks.gpu.findings import OURS
from benchmarks.gpu.lab import Lab
from dis2_runtime.kernels.fusion_attention import FusionAttention, FusionAttentionQk8, Sizes

KERNEL = "fusion_attention"
HEADS, HEAD = 8, 32
"""Heads, and the size of each."""
MOST_KEYS = 8
"""Side of the grid of keys of one sensor: DIS2 pools them to so many."""
WITH_BYTES = "dis2-edge, q k in INT8"
"""Our variant with an error of its own, for whoever chose it."""
PAPER, PAPER_SIZE = 2050, 512
"""Queries and keys of the released model, and the side of its pictures in pixels."""


def contests(
    lab: Lab, sizes: Sequence[int] = (256, 512, 1024), batches: Sequence[int] = (1, 8)
) -> Iterator[Callable[[], Contest]]:
    """DIS2's queries and keys for pictures of `sizes` squared, then the released model's."""
    shapes = [(f"{size} px", *tokens(size)) for size in sizes]
    if PAPER_SIZE in sizes:
        shapes.append((f"paper, {PAPER_SIZE} px", PAPER, PAPER))
    for name, queries, keys in shapes:
        for batch in batches:
            yield partial(contest, lab, name, batch, queries, keys)


def tokens(size: int) -> tuple[int, int]:
    """Queries and keys of DIS2 with two sensors at `size` x `size` pixels."""
    return 2 * (size // 16) ** 2 + 2, 2 * min(MOST_KEYS, size // 32) ** 2 + 2


def contest(lab: Lab, name: str, batch: int, queries: int, keys: int) -> Contest:
    """All contestants on the same numbers."""
    width = HEADS * HEAD
    q, k, v = (lab.random(batch, count, width) for count in (queries, keys, keys))
    return Contest(
        KERNEL,
        f"{name}: N {queries}, M {keys}, batch {batch}",
        bytes=2 * batch * width * (2 * queries + 2 * keys),
        operations=4 * batch * queries * keys * width,
        judge=_judge(lab, q, k, v),
        contestants={
            OURS: lambda: _ours(lab, q, k, v),
            WITH_BYTES: lambda: _ours_with_bytes(lab, q, k, v),
            **{title: _backend(lab, backend, q, k, v) for title, backend in BACKENDS.items()},
            "torch eager": lambda: Ready(lambda: plain(lab.torch, q, k, v)),
            COMPILED: lambda: _compiled(lab, q, k, v),
        },
    )


def plain(torch: Any, q: Any, k: Any, v: Any) -> Any:
    """softmax(q k' / sqrt(d)) v of every head, written out: (B, N, D) by (B, M, D) to (B, N, D)."""
    q, k, v = (split(part) for part in (q, k, v))
    shares = torch.softmax(q @ k.transpose(2, 3) * HEAD**-0.5, dim=3)
    return (shares @ v).transpose(1, 2).flatten(2)


def split(part: Any) -> Any:
    """(B, N, D) to (B, heads, N, d), without a copy."""
    return part.unflatten(2, (HEADS, -1)).transpose(1, 2)


def _judge(lab: Lab, q: Any, k: Any, v: Any) -> Callable[[Any], float]:
    """Largest error against float64, over twice that of the plain formula in halves."""
    exact = plain(lab.torch, q.double(), k.double(), v.double())
    allowed = 2 * float((plain(lab.torch, q, k, v).double() - exact).abs().max())
    return lambda answer: float((answer.double() - exact).abs().max()) / max(allowed, 1e-12)


def _ours(lab: Lab, q: Any, k: Any, v: Any) -> Ready:
    out = lab.empty(*q.shape)
    kernel = FusionAttention(lab.driver, lab.module(KERNEL), _sizes(q, k), "float16")
    q_at, k_at, v_at, out_at = (part.data_ptr() for part in (q, k, v, out))
    return Ready(lambda: kernel.launch(lab.stream, q_at, k_at, v_at, out_at), lambda: out, (q, k, v))


def _ours_with_bytes(lab: Lab, q: Any, k: Any, v: Any) -> Ready:
    out = lab.empty(*q.shape)
    kernel = FusionAttentionQk8(lab.driver, lab.module(KERNEL), _sizes(q, k), "float16")
    scratch = lab.empty(kernel.scratch_bytes, dtype="uint8")
    q_at, k_at, v_at, out_at, scratch_at = (part.data_ptr() for part in (q, k, v, out, scratch))
    launch = kernel.launch
    return Ready(lambda: launch(lab.stream, q_at, k_at, v_at, out_at, scratch_at), lambda: out, (q, k, v, scratch))


def _sizes(q: Any, k: Any) -> Sizes:
    return Sizes(q.shape[0], q.shape[1], k.shape[1], HEADS, HEADS * HEAD)


def _backend(lab: Lab, backend: str, q: Any, k: Any, v: Any) -> Callable[[], Ready]:
    def prepare() -> Ready:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        chosen, attend = getattr(SDPBackend, backend), lab.torch.nn.functional.scaled_dot_product_attention

        def call() -> Any:
            with sdpa_kernel(chosen):
                return attend(split(q), split(k), split(v)).transpose(1, 2).flatten(2)

        return Ready(call)

    return prepare


def _compiled(lab: Lab, q: Any, k: Any, v: Any) -> Ready:
    function = lab.compiled(lambda a, b, c: plain(lab.torch, a, b, c))
    return Ready(lambda: function(q, k, v))
