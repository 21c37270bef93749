"""The `trt` dialect's integers: the ranges that were calibrated for `ort`, in 127 steps each way around zero.

TensorRT reads where integers are from the Q/DQ in the graph, so fewer stand here than in `ort`:

- Convolutions are integer where they read 16 channels or more; sums and concatenations where one of these reads them.
- A tensor is rounded where an integer unit reads it. What only floating point reads leaves the convolution as FP16.
- Of a sum's two inputs one, the residual, is rounded. The other, where it is a convolution's own output without ReLU,
  stays as it is: TensorRT then adds within that convolution's kernel.
- The inputs of a concatenation and its output share one scale, the largest of theirs: nothing is rounded anew there.
  So do those of columns taken in turn, which are written in operators that move integers.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.halfway import scale_in_half
from dis2_quantize.rounding.kernel import SIGNED_STEPS
from dis2_quantize.rounding.placement import CARRIED
from dis2_train.networks.blocks import Add, Concat, Strips


class SymmetricQuant(nn.Module):
    """Rounds one activation tensor to int8 with zero-point 0; its scale is an FP16 number."""

    scale: Tensor

    def __init__(self, name: str, largest: float, shared: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.name, self.shared = name, shared
        self.register_buffer("scale", scale_in_half(torch.tensor(largest / SIGNED_STEPS)))

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor to one of the same shape, rounded."""
        return torch.fake_quantize_per_tensor_affine(x, float(self.scale), 0, -SIGNED_STEPS - 1, SIGNED_STEPS)


class MovedStrips(Strips):
    """`Strips` by operators that TensorRT has for INT8: Reshape, Slice and Concat.

    Its Select, which Where becomes, takes no INT8 (NVIDIA's operator reference, 8.6 to 10.15), so that both maps would
    go through FP16 between one rounding and the same again.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Two maps (B, C, H, W) to one; an odd W is left to Where."""
        if int(maps[0].shape[3]) % 2:
            return super().forward(*maps)
        even, odd = (x.unflatten(3, (-1, 2)) for x in maps)  # (B, C, H, W / 2, 2)
        return torch.cat([even[..., :1], odd[..., 1:2]], dim=4).flatten(3)


def make_symmetric(placed: fx.GraphModule) -> None:
    """Turn a placed and calibrated network, in place, to the integers of the `trt` dialect."""
    modules = dict(placed.named_modules())
    integer: set[fx.Node] = set()
    for node in reversed(placed.graph.nodes):
        if _is_integer(node, integer, modules):
            integer.add(node)
    for node in [node for node in placed.graph.nodes if _is_rounding(node, modules)]:
        if not _feeds(node, integer, modules) or _adds_within_kernel(node, integer, modules):
            node.replace_all_uses_with(node.args[0])
            placed.graph.erase_node(node)
    for group in _groups(placed, integer, modules):
        _share(placed, group, modules)
    for node in integer:
        if isinstance(_module(node, modules), Strips):
            placed.set_submodule(str(node.target), MovedStrips())
    for unit in placed.modules():
        if isinstance(unit, QuantConvUnit):
            unit.fold()
            unit.kernel.steps.copy_(scale_in_half(unit.steps))
    placed.recompile()


def _share(placed: fx.GraphModule, group: set[str], modules: dict[str, nn.Module]) -> None:
    """Put one scale, the largest, in the place of a group's."""
    members = {name: module for name in sorted(group) if isinstance(module := modules[name], ActivationQuant)}
    largest = max(float(module.amax) for module in members.values())
    for name in members:
        shared = tuple(other for other in members if other != name)
        placed.add_submodule(name, SymmetricQuant(name, largest, shared))


def _groups(placed: fx.GraphModule, integer: set[fx.Node], modules: dict[str, nn.Module]) -> list[set[str]]:
    """Names of roundings that must share a scale: all that one concatenation ties, and what these are tied to."""
    groups: list[set[str]] = [{str(n.target)} for n in placed.graph.nodes if _is_rounding(n, modules)]
    for node in integer:
        if isinstance(_module(node, modules), Concat):
            ends = [end for end in (*node.args, *node.users) if isinstance(end, fx.Node)]
            tied = {str(end.target) for end in ends if _is_rounding(end, modules)}
            joined = [group for group in groups if group & tied]
            groups = [group for group in groups if not group & tied] + [set().union(*joined)]
    return groups


def _is_integer(node: fx.Node, integer: set[fx.Node], modules: dict[str, nn.Module]) -> bool:
    """Whether the node computes with integers; `integer` holds all such nodes behind it."""
    unit = _module(node, modules)
    joins = isinstance(unit, (Add, Concat)) and any(_is_rounding(user, modules) for user in node.users)
    return isinstance(unit, QuantConvUnit) or (joins and _feeds(node, integer, modules))


def _feeds(node: fx.Node, integer: set[fx.Node], modules: dict[str, nn.Module]) -> bool:
    """Whether an integer unit reads the tensor, directly or after it was moved."""
    moved = (user for user in node.users if isinstance(_module(user, modules), (*CARRIED, ActivationQuant)))
    return any(user in integer for user in node.users) or any(_feeds(user, integer, modules) for user in moved)


def _adds_within_kernel(node: fx.Node, integer: set[fx.Node], modules: dict[str, nn.Module]) -> bool:
    """Whether the tensor is the last of a sum's inputs that may stay as its convolution made it; another is rounded."""
    (reader,) = node.users if len(node.users) == 1 else (None,)
    if reader not in integer or reader is None or not isinstance(_module(reader, modules), Add):
        return False
    rounded = [arg for arg in reader.args if isinstance(arg, fx.Node) and _is_rounding(arg, modules)]
    free = [arg for arg in rounded if len(arg.users) == 1 and _is_linear(arg.args[0], modules)]
    return len(rounded) > 1 and free[-1:] == [node]


def _is_linear(value: fx.node.Argument, modules: dict[str, nn.Module]) -> bool:
    unit = _module(value, modules) if isinstance(value, fx.Node) else None
    return isinstance(unit, QuantConvUnit) and isinstance(unit.act, nn.Identity)


def _is_rounding(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    return isinstance(_module(node, modules), ActivationQuant)


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[str(node.target)] if node.op == "call_module" else None
