"""Students of one scenario that differ only in which blocks are integers, with ranges that were measured once."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import fx

from dis2_edge.recipe import Recipe
from dis2_quantize.choosing.keep import Kept
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.teaching.student import Student, calibrate, make_student
from dis2_train.data.batches import Split
from dis2_train.networks.seam import Network


class Mixer:
    """Makes students of one scenario. A tensor keeps the range that it has where every block is an integer.

    To calibrate each mixture anew gives nearly the same (docs/quantization.md has the figures), many times slower.
    """

    def __init__(self, network: Network, scenario: str, recipe: Recipe, train: Split) -> None:
        self.network, self.scenario, self.recipe, self._train = network, scenario, recipe, train
        self.blocks: Kept = network.blocks(scenario)
        """Every block of the scenario."""
        student = make_student(network, scenario, recipe)
        calibrate([student], train, recipe.calibration_images)
        self._ranges = dict(_roundings(student.network))

    def mixed(self, kept: Kept) -> Student:
        """The student whose blocks `kept` are floats, with the ranges of the one that has none; all kept is FP32."""
        student = self._placed(kept)
        for tensor, quantizer in _roundings(student.network):
            quantizer.__dict__.update(copy.deepcopy(self._ranges[tensor]).__dict__)
        return student

    def calibrated(self, kept: Kept) -> Student:
        """The student whose blocks `kept` are floats, calibrated as the one that will fly."""
        student = self._placed(kept)
        if set(kept) != set(self.blocks):
            calibrate([student], self._train, self.recipe.calibration_images)
        return student

    def flies(self, kept: Kept) -> bool:
        """Whether integer convolutions are left: a file without them is not called INT8."""
        return any(isinstance(unit, QuantConvUnit) for unit in self._placed(kept).network.modules())

    def all_but(self, block: str) -> Kept:
        """Every block but `block`."""
        return tuple(name for name in self.blocks if name != block)

    def _placed(self, kept: Kept) -> Student:
        network, taps = self.network, self.network.tap_names(self.scenario)
        traced = placement.trace(network.deployable(self.scenario, taps))
        used = network.task.used(self.scenario)
        return Student(self.scenario, taps, placement.place(traced, self.recipe.observer, kept, used))


def _roundings(network: fx.GraphModule) -> Iterator[tuple[str, ActivationQuant]]:
    """Every rounding with the tensor that it rounds: the node that makes it, or the layer that reads it inside itself.

    One rounding may stand for several tensors, which share its scale; what shares differs between mixtures.
    """
    inside = {name: module for name, module in network.named_modules() if isinstance(module, ActivationQuant)}
    for node in network.graph.find_nodes(op="call_module", sort=True):
        quantizer = inside.get(str(node.target))
        if quantizer is not None:
            yield node.all_input_nodes[0].name, quantizer
    called = {str(node.target) for node in network.graph.find_nodes(op="call_module", sort=False)}
    yield from ((name, quantizer) for name, quantizer in inside.items() if name not in called)
