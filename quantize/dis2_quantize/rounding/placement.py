"""Placement: which tensors of a deployable network become integers, as a policy that can be read.

The network is traced into units. Integer units are convolutions with folded norm, and those sums and concatenations
whose result an integer convolution reads; enlarging and regrouping only move integers and keep their scale. The rest
(attention, heads) is an island of floating point, but for the linear layers in it: these read integers. The first
convolution of a sensor is an integer unit where the sensor's samples are bytes, which it reads as they are; else it
stays in floating point, as it sees the sensor's whole range. A tensor is rounded once, where it is made, if any integer
unit makes or reads it; what is concatenated shares one scale, so that putting it side by side is a copy.
"""

from __future__ import annotations

import copy

from torch import fx, nn

from dis2_edge.sensors import Sensor
from dis2_quantize.rewriting.regroup import regroup_early
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.folding import source_of
from dis2_quantize.rounding.kernel import Kernel
from dis2_quantize.rounding.linear import QuantLinear, worth_integers
from dis2_quantize.rounding.stem import QuantStem, reads_bytes
from dis2_train.networks.blocks import Add, Channels, Concat, ConvUnit, Enlarge, ImageMean, Regroup

INTEGER = (ConvUnit, QuantConvUnit, Add, Concat)
JOINS = (Add, Concat)
CARRIED = (Enlarge, Regroup, Channels)


class UnitTracer(fx.Tracer):
    """Traces down to units: whatever holds parameters or is a unit of the vocabulary stays one node."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Units, carriers and islands are leaves; what merely composes them is traced through."""
        if isinstance(module, (*INTEGER, *CARRIED, ImageMean)):
            return True
        return not any(isinstance(inner, (ConvUnit, ImageMean)) for inner in module.modules())


def trace(module: nn.Module) -> fx.GraphModule:
    """A copy of `module` as a graph of units; inputs that nothing reads are dropped."""
    module = copy.deepcopy(module).eval()
    traced = fx.GraphModule(module, UnitTracer().trace(module))
    for place, node in enumerate(traced.graph.find_nodes(op="placeholder")):
        node.meta["frame"] = place
        if not node.users:
            traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    return regroup_early(traced)


def place(
    traced: fx.GraphModule, observer: str, keep_float: tuple[str, ...] = (), sensors: tuple[Sensor, ...] = ()
) -> fx.GraphModule:
    """Insert fake quantisation in a traced network by the policy above; `keep_float` names blocks left alone.

    `sensors` are those of the scenario, in its order; without them every first convolution stays in floating point.
    The result observes until `freeze` is called.
    """
    units = dict(traced.named_modules())
    stems = _byte_stems(traced, units, sensors, keep_float)
    integer = {node for node in traced.graph.nodes if node in stems or _is_integer(node, units, keep_float)}
    integer -= {node for node in integer if _joins_for_floats(node, units, integer)}
    kernels: dict[nn.Module, Kernel] = {}
    for node in integer:
        unit = units[str(node.target)]
        if isinstance(unit, ConvUnit):
            rounded = QuantStem(unit, stems[node]) if node in stems else _sharing(unit, kernels)
            _replace(traced, str(node.target), rounded)
    for node in list(traced.graph.nodes):
        _round_output(traced, node, units, integer, observer)
    _share_at_concatenations(traced)
    _round_linears(traced, observer, keep_float)
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
    return not _is_kept(str(node.target), keep_float) and not any(_is_frame(x, units) for x in (node, *node.args))


def _sharing(unit: ConvUnit, kernels: dict[nn.Module, Kernel]) -> QuantConvUnit:
    """The integer unit; units of one convolution hold one kernel, so that however tuned W is one."""
    conv = source_of(unit)[0]
    kernels.setdefault(conv, Kernel(conv.weight))
    return QuantConvUnit(unit, kernels[conv])


def _is_kept(target: str, keep_float: tuple[str, ...]) -> bool:
    return any(target == block or target.startswith(f"{block}.") for block in keep_float)


def _byte_stems(
    traced: fx.GraphModule, units: dict[str, nn.Module], sensors: tuple[Sensor, ...], keep_float: tuple[str, ...]
) -> dict[fx.Node, Sensor]:
    """The units that read a frame of bytes and nothing else, with its sensor."""
    frames = {node: sensors[node.meta["frame"]] for node in traced.graph.find_nodes(op="placeholder") if sensors}
    readers = {user: sensor for node, sensor in frames.items() for user in node.users if user.op == "call_module"}
    return {
        node: sensor
        for node, sensor in readers.items()
        if reads_bytes(units[str(node.target)], sensor) and not _is_kept(str(node.target), keep_float)
    }


def _share_at_concatenations(traced: fx.GraphModule) -> None:
    """One rounding for a concatenation and for all that it puts side by side, where nothing else is in between."""
    for node in traced.graph.nodes:
        if node.op != "call_module" or not isinstance(traced.get_submodule(str(node.target)), Concat):
            continue
        rounded = [*node.all_input_nodes, *node.users]
        if all(_is_rounding(traced, value) for value in rounded):
            for value in rounded[1:]:
                _rename(traced, str(value.target), str(rounded[0].target))


def _is_rounding(traced: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), ActivationQuant)


def _rename(traced: fx.GraphModule, old: str, new: str) -> None:
    """Let every node that rounds by `old` round by `new`."""
    for node in traced.graph.nodes:
        if node.op == "call_module" and node.target == old:
            node.target = new


def _round_linears(traced: fx.GraphModule, observer: str, keep_float: tuple[str, ...]) -> None:
    """Let the linear layers within islands of floating point read integers."""
    for target, module in list(traced.named_modules()):
        if worth_integers(module) and isinstance(module, nn.Linear) and not _is_kept(target, keep_float):
            _replace(traced, target, QuantLinear(module, f"round_{target.replace('.', '_')}", observer))


def _joins_for_floats(node: fx.Node, units: dict[str, nn.Module], integer: set[fx.Node]) -> bool:
    """Whether `node` is a sum or concatenation that no integer convolution reads: to round it would gain nothing."""
    return isinstance(units[str(node.target)], JOINS) and not _reaches_convolution(node, units, integer)


def _reaches_convolution(node: fx.Node, units: dict[str, nn.Module], integer: set[fx.Node]) -> bool:
    """Whether an integer convolution reads `node`, directly or through what keeps integers integers."""
    for user in node.users:
        joins = user in integer and isinstance(units[str(user.target)], JOINS)
        if (user in integer and not joins) or (
            (joins or _is_carrier(user, units)) and _reaches_convolution(user, units, integer)
        ):
            return True
    return False


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
