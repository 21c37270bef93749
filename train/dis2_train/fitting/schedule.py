"""Optimiser, learning rate and running average of a run."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from dis2_edge.recipe import Recipe
from dis2_train.networks.seam import Network

WARM_UP = 0.05
"""Share of the steps in which the rate rises."""
MOMENTUM = 0.99
"""Nesterov momentum of sgd, as in the paper."""


def optimizer_for(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD over the network's parameters; those of one dimension (norms, biases) do not decay."""
    learned = [value for value in network.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in learned if value.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [value for value in learned if value.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of `step` (0-based) of `steps`: a linear rise over the first twentieth, then a cosine to 0."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return recipe.learning_rate * (step + 1) / rise
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Average:
    """A copy of a network whose weights and running statistics follow the original slowly."""

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.network: Network = copy.deepcopy(network).requires_grad_(False).eval()
        ours, theirs = _tensors(self.network), _tensors(network)
        pairs = list(zip(ours, theirs, strict=True))
        self._smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self._exact = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def restart(self) -> None:
        """Be as the original is now."""
        for ours, theirs in (*self._smooth, *self._exact):
            ours.copy_(theirs)

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the original after `step` (0-based); early steps move faster, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        ours, theirs = [pair[0] for pair in self._smooth], [pair[1] for pair in self._smooth]
        torch._foreach_lerp_(ours, theirs, 1 - decay)
        if self._exact:
            torch._foreach_copy_([pair[0] for pair in self._exact], [pair[1] for pair in self._exact])


def _tensors(network: Network) -> list[Tensor]:
    return [*(value.detach() for value in network.parameters()), *network.buffers()]
