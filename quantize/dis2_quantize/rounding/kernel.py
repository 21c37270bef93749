"""The weights of one convolution in integers, W = s q: rounded once, however many units convolve with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_quantize.rounding.learning import Change, round_channels

SIGNED_STEPS = 127
HAIR = 5e-4
"""In steps: 127 times its own step may fall short of the largest weight by a rounding, and that is no reason to cut."""
LEAST_STEP = 1e-9
"""A step is never 0: what is nothing in all of a channel is rounded to nothing."""


class Kernel(nn.Module):
    """Weights (O, I, h, w) that are rounded to int8, one step an output channel, before any norm is folded in.

    Units that share a convolution hold the same kernel: training it trains one W, and its integers
    are the same for all.
    `divisor` (1, I, 1, 1) is what the weights are divided by before they are rounded; 1 if it is None.
    """

    steps: Tensor
    zeros: Tensor
    divisor: Tensor

    def __init__(self, weight: Tensor, divisor: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.change: Change | None = None
        self.register_buffer("divisor", divisor)
        self.register_buffer("steps", torch.ones(len(weight)))
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32))
        self.measure_steps()

    @torch.no_grad()
    def measure_steps(self) -> None:
        """Take the step of each output channel from the weights as they are now."""
        largest = self.whole().abs().amax(dim=(1, 2, 3))
        self.steps.copy_(largest.div(SIGNED_STEPS).clamp(min=LEAST_STEP))

    def learn(self) -> None:
        """From now on steps get gradients instead of being measured, until `settle`."""
        if self.change is None:
            self.change = Change((len(self.steps),)).to(self.steps.device)

    @torch.no_grad()
    def settle(self) -> None:
        """End of tuning: what was learned becomes the steps, and weights are cut to what these reach."""
        if self.change is not None:
            whole = self.whole()
            held = self._within(whole)
            back = held if self.divisor is None else held * self.divisor
            self.weight.copy_(torch.where(held == whole, self.weight, back))
            self.steps.copy_(self.reached())
            self.change = None

    def train(self, mode: bool = True) -> Kernel:
        """Leaving training takes the steps once more: the last move of the weights came after they were taken."""
        if self.training and not mode and self.change is None:
            self.measure_steps()
        return super().train(mode)

    def whole(self) -> Tensor:
        """(O, I, h, w), not rounded."""
        return self.weight if self.divisor is None else self.weight / self.divisor

    def reached(self) -> Tensor:
        """The steps (O,) as they are now: measured, or changed by what was learned."""
        out: Tensor = self.steps if self.change is None else self.change(self.steps)
        return out

    def forward(self) -> Tensor:
        """(O, I, h, w) rounded to whole steps."""
        if self.training and self.change is None:
            self.measure_steps()
        weight = self.whole()
        if self.change is not None:
            if self.training:
                return round_channels(weight, self.reached(), SIGNED_STEPS)
            weight = self._within(weight)
        # -128 is never reached, as steps come from the largest weight; the exporter knows whole int8 only.
        steps = self.reached().detach()
        return torch.fake_quantize_per_channel_affine(weight, steps, self.zeros, 0, -128, SIGNED_STEPS)

    @torch.no_grad()
    def integers(self) -> Tensor:
        """(O, I, h, w) int8: what `forward` gives, in steps."""
        steps = self.reached().view(-1, 1, 1, 1)
        return torch.round(self.forward() / steps).to(torch.int8)

    def _within(self, weight: Tensor) -> Tensor:
        """Weights cut to the end of their integers, which learned steps may leave short of the largest one."""
        end = (SIGNED_STEPS + HAIR) * self.reached()[:, None, None, None]
        return torch.minimum(torch.maximum(weight, -end), end)
