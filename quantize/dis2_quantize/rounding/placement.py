"""Placement: which tensors of a deployable network become integers, as a policy that can be read.

The network is traced into units. Integer units are convolutions with folded norm, sums and concatenations; enlarging
and regrouping only move integers and keep their scale. The rest (attention, heads) is an island of floating point.
The first convolution of each sensor stays in floating point too: it costs 1 % of the operations and sees the sensor's
whole range. A tensor is rounded once, where it is made, if any integer unit makes or reads it.
"""

from __future__ import annotations

import copy

from torch import fx, nn

from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_train.networks.blocks import Add, Concat, ConvUnit, Enlarge, Regroup

INTEGER = (ConvUnit, QuantConvUnit, Add, Concat)
CARRIED = (Enlarge, Regroup)


class UnitTracer(fx.Tracer):
    """Traces down to units: whatever holds parameters or is a unit of the vocabulary stays one node."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Units, carriers and islands are leaves; what merely composes them is traced through."""
        if isinstance(module, (*INTEGER, *CARRIED)):
            return True
        return not any(isinstance(inner, ConvUnit) for inner in module.modules())


def trace(module: nn.Module) -> fx.GraphModule:
    """A copy of `module` as a graph of units; inputs that nothing reads are dropped."""
    module = copy.deepcopy(module).eval()
    traced = fx.GraphModule(module, UnitTracer().trace(module))
    for node in traced.graph.find_nodes(op="placeholder"):
        if not node.users:
            traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def place(traced: fx.GraphModule, observer: str, keep_float: tuple[str, ...] = ()) -> fx.GraphModule:
    """Insert fake quantisation in a traced network by the policy above; `keep_float` names blocks left alone.

    The result observes until `freeze` is called on its ActivationQuant modules.
    """
    units = dict(traced.named_modules())
    integer = {node for node in traced.graph.nodes if _is_integer(node, units, keep_float)}
    for node in integer:
        unit = units[str(node.target)]
        if isinstance(unit, ConvUnit):
            _replace(traced, str(node.target), QuantConvUnit(unit))
    for node in list(traced.graph.nodes):
        _round_output(traced, node, units, integer, observer)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced


def quantizers(network: nn.Module) -> list[ActivationQuant]:
    """Every activation quantiser of a placed network, each once."""
    return [module for module in network.modules() if isinstance(module, ActivationQuant)]


def freeze(network: nn.Module) -> None:
    """End calibration: every range is fixed."""
    for quantizer in quantizers(network):
        quantizer.freeze()


def without_taps(network: fx.GraphModule) -> fx.GraphModule:
    """A copy that returns logits only, with nothing left that only taps needed."""
    network = copy.deepcopy(network)
    (output,) = network.graph.find_nodes(op="output")
    answer = output.args[0]
    if isinstance(answer, (tuple, list)):
        output.args = (answer[0],)
    network.graph.eliminate_dead_code()
    network.recompile()
    network.delete_all_unused_submodules()
    return network


def _is_integer(node: fx.Node, units: dict[str, nn.Module], keep_float: tuple[str, ...]) -> bool:
    if node.op != "call_module" or not isinstance(units[str(node.target)], INTEGER):
        return False
    if any(str(node.target).startswith(f"{block}.") or node.target == block for block in keep_float):
        return False
    return not any(_is_frame(source, units) for source in (node, *node.args))


def _is_frame(value: fx.node.Argument, units: dict[str, nn.Module]) -> bool:
    """Whether `value` is a sensor's frame, or several of them stacked."""
    if not isinstance(value, fx.Node):
        return False
    if value.op == "placeholder":
        return True
    stacked = value.op == "call_module" and isinstance(units[str(value.target)], Concat)
    return stacked and all(_is_frame(source, units) for source in value.args)


def _round_output(
    traced: fx.GraphModule, node: fx.Node, units: dict[str, nn.Module], integer: set[fx.Node], observer: str
) -> None:
    """Put a rounding behind `node` where an integer unit makes or reads its tensor."""
    if node.op == "output":
        return
    if _is_carrier(node, units):
        (source,) = (arg for arg in node.args if isinstance(arg, fx.Node))
        if source.op == "call_module" and isinstance(traced.get_submodule(str(source.target)), ActivationQuant):
            _insert(traced, node, str(source.target))
        return
    if node.op == "placeholder" or not (node in integer or _read_by_integers(node, units, integer)):
        return
    name = f"round_{node.name}"
    traced.add_submodule(name, ActivationQuant(_path(node), observer))
    _insert(traced, node, name)


def _path(node: fx.Node) -> str:
    """What a person finds the tensor's maker by in the network: its module's path, or the function's name."""
    return str(node.target) if node.op == "call_module" else node.name


def _read_by_integers(node: fx.Node, units: dict[str, nn.Module], integer: set[fx.Node]) -> bool:
    """Whether an integer unit reads `node`, directly or through a carrier; only tensors count, not tuples."""
    return any(
        user in integer or (_is_carrier(user, units) and _read_by_integers(user, units, integer)) for user in node.users
    )


def _is_carrier(node: fx.Node, units: dict[str, nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(units[str(node.target)], CARRIED)


def _insert(traced: fx.GraphModule, node: fx.Node, name: str) -> None:
    with traced.graph.inserting_after(node):
        rounding = traced.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounding, delete_user_cb=lambda user: user is not rounding)


def _replace(traced: fx.GraphModule, target: str, module: nn.Module) -> None:
    parent, _, name = target.rpartition(".")
    setattr(traced.get_submodule(parent), name, module)
