"""Sharing between the branches of scenarios: one set of convolutions, norms apart for each scenario.

A scenario's branch is taught only in the steps that draw it, and from few images. With the weights of all branches in
one, every step teaches every scenario; statistics differ too much between scenarios to share norms as well. What flies
costs the same: each scenario's file holds the shared weights with its own norms folded in.
"""

from __future__ import annotations

from torch import nn

_APART = (nn.BatchNorm2d, nn.LayerNorm)


def tie(source: nn.Module, target: nn.Module) -> None:
    """Give `target`, a module of the same make, the very parameters of `source`; norms stay its own."""
    if isinstance(target, _APART):
        return
    for name, _ in list(target.named_parameters(recurse=False)):
        setattr(target, name, getattr(source, name))
    for name, child in target.named_children():
        tie(getattr(source, name), child)
