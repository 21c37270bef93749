"""Observers: what range of a tensor the 8 bits should span, from a histogram of what was seen."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 2048
PERCENTILE = 0.9999
CANDIDATES = 64
CUTS = 256
"""Ends that the entropy rule tries; one for each bin would be no better and eight times slower."""


class Observer:
    """Collects |x| in a histogram that doubles its span when it must; `largest` then chooses the range's end."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.low = float("inf")
        self.span = 0.0
        self.counts = torch.zeros(BINS, dtype=torch.float64)

    @property
    def seen(self) -> bool:
        """Whether any value has been seen."""
        return self.low < float("inf")

    def see(self, x: Tensor) -> None:
        """Add a tensor's values, all finite."""
        x = x.detach().float()
        low, high = float(x.min()), float(x.abs().max())
        self.low = min(self.low, low)
        self._widen(high)
        if self.span:
            counts = torch.histc(x.abs().flatten(), BINS, 0, self.span)
            self.counts += counts.double().cpu()

    def largest(self, steps: int) -> float:
        """The range's end for `steps` integer steps, by this observer's rule."""
        if self.span == 0.0:
            return 1.0
        top = int(self.counts.nonzero().max()) + 1
        if self.rule == "minmax":
            return self.span * top / BINS
        if self.rule == "percentile":
            cumulated = self.counts.cumsum(0) / self.counts.sum()
            return self.span * (int((cumulated < PERCENTILE).sum()) + 1) / BINS
        if self.rule == "entropy":
            return self.span * least_divergence(self.counts[:top], steps + 1) / BINS
        return self._least_error(top, steps)

    def _widen(self, high: float) -> None:
        if self.span == 0.0:
            self.span = high
        while high > self.span:
            self.counts = torch.cat([self.counts.view(-1, 2).sum(1), torch.zeros(BINS // 2, dtype=torch.float64)])
            self.span *= 2

    def _least_error(self, top: int, steps: int) -> float:
        """The end whose rounding and clipping errors, squared and summed over what was seen, are least."""
        centres = (torch.arange(BINS, dtype=torch.float64) + 0.5) * self.span / BINS
        ends = torch.linspace(0.1, 1.0, CANDIDATES, dtype=torch.float64) * top * self.span / BINS
        clipped = (centres[None] - ends[:, None]).clamp(min=0).square()
        rounded = (ends / steps).square()[:, None] / 12 * (centres[None] <= ends[:, None])
        errors = ((clipped + rounded) * self.counts).sum(dim=1)
        return float(ends[int(errors.argmin())])


def least_divergence(counts: Tensor, levels: int) -> int:
    """How many of the bins `counts` (N,) float64, the last one not empty, to keep: the least KL divergence wins.

    Kept bins are compared with themselves in `levels` groups, each group's mass spread evenly over its bins that are
    not empty; what lies beyond is clipped into the last kept bin of the truth, but not of the groups, so clipping costs
    (S. Migacz, 8-bit inference with TensorRT, GTC 2017). Zero is an integer of its own and is rounded without error,
    so the many exact zeros behind a ReLU say nothing: the first bin counts as much as the second.
    """
    if len(counts) <= levels:
        return len(counts)
    counts = counts.clone()
    counts[0] = counts[1]
    kept = torch.linspace(levels, len(counts), CUTS, dtype=torch.float64).round().long()  # (E,)
    divergence = _divergence(counts, kept, levels)
    # Of equals the widest: nothing is clipped in vain.
    return int(kept[divergence <= divergence.min()].max())


def _divergence(counts: Tensor, kept: Tensor, levels: int) -> Tensor:
    """KL divergence (E,) of the truth from its groups, where the first `kept` (E,) bins are kept; infinite if a group
    that holds truth has no mass.

    The truth's sum of p log q needs only each group's sums, and these are differences of running sums.
    """
    beyond = counts.sum() - _running(counts)[kept]  # (E,)
    last = counts[kept - 1]
    edges = torch.arange(levels + 1) * kept[:, None] // levels  # (E, L + 1)
    mass = _running(counts)[edges].diff(dim=1)  # (E, L)
    filled = _running((counts > 0).double())[edges].diff(dim=1)
    filled[:, -1] += (last == 0) & (beyond > 0)
    truth = mass.clone()
    truth[:, -1] += beyond
    spread = (mass / filled.clamp(min=1)).log()
    cross = torch.where(truth > 0, truth * spread, 0.0).sum(dim=1)
    own = _running(torch.special.xlogy(counts, counts))[kept]
    own = own - torch.special.xlogy(last, last) + torch.special.xlogy(last + beyond, last + beyond)
    # Both histograms are normalised: the truth by all of its mass, the groups by what was kept.
    total, inside = counts.sum(), _running(counts)[kept]
    divergence: Tensor = (own - cross) / total - total.log() + inside.log()
    return divergence.nan_to_num(nan=torch.inf)  # nothing kept: infinite, and no group has mass


def _running(values: Tensor) -> Tensor:
    """Sums of the first 0, 1, ... N of `values` (N,)."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])
