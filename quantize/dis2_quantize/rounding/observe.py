"""Observers: what range of a tensor the 8 bits should span, from a histogram of what was seen."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 2048
PERCENTILE = 0.9999
CANDIDATES = 64


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
