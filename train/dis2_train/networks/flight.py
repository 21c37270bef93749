"""What flies: a network narrowed to one scenario, with one argument a sensor, as tracing and export need it."""

from __future__ import annotations

from torch import Tensor, nn

from dis2_edge.errors import InternalError

Answer = Tensor | tuple[Tensor, ...]


class Flight(nn.Module):
    """Calls `inner(*frames)`, which answers a dictionary with `logits` and all taps, and returns what was asked for."""

    def __init__(self, inner: nn.Module, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.inner, self.taps = inner, taps

    def answer(self, *frames: Tensor) -> Answer:
        """Logits (B, K, H, W), or (logits, *taps) when there are taps."""
        found = self.inner(*frames)
        return (found["logits"], *(found[name] for name in self.taps)) if self.taps else found["logits"]


class OneSensor(Flight):
    """A flight with one sensor."""

    def forward(self, a: Tensor) -> Answer:
        """One tensor (B, C, H, W)."""
        return self.answer(a)


class TwoSensors(Flight):
    """A flight with two sensors."""

    def forward(self, a: Tensor, b: Tensor) -> Answer:
        """Two tensors (B, C_i, H, W)."""
        return self.answer(a, b)


class ThreeSensors(Flight):
    """A flight with three sensors."""

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Answer:
        """Three tensors (B, C_i, H, W)."""
        return self.answer(a, b, c)


class FourSensors(Flight):
    """A flight with four sensors."""

    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Answer:
        """Four tensors (B, C_i, H, W)."""
        return self.answer(a, b, c, d)


_KINDS: dict[int, type[Flight]] = {1: OneSensor, 2: TwoSensors, 3: ThreeSensors, 4: FourSensors}
MOST_SENSORS = max(_KINDS)
"""More sensors than this have no flight yet."""


def flight(inner: nn.Module, sensors: int, taps: tuple[str, ...]) -> Flight:
    """The flight for a scenario of that many sensors; torch.fx wants each argument spelt out."""
    if sensors not in _KINDS:
        raise InternalError(f"no flight for {sensors} sensors; add one beside these")
    return _KINDS[sensors](inner, taps)
