"""Our CUDA kernels, each in four: source (`X.cu`), launcher and reference (`x.py`), test, benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dis2_runtime.kernels import classwise_attention, decide, fusion_attention, prepare
from dis2_runtime.kernels.proving import Case

CASES: dict[str, Callable[[], Iterable[Case]]] = {
    "classwise_attention": classwise_attention.cases,
    "decide": decide.cases,
    "fusion_attention": fusion_attention.cases,
    "prepare": prepare.cases,
}
"""By kernel source, the cases that prove it."""
