"""FP16 evidence: a network of the `trt` form run in torch with every intermediate rounded to half precision.

ONNX Runtime's CPU computes FP16 graphs in FP32 (a value of 192,000 comes out finite), so its run of a file says
nothing about range. Here the result of every operator is rounded to FP16, weights, inputs and constants as well, and
the largest |x| that each reached before rounding is kept by name. What is inside an operator:

- A sum (in convolutions, matrix products, means, a norm's or softmax's sum) is accumulated in FP32 and rounded once,
  its bias included, as tensor cores do. The sum itself must fit.
- Softmax and layer norm are taken apart: differences, exponentials, squares, roots and quotients are each rounded. That
  is stricter than TensorRT, which may keep a norm's inside in FP32.
- Enlarging by two is rounded once; its weights are sixteenths, which FP16 holds exactly.

FP32 is looked at in the same way: the form whose every node is an FP32 island rounds nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from dis2_edge.prepare import normalise
from dis2_edge.sensors import Sensor
from dis2_quantize.judging.arithmetic import Arithmetic
from dis2_quantize.judging.ranges import Ranges
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.form import Cast, typed_form
from dis2_runtime.engine import Answer, Frames
from dis2_runtime.kernels.decide import answer_of


class HalfSegmenter:
    """A network in the `trt` form that answers as its file would in true FP16; `ranges` grow with every frame."""

    def __init__(self, form: fx.GraphModule, sensors: tuple[Sensor, ...]) -> None:
        self._form, self._sensors = form, sensors
        self._arithmetic = _weighed(form)

    @property
    def ranges(self) -> Ranges:
        """The ranges of all tensors, over all frames so far."""
        return self._arithmetic.ranges

    def run(self, frames: Frames) -> Answer:
        """Mask and confidence of `frames`: one raw HxWxC array a sensor; others are not read."""
        inputs = [torch.from_numpy(normalise(frames[sensor.name], sensor))[None] for sensor in self._sensors]
        return answer_of(self.logits(*inputs)[0].numpy())

    def logits(self, *inputs: Tensor) -> Tensor:
        """Normalised inputs (1, C, H, W) float32, in the scenario's order, to logits (1, K, H, W) float32."""
        return _simulate(self._form, inputs, self._arithmetic)


def measure(form: fx.GraphModule, images: Iterable[tuple[Tensor, ...]]) -> Ranges:
    """The ranges of a form over `images` (one normalised tensor (1, C, H, W) a sensor)."""
    arithmetic = _weighed(form)
    for inputs in images:
        _simulate(form, inputs, arithmetic)
    return arithmetic.ranges


def single_form(network: fx.GraphModule) -> fx.GraphModule:
    """The `trt` form of `network` with everything in FP32."""
    return typed_form(network, {node.name for node in network.graph.nodes})


def islands(network: fx.GraphModule, images: Iterable[tuple[Tensor, ...]]) -> tuple[str, ...]:
    """Names of the nodes of `network` that must stay in FP32, in graph order, by their FP32 ranges over `images`.

    A unit is an island if a weight of it or any tensor within it passes `LARGEST_HALF`; so is what reads such a tensor,
    since the way there would have to carry it in FP16.
    """
    form = single_form(network)
    found = {row.unit for row in measure(form, images).rows if not row.fits}
    readers = {user.name for node in form.graph.nodes if node.name in found for user in node.users}
    return tuple(
        node.name
        for node in form.graph.nodes
        if node.name in found | readers and node.op not in ("placeholder", "output")
    )


def _weighed(form: fx.GraphModule) -> Arithmetic:
    """An arithmetic that has seen the form's weights; of an integer unit the integers are left to their scales."""
    arithmetic = Arithmetic()
    for node in form.graph.nodes:
        if node.op == "call_module":
            module = form.get_submodule(str(node.target))
            arithmetic.enter(node.name, node.meta["float"])
            for name, parameter in module.named_parameters():
                if not isinstance(module, QuantConvUnit) or name == "bias":
                    arithmetic.note(parameter, name)
    return arithmetic


@torch.no_grad()
def _simulate(form: fx.GraphModule, inputs: tuple[Tensor, ...], arithmetic: Arithmetic) -> Tensor:
    arithmetic.images += 1
    with _named(form, arithmetic), sdpa_kernel(SDPBackend.MATH), arithmetic:
        out: Tensor = _Walker(form, arithmetic).run(*inputs)
    return out


class _Walker(fx.Interpreter):
    """Runs a form node by node and tells the arithmetic where it is."""

    def __init__(self, form: fx.GraphModule, arithmetic: Arithmetic) -> None:
        super().__init__(form)
        self._arithmetic = arithmetic

    def run_node(self, n: fx.Node) -> Any:
        """The node's result, in its type."""
        self._arithmetic.enter(n.name, n.meta["float"])
        found = super().run_node(n)
        if n.op == "placeholder":
            self._arithmetic.note(found, "input")
        return found


@contextlib.contextmanager
def _named(form: fx.GraphModule, arithmetic: Arithmetic) -> Iterator[None]:
    """While this lasts, the arithmetic knows which module computes."""
    hooks = []
    for name, module in form.named_modules():
        if name and not isinstance(module, Cast):
            hooks.append(module.register_forward_pre_hook(lambda *_, name=name: arithmetic.path.append(name)))
            hooks.append(module.register_forward_hook(lambda *_: _leave(arithmetic)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _leave(arithmetic: Arithmetic) -> None:
    arithmetic.path.pop()
