"""The form in which the `trt` dialect computes a network: every value has a type, and every change of type is a node.

Simulation and file are both made of this one graph, so that what was judged is what was written. Norms are folded into
their convolutions, attention is spelt out in plain operators, and whatever is not an FP32 island computes in FP16. The
graph's inputs and its logits are FP32.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.floating import floating
from dis2_quantize.rounding.halfway import half
from dis2_quantize.rounding.symmetric import make_symmetric

Float = Literal["fp16", "fp32"]


def typed_form(network: fx.GraphModule, islands: Collection[str] = ()) -> fx.GraphModule:
    """A copy of a traced network, or of a placed and calibrated one, in the form of the `trt` dialect, without taps.

    Nodes named in `islands` compute in FP32. `node.meta["float"]` of the answer tells each node's type; weights of what
    computes in FP16 are rounded to it, in float32 tensors.
    """
    form = placement.without_taps(network).cpu().eval()
    for name, module in list(form.named_modules()):
        instead = floating(module)
        if instead is not None:
            _replace(form, name, instead)
    make_symmetric(form)
    _type(form, islands)
    form.recompile()
    form.delete_all_unused_submodules()
    return form


class Cast(nn.Module):
    """The change of a tensor's type. All tensors here are float32; those of FP16 hold FP16 numbers only."""

    def __init__(self, to: Float) -> None:
        super().__init__()
        self.to_half = to == "fp16"

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor to one of the same shape."""
        out: Tensor = _Cast.apply(x, self.to_half)  # type: ignore[no-untyped-call]
        return out


class _Cast(torch.autograd.Function):
    """In a file the node `dis2_edge::Cast`, which `dis2_quantize.writing.strict` makes a true Cast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to_half: bool) -> Tensor:
        """What the type leaves of `x`."""
        return half(x) if to_half else x.clone()

    @staticmethod
    def symbolic(graph: Any, x: Any, to_half: bool) -> Any:
        """The node that the file gets."""
        return graph.op("dis2_edge::Cast", x, half_i=int(to_half)).setType(x.type())


def _type(form: fx.GraphModule, islands: Collection[str]) -> None:
    """Give every node its type, put a Cast on every edge whose ends differ, round the weights of what is FP16."""
    for node in form.graph.nodes:
        node.meta["float"] = _float_of(node, islands)
    for to in ("fp16", "fp32"):
        form.add_submodule(f"to_{to}", Cast(to))
    for node in list(form.graph.nodes):
        readers = [user for user in node.users if user.meta["float"] != node.meta["float"]]
        if readers:
            _cast(form, node, readers)
    for node in form.graph.nodes:
        if node.op == "call_module" and node.meta["float"] == "fp16":
            _round_weights(form.get_submodule(str(node.target)))


def _float_of(node: fx.Node, islands: Collection[str]) -> Float:
    if node.op in ("placeholder", "output") or node.name in islands:
        return "fp32"
    if node.op != "call_module" and isinstance(node.args[0], fx.Node):  # picks a part of what a module answered
        found: Float = node.args[0].meta["float"]
        return found
    return "fp16"


def _cast(form: fx.GraphModule, node: fx.Node, readers: list[fx.Node]) -> None:
    to: Float = readers[0].meta["float"]
    with form.graph.inserting_after(node):
        cast = form.graph.call_module(f"to_{to}", (node,))
    cast.meta["float"] = to
    node.replace_all_uses_with(cast, delete_user_cb=lambda user: user in readers)


def _round_weights(module: nn.Module) -> None:
    """Integers are left to their scales; of an integer unit only the bias is FP16."""
    parameters = [("bias", module.bias)] if isinstance(module, QuantConvUnit) else list(module.named_parameters())
    for _, parameter in parameters:
        parameter.data = half(parameter.data)


def _replace(form: fx.GraphModule, target: str, module: nn.Module) -> None:
    parent, _, name = target.rpartition(".")
    setattr(form.get_submodule(parent), name, module)
