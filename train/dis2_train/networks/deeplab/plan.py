"""The shapes of every convolution of DeepLabV3, as data, so that CSK-Net makes the same ones with other norms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dis2_edge.recipe import Recipe
from dis2_train.networks.blocks import ConvUnit
from dis2_train.networks.widths import scaled

BLOCKS = {2: 1, 3: 2, 4: 1}
"""Residual blocks of each stage: the stages at a quarter of the input's size, at an eighth, and the dilated one."""
STAGES = tuple(BLOCKS)


@dataclass(frozen=True)
class Shape:
    """One convolution with its batch norm."""

    inputs: int
    """Channels that it reads."""
    outputs: int
    """Channels that it gives."""
    kernel: int = 3
    """Side of its kernel."""
    stride: int = 1
    """Positions from one output to the next."""
    dilation: int = 1
    """Positions from one tap of the kernel to the next (the paper's atrous rate)."""
    act: bool = True
    """Whether a ReLU follows."""

    def unit(self) -> ConvUnit:
        """A unit of this shape, weights drawn anew."""
        return ConvUnit(self.inputs, self.outputs, self.kernel, self.stride, self.act, self.dilation)


def encoder_plan(recipe: Recipe, channels: int) -> dict[str, Shape]:
    """The encoder's convolutions by name; `channels` are the sensor's. The first one is `stem`.

    Stage 4 keeps the size of stage 3 and dilates instead where `recipe.output_stride` is 8; at 16 it halves as well.
    """
    w1, w2, w3, w4 = scaled(recipe.width)
    plan = {"stem": Shape(channels, w1, 4, 2), "enter2": Shape(w1, w2, 4, 2), "enter3": Shape(w2, w3, 4, 2)}
    halves = recipe.output_stride == 16
    plan["enter4"] = Shape(w3, w4, 4, 2) if halves else Shape(w3, w4)
    rates = {2: 1, 3: 1, 4: 1 if halves else 2}
    for stage, width in zip(STAGES, (w2, w3, w4), strict=True):
        for inner, outer in blocks_of(stage):
            plan[inner] = Shape(width, width, dilation=rates[stage])
            plan[outer] = Shape(width, width, dilation=rates[stage], act=False)
    return plan


def blocks_of(stage: int) -> tuple[tuple[str, str], ...]:
    """Names of the inner and the outer convolution of each residual block of a stage."""
    return tuple((f"inner{stage}_{number}", f"outer{stage}_{number}") for number in range(1, BLOCKS[stage] + 1))


def units_of(stage: int) -> tuple[str, ...]:
    """Names of all convolutions of a stage, in the order in which a map passes them."""
    return (f"enter{stage}", *sum(blocks_of(stage), ()))


def decoder_plan(recipe: Recipe) -> dict[str, Shape]:
    """The convolutions of atrous spatial pyramid pooling and what follows it, by name.

    The paper's rates are (6, 12, 18) at 1/16 of the size of ordinary pictures; the default (3, 6, 9) is for the small
    crops and frames of this project, where most taps of a wider kernel would read padding (`recipe.pyramid_rates`).
    """
    *_, w3, w4 = scaled(recipe.width)
    hidden = w3
    plan = {"point": Shape(w4, hidden, 1)}
    plan |= {f"atrous{n}": Shape(w4, hidden, dilation=rate) for n, rate in enumerate(recipe.pyramid_rates, 1)}
    plan["project"] = Shape(hidden * len(plan), hidden, 1, act=False)
    return plan | {"refine": Shape(hidden, hidden)}


def hidden_width(recipe: Recipe) -> int:
    """Channels of a decoder's maps."""
    return scaled(recipe.width)[2]


def units(plan: dict[str, Shape]) -> dict[str, nn.Module]:
    """One unit a shape, by name."""
    return {name: shape.unit() for name, shape in plan.items()}
