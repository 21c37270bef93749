"""The placement as a table: each tensor's number format and scale, and why, in either dialect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import fx, nn

from dis2_edge.manifest import Dialect
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.floating import LEAST_CHANNELS, FoldedConvUnit
from dis2_quantize.rounding.form import Cast
from dis2_quantize.rounding.placement import CARRIED
from dis2_quantize.rounding.symmetric import SymmetricQuant
from dis2_train.networks.blocks import Add, Concat, ConvUnit

Format = Literal["uint8", "int8", "fp16", "fp32"]
Rounding = ActivationQuant | SymmetricQuant


@dataclass(frozen=True)
class Placed:
    """One tensor."""

    tensor: str
    """The node that makes it, or the weight."""
    unit: str
    """The module that makes it or holds it, and its kind."""
    format: Format
    """Number format in which it is kept."""
    scale: float | None
    """Size of one integer step in the tensor's unit; of a weight the largest of its channels'; None of a float."""
    why: str
    """The rule that decided."""


def placement_table(network: fx.GraphModule, dialect: Dialect) -> tuple[Placed, ...]:
    """Every tensor of a placed and calibrated network (`ort`) or of a typed form (`trt`), in order of computation."""
    modules = dict(network.named_modules())
    rows: list[Placed] = []
    for node in network.graph.nodes:
        module = modules[str(node.target)] if node.op == "call_module" else None
        if module is not None and not isinstance(module, (*_ROUNDINGS, Cast)):
            rows += _of_unit(node, module, network, modules, dialect)
    return tuple(rows)


_ROUNDINGS = (ActivationQuant, SymmetricQuant)


def _of_unit(
    node: fx.Node, module: nn.Module, network: fx.GraphModule, modules: dict[str, nn.Module], dialect: Dialect
) -> Iterator[Placed]:
    unit = f"{node.target} ({type(module).__name__})"
    for name, inner in module.named_modules():
        if isinstance(inner, ActivationQuant):
            yield Placed(
                f"{node.target}.{name}", unit, "uint8", inner.scale, "an integer product within the unit reads it"
            )
    if isinstance(module, QuantConvUnit):
        why = "an integer convolution reads it; one scale an output channel"
        yield Placed(f"{node.target}.weight", unit, "int8", float(module.steps.max()), why)
    rounding = next((found for user in node.users if (found := _rounding(user, modules))), None)
    if rounding is None:
        float_: Format = node.meta.get("float", "fp32") if dialect == "trt" else "fp32"
        yield Placed(node.name, unit, float_, None, _why_float(node, module, modules, dialect))
    else:
        format_: Format = "int8" if dialect == "trt" else "uint8"
        why = _why_rounded(module, _alike(node, rounding, network, modules), dialect)
        yield Placed(node.name, unit, format_, float(rounding.scale), why)


def _rounding(node: fx.Node, modules: dict[str, nn.Module]) -> Rounding | None:
    module = modules[str(node.target)] if node.op == "call_module" else None
    return module if isinstance(module, _ROUNDINGS) else None


def _alike(
    node: fx.Node, rounding: Rounding, network: fx.GraphModule, modules: dict[str, nn.Module]
) -> tuple[str, ...]:
    """The other tensors with the same scale, but those that are only moved: what is put side by side with this one."""
    readers = [user for user in network.graph.nodes if _rounding(user, modules) is rounding]
    makers = [maker for user in readers for maker in user.all_input_nodes if maker is not node]
    moved = {maker for maker in makers if isinstance(modules.get(str(maker.target)), CARRIED)}
    names = [maker.name for maker in makers if maker not in moved]
    return (*names, *rounding.shared) if isinstance(rounding, SymmetricQuant) else tuple(names)


def _why_rounded(module: nn.Module, alike: tuple[str, ...], dialect: Dialect) -> str:
    if isinstance(module, CARRIED):
        return "it only moves integers, and keeps their scale"
    if alike:
        return f"concatenated, so one scale with {', '.join(alike)}"
    return "an integer unit reads it" if dialect == "trt" else "an integer unit makes or reads it"


def _why_float(node: fx.Node, module: nn.Module, modules: dict[str, nn.Module], dialect: Dialect) -> str:
    if dialect == "trt" and node.meta.get("float") == "fp32":
        return "an FP32 island: its range, or that of what it reads, passes what FP16 may hold"
    if isinstance(module, FoldedConvUnit):
        return f"reads fewer than {LEAST_CHANNELS} channels, or is kept in floating point"
    if isinstance(module, ConvUnit):
        return "a sensor's first convolution, or kept in floating point"
    if isinstance(module, QuantConvUnit):
        adds = any(isinstance(modules.get(str(user.target)), Add) for user in node.users)
        return "added within the convolution's kernel" if adds else "only floating point reads it"
    joins = isinstance(module, (Add, Concat, *CARRIED))
    return "no integer unit reads it" if joins else "attention or head: floating point by policy"
