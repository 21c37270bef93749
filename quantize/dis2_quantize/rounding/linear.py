"""A linear layer over tokens, rounded: its input to 8 bits, its weights to int8; its output stays floating point."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_quantize.rounding.fake import ActivationQuant
from dis2_quantize.rounding.kernel import SIGNED_STEPS

LEAST_CHANNELS = 16
"""A layer with fewer inputs or outputs than this gains nothing as integers."""


class QuantLinear(nn.Module):
    """y = W x + b with x and W rounded; the sum of products is exact in int32 and leaves as floating point.

    What a normalisation or a softmax reads next wants the range of a float, so nothing is rounded behind the layer.
    """

    steps: Tensor
    zeros: Tensor

    def __init__(self, linear: nn.Linear, name: str, observer: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().clone())
        bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().clone()
        self.bias = nn.Parameter(bias)
        self.input = ActivationQuant(name, observer)
        self.register_buffer("steps", torch.ones(linear.out_features))
        self.register_buffer("zeros", torch.zeros(linear.out_features, dtype=torch.int32))
        self.measure_steps()

    def measure_steps(self) -> None:
        """Take the step of each output from the weights as they are now."""
        self.steps.copy_(self.weight.detach().abs().amax(dim=1).div(SIGNED_STEPS).clamp(min=1e-9))

    def train(self, mode: bool = True) -> QuantLinear:
        """Leaving training takes the steps once more: the last move of the weights came after they were taken."""
        if self.training and not mode:
            self.measure_steps()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        if self.training:
            self.measure_steps()
        weight = torch.fake_quantize_per_channel_affine(self.weight, self.steps, self.zeros, 0, -128, SIGNED_STEPS)
        return F.linear(self.input(x), weight, self.bias)

    def plain(self) -> nn.Linear:
        """The layer in floating point again, with the weights as they are."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        linear.load_state_dict({"weight": self.weight.detach(), "bias": self.bias.detach()})
        return linear.train(self.training)


def worth_integers(module: nn.Module) -> bool:
    """Whether `module` is a linear layer that integers make faster."""
    return isinstance(module, nn.Linear) and min(module.in_features, module.out_features) >= LEAST_CHANNELS
