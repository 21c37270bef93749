"""Decide at the pictures' sizes: ours against torch's softmax, maximum and count, and a copy of as many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu.contest import COMPILED, COPY, Contest, Ready, copying
from benchmarks.gpu.findings import OURS
from benchmarks.gpu.lab import Lab
from dis2_runtime.kernels.decide import Decide

KERNEL = "decide"
CLASSES = 5
"""Classes of the aerial scenes that DIS2 was published on, less the clutter."""
MOST_TIES = 1e-3
"""Share of pixels whose class may differ: two logits as good as equal."""


def contests(
    lab: Lab, sizes: Sequence[int] = (256, 512, 1024), batches: Sequence[int] = (1,)
) -> Iterator[Callable[[], Contest]]:
    """Logits of `sizes` squared, in both types; a decision is of one picture."""
    for size in sizes:
        for dtype in ("float32", "float16"):
            yield partial(contest, lab, size, dtype)


def contest(lab: Lab, size: int, dtype: str) -> Contest:
    """All contestants on the same logits."""
    logits = lab.random(CLASSES, size, size, dtype=dtype, scale=4.0)
    moved = logits.numel() * logits.element_size() + 2 * size * size
    return Contest(
        KERNEL,
        f"{size} px, {CLASSES} classes, {dtype}",
        bytes=moved,
        operations=0,
        judge=_judge(lab, logits),
        contestants={
            OURS: lambda: _ours(lab, logits),
            COPY: copying(lab, moved),
            "torch eager": lambda: Ready(lambda: plain(lab.torch, logits)),
            COMPILED: lambda: _compiled(lab, logits),
        },
    )


def plain(torch: Any, logits: Any) -> tuple[Any, Any, Any]:
    """Mask, confidence and pixels a class of logits (K, H, W), as torch says it."""
    confidence, mask = logits.float().softmax(dim=0).max(dim=0)
    counts = torch.bincount(mask.flatten(), minlength=CLASSES)
    return mask.to(torch.uint8), (confidence * 255 + 0.5).to(torch.uint8), counts


def _judge(lab: Lab, logits: Any) -> Callable[[Any], float]:
    confidence, mask = logits.double().softmax(dim=0).max(dim=0)
    expected = (confidence * 255 + 0.5).to(lab.torch.uint8)

    def judge(answer: Any) -> float:
        found, certain, counts = answer
        differ = float((found != mask).double().mean()) / MOST_TIES
        apart = float((certain.int() - expected.int()).abs().max())
        counted = lab.torch.bincount(found.flatten().long(), minlength=CLASSES)
        return max(differ, apart, 0.0 if bool((counted == counts).all()) else float("inf"))

    return judge


def _ours(lab: Lab, logits: Any) -> Ready:
    grid = (logits.shape[1], logits.shape[2])
    kernel = Decide(lab.driver, lab.module(KERNEL), CLASSES, grid, str(logits.dtype).removeprefix("torch."))
    mask, confidence = (lab.empty(*grid, dtype="uint8") for _ in range(2))
    counts = lab.empty(CLASSES, dtype="int32")
    logits_at, mask_at, confidence_at, counts_at = (part.data_ptr() for part in (logits, mask, confidence, counts))

    def call() -> None:
        kernel.launch(lab.stream, logits_at, mask_at, confidence_at, counts_at)

    return Ready(call, lambda: (mask, confidence, counts), (logits,))


def _compiled(lab: Lab, logits: Any) -> Ready:
    function = lab.compiled(lambda given: plain(lab.torch, given))
    return Ready(lambda: function(logits))
