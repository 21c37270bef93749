"""Put the maps of all classes side by side before they are enlarged, not after: same values, a quarter of the moves.

Regrouping commutes with enlarging, with ReLU and with a sum: regroup(relu(enlarge(x) + y)), with one map `y` for all
classes, is relu(enlarge(regroup(x)) + y once a class). The convolution that makes `y` gets its outputs repeated, which
also lifts it from a few output channels to many: integer kernels are slow below 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from dis2_train.networks.blocks import Add, ConvUnit, Enlarge, Regroup


def regroup_early(traced: fx.GraphModule) -> fx.GraphModule:
    """Change `traced` in place wherever the pattern stands; a network without it stays as it is."""
    for node in list(traced.graph.nodes):
        found = _pattern(traced, node)
        if found:
            _move(traced, node, *found)
    traced.graph.lint()
    traced.recompile()
    return traced


def _pattern(traced: fx.GraphModule, regroup: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node] | None:
    """The sum, the enlarging and the shared map's convolution that stand before `regroup`; each read by nobody else."""
    if not isinstance(_module(traced, regroup), Regroup):
        return None
    (join,) = regroup.all_input_nodes
    if not isinstance(_module(traced, join), Add) or len(join.users) > 1:
        return None
    enlarge, shared = join.all_input_nodes
    kinds = isinstance(_module(traced, enlarge), Enlarge), isinstance(_module(traced, shared), ConvUnit)
    return (join, enlarge, shared) if all(kinds) and len(enlarge.users) == len(shared.users) == 1 else None


def _move(traced: fx.GraphModule, regroup: fx.Node, join: fx.Node, enlarge: fx.Node, shared: fx.Node) -> None:
    unit = traced.get_submodule(str(shared.target))
    groups = traced.get_submodule(str(regroup.target))
    if isinstance(unit, ConvUnit) and isinstance(groups, Regroup):
        traced.set_submodule(str(shared.target), repeated(unit, groups.groups))
    (source,) = enlarge.all_input_nodes
    regroup.replace_all_uses_with(join)
    with traced.graph.inserting_before(enlarge):
        early = traced.graph.call_module(str(regroup.target), (source,))
    enlarge.args = (early,)
    traced.graph.erase_node(regroup)


def repeated(unit: ConvUnit, times: int) -> ConvUnit:
    """A unit whose outputs are those of `unit`, `times` times behind each other."""
    conv, norm = unit.conv, unit.norm
    wide = ConvUnit(conv.in_channels, times * conv.out_channels, conv.kernel_size[0], conv.stride[0])
    wide.conv.padding, wide.norm.eps, wide.act = conv.padding, norm.eps, unit.act
    with torch.no_grad():
        wide.conv.weight.copy_(conv.weight.repeat(times, 1, 1, 1))
        for name in ("weight", "bias", "running_mean", "running_var"):
            many, one = getattr(wide.norm, name), getattr(norm, name)
            if isinstance(many, Tensor) and isinstance(one, Tensor):
                many.copy_(one.repeat(times))
    return wide.train(unit.training)


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None
