"""Class-wise attention at DIS2's shapes: ours against torch eager, torch.compile, and a copy of as many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu.contest import COMPILED, COPY, Contest, Ready, copying
from benchmarks.gpu.findings import OURS
from benchmarks.gpu.lab import Lab
from dis2_runtime.kernels.classwise_attention import ClasswiseAttention

KERNEL = "classwise_attention"
CHANNELS, CLASSES = 256, 5
"""Channels of F4, and classes of the aerial scenes that DIS2 was published on, less the clutter."""


def contests(
    lab: Lab, sizes: Sequence[int] = (256, 512, 1024), batches: Sequence[int] = (1, 8)
) -> Iterator[Callable[[], Contest]]:
    """F4 of pictures of `sizes` squared: a sixteenth of their side."""
    for size in sizes:
        for batch in batches:
            yield partial(contest, lab, size, batch)


def contest(lab: Lab, size: int, batch: int) -> Contest:
    """All contestants on the same F4 and queries."""
    side = max(1, size // 16)
    f4, queries = lab.random(batch, CHANNELS, side, side), lab.random(CLASSES, CHANNELS)
    moved = 2 * (f4.numel() * (1 + CLASSES) + queries.numel())
    return Contest(
        KERNEL,
        f"{size} px: F4 {batch}x{CHANNELS}x{side}x{side}, {CLASSES} classes",
        bytes=moved,
        operations=0,
        judge=_judge(lab, f4, queries),
        contestants={
            OURS: lambda: _ours(lab, f4, queries),
            COPY: copying(lab, moved),
            "torch eager": lambda: Ready(lambda: plain(lab.torch, f4, queries)),
            COMPILED: lambda: _compiled(lab, f4, queries),
        },
    )


def plain(torch: Any, f4: Any, queries: Any) -> Any:
    """Class maps (B K, C, h, w) of F4 (B, C, h, w) and queries (K, C), as the network says it."""
    places = f4.flatten(2)  # (B, C, N)
    scores = torch.matmul(queries, places) * queries.shape[1] ** -0.5  # (B, K, N)
    weights = scores.softmax(dim=2) * places.shape[2]
    maps = weights.unsqueeze(2) * places.unsqueeze(1)  # (B, K, C, N)
    return maps.flatten(0, 1).unflatten(2, f4.shape[2:])


def _judge(lab: Lab, f4: Any, queries: Any) -> Callable[[Any], float]:
    """Largest error against float64, over twice that of the plain formula in halves."""
    exact = plain(lab.torch, f4.double(), queries.double())
    allowed = 2 * float((plain(lab.torch, f4, queries).double() - exact).abs().max())
    return lambda answer: float((answer.double() - exact).abs().max()) / max(allowed, 1e-12)


def _ours(lab: Lab, f4: Any, queries: Any) -> Ready:
    batch, channels, height, width = f4.shape
    kernel = ClasswiseAttention(lab.driver, lab.module(KERNEL), (batch, channels, height, width), CLASSES)
    maps = lab.empty(batch * CLASSES, channels, height, width)
    workspace = lab.empty(max(1, kernel.workspace_bytes), dtype="uint8")
    f4_at, queries_at, maps_at, workspace_at = (part.data_ptr() for part in (f4, queries, maps, workspace))

    def call() -> None:
        kernel.launch(lab.stream, f4_at, queries_at, maps_at, workspace_at)

    return Ready(call, lambda: maps, (f4, queries, workspace))


def _compiled(lab: Lab, f4: Any, queries: Any) -> Ready:
    function = lab.compiled(lambda a, b: plain(lab.torch, a, b))
    return Ready(lambda: function(f4, queries))
