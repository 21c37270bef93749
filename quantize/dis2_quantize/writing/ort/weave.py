"""From a network with fake quantisation to one that computes in integers, channels last, as a file of `ort` holds it.

Every tensor has at most two forms: integers (B, H, W, C) where it is rounded, floating point (B, C, H, W) where an
island reads it. A form is made when somebody asks for it, once.
"""

from __future__ import annotations

import copy

from torch import fx, nn

from dis2_edge.errors import InternalError
from dis2_edge.sensors import Sensor
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.rounding.stem import QuantStem
from dis2_quantize.writing.ort import borders, units
from dis2_quantize.writing.ort.operators import Step
from dis2_quantize.writing.ort.stems import ByteStem
from dis2_quantize.writing.wrap import Normalise
from dis2_train.networks.blocks import Add, Channels, Concat, Enlarge, ImageMean, Regroup, Strips


def weave(placed: fx.GraphModule, sensors: tuple[Sensor, ...]) -> fx.GraphModule:
    """The network that takes raw frames (H, W, C), one a sensor, and answers logits (1, K, H, W).

    `placed` is frozen, of batch 1 and without taps; `sensors` are those of its scenario, in order.
    """
    return _Weaver(placed, sensors).woven()


class _Weaver:
    """Walks back from the logits and makes each form that is asked for."""

    def __init__(self, placed: fx.GraphModule, sensors: tuple[Sensor, ...]) -> None:
        self.placed, self.sensors = placed, sensors
        self.graph, self.root = fx.Graph(), nn.Module()
        self.frames: dict[fx.Node, fx.Node] = {}
        self.floats: dict[fx.Node, fx.Node] = {}
        self.integers: dict[fx.Node, fx.Node] = {}

    def woven(self) -> fx.GraphModule:
        for node in self.placed.graph.find_nodes(op="placeholder"):
            self.frames[node] = self.graph.placeholder(self.sensors[node.meta["frame"]].name)
        (output,) = self.placed.graph.find_nodes(op="output")
        self.graph.output(self.as_float(output.args[0]))
        self.graph.lint()
        return fx.GraphModule(self.root, self.graph).eval()

    def as_float(self, node: fx.Node) -> fx.Node:
        """`node` in floating point."""
        if node not in self.floats:
            self.floats[node] = self._float(node)
        return self.floats[node]

    def as_integers(self, rounding: fx.Node) -> fx.Node:
        """What `rounding` gives, in integers."""
        if rounding not in self.integers:
            self.integers[rounding] = self._integers(rounding)
        return self.integers[rounding]

    def _float(self, node: fx.Node) -> fx.Node:
        if node.op == "placeholder":
            sensor = self.sensors[node.meta["frame"]]
            return self._call(f"normalise_{sensor.name}", Normalise(sensor), self.frames[node])
        if self._is_rounding(node):
            return self._call(f"{node.name}_float", borders.ToFloat(self._step(node)), self.as_integers(node))
        if node.op == "call_module":
            return self._float_module(node, self._module(node))
        return self.graph.node_copy(node, self.as_float) if node.op != "get_attr" else self._held(node)

    def _float_module(self, node: fx.Node, module: nn.Module | None) -> fx.Node:
        (source, *_) = node.all_input_nodes
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and self._is_rounding(source):
            pointwise = borders.Pointwise(module, self._step(source))
            return self._call(str(node.target), pointwise, self.as_integers(source))
        if isinstance(module, ImageMean) and self._is_rounding(source):
            return self._call(str(node.target), borders.IntegerMean(self._step(source)), self.as_integers(source))
        if isinstance(module, Enlarge):
            return self._call(str(node.target), borders.ProductEnlarge(module.factor), self.as_float(source))
        if module is None:
            raise InternalError(f"{node.name} calls nothing")
        args = fx.map_arg(node.args, self.as_float)
        return self._call(str(node.target), with_integer_linears(copy.deepcopy(module)), *args)  # type: ignore[arg-type]

    def _integers(self, rounding: fx.Node) -> fx.Node:
        """The integer unit that makes them, or a rounding of what an island made."""
        (node,) = rounding.all_input_nodes
        made, module = self._step(rounding), self._module(node)
        if isinstance(module, QuantStem):
            return self._call(str(node.target), ByteStem(module, made), self._raw(node.all_input_nodes[0]))
        if module is None or not all(map(self._is_rounding, node.all_input_nodes)):
            return self._call(f"{node.name}_integers", borders.ToIntegers(made), self.as_float(node))
        read = [self._step(source) for source in node.all_input_nodes]
        unit = _unit_of(module, read, made)
        if unit is None:
            return self._call(f"{node.name}_integers", borders.ToIntegers(made), self.as_float(node))
        return self._call(str(node.target), unit, *map(self.as_integers, node.all_input_nodes))

    def _raw(self, frame: fx.Node) -> fx.Node:
        return self.graph.call_method("unsqueeze", (self.frames[frame], 0))

    def _held(self, node: fx.Node) -> fx.Node:
        """A tensor of the network itself."""
        name, (owner, _, own) = _flat(str(node.target)), str(node.target).rpartition(".")
        self.root.register_buffer(name, getattr(self.placed.get_submodule(owner), own).detach().clone())
        return self.graph.get_attr(name)

    def _call(self, target: str, module: nn.Module, *args: fx.Node) -> fx.Node:
        """A call of `module` under a flat name of its own, by which a file's nodes tell where they come from."""
        name, turn = _flat(target), 1
        while hasattr(self.root, name):
            turn += 1
            name = f"{_flat(target)}_{turn}"
        self.root.add_module(name, module)
        return self.graph.call_module(name, args)

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.placed.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _is_rounding(self, node: fx.Node) -> bool:
        return isinstance(self._module(node), ActivationQuant)

    def _step(self, rounding: fx.Node) -> Step:
        module = self._module(rounding)
        if not isinstance(module, ActivationQuant):
            raise InternalError(f"{rounding.name} is read as integers and is not rounded")
        return units.step_of(module)


def _unit_of(module: nn.Module, read: list[Step], made: Step) -> nn.Module | None:
    """What `module` becomes where it reads and makes integers; None for what has no integer form."""
    if isinstance(module, QuantConvUnit):
        return units.IntegerConv(module, read[0], made)
    if isinstance(module, Add):
        return units.IntegerAdd(read[0], read[1], made)
    if isinstance(module, Strips):
        return units.IntegerStrips(tuple(read), made)
    if isinstance(module, Channels):
        return units.IntegerChannels(module.start, module.stop)
    if isinstance(module, Concat):
        return units.IntegerConcat(tuple(read), made)
    if isinstance(module, Enlarge) and module.factor == 2:
        return units.IntegerEnlarge(made)
    return units.IntegerRegroup(module.groups) if isinstance(module, Regroup) else None


def with_integer_linears(module: nn.Module) -> nn.Module:
    """`module` with its rounded linear layers in integers, in place."""
    if isinstance(module, QuantLinear):
        return units.IntegerLinear(module)
    for name, child in list(module.named_children()):
        setattr(module, name, with_integer_linears(child))
    return module


def _flat(target: str) -> str:
    return target.replace(".", "_")
