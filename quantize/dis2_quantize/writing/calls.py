"""Modules that are traced to calls of the functions in `dis2_quantize.writing.functions`; they only export.

What stands for an attention answers any tensor of the right shape: the tracer needs no more, and writes down the rest.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from dis2_quantize.reading.foreign import OURS
from dis2_quantize.rounding.floating import PlainAttention
from dis2_train.networks.dis2.classwise import ClasswiseAttention


def with_calls(form: nn.Module) -> nn.Module:
    """A copy of a form in which nodes of our own domain stand for both attentions, of whatever network."""
    form = copy.deepcopy(form)
    for name, module in list(form.named_modules()):
        call = _call(module)
        if call is not None:
            parent, _, child = name.rpartition(".")
            setattr(form.get_submodule(parent), child, call)
    return form


def _call(module: nn.Module) -> nn.Module | None:
    """What stands for `module` while a file is written; None where it is traced as it is."""
    if isinstance(module, PlainAttention):
        return _FusionCall(module.heads)
    return _ClasswiseCall(module.queries) if isinstance(module, ClasswiseAttention) else None


class _FusionCall(nn.Module):
    """Stands for a PlainAttention."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) to (B, N, width)."""
        out: Tensor = _FusionNode.apply(q, k, v, self.heads)  # type: ignore[no-untyped-call]
        return out


class _ClasswiseCall(nn.Module):
    """Stands for a ClasswiseAttention."""

    def __init__(self, queries: nn.Parameter) -> None:
        super().__init__()
        self.queries = queries

    def forward(self, f4: Tensor) -> Tensor:
        """F4 (B, C, h, w) to class maps (B K, C, h, w)."""
        out: Tensor = _ClasswiseNode.apply(f4, self.queries)  # type: ignore[no-untyped-call]
        return out


class _FusionNode(torch.autograd.Function):
    """The node of a FusionAttention."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """Any tensor of the answer's shape."""
        return q

    @staticmethod
    def symbolic(graph: Any, q: Any, k: Any, v: Any, heads: int) -> Any:
        """The node that the file gets."""
        return graph.op(f"{OURS}::FusionAttention", q, k, v, heads_i=heads).setType(q.type())


class _ClasswiseNode(torch.autograd.Function):
    """The node of a ClasswiseAttention."""

    @staticmethod
    def forward(ctx: Any, f4: Tensor, queries: Tensor) -> Tensor:
        """Any tensor of the answer's shape."""
        return f4.repeat_interleave(queries.shape[0], 0)

    @staticmethod
    def symbolic(graph: Any, f4: Any, queries: Any) -> Any:
        """The node that the file gets."""
        batch, *sizes = f4.type().sizes()
        answer = f4.type().with_sizes([batch * queries.type().sizes()[0], *sizes])
        return graph.op(f"{OURS}::ClasswiseAttention", f4, queries).setType(answer)
