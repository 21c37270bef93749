"""The rows of `benchmarks.tuning`, and the two switches that only a benchmark has: fewer bits, another teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dis2_quantize.rounding.fake import ActivationQuant, Integers
from dis2_train.networks.seam import Frames, Network, Output

Teacher = Literal["both", "own", "full"]


@dataclass(frozen=True)
class Row:
    """One way from a trained network to its students."""

    name: str
    """As it stands in the table."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the recipe that differ from the run's."""
    tuned: bool = False
    """Whether calibration is followed by tuning."""
    bits: int = 8
    """Of activations; weights have 8."""
    teacher: Teacher = "both"
    """Which FP32 network teaches: both, logits by the one with all sensors and taps by the one of the student's own
    scenario, as `quantize` has it; or one of them alone."""


class CoarseQuant(ActivationQuant):
    """An activation rounded to fewer bits than any engine would take: damage that tuning has to mend."""

    def __init__(self, name: str, observer: str, bits: int) -> None:
        super().__init__(name, observer)
        self.most = 2**bits - 1

    @property
    def integers(self) -> Integers:
        """As with 8 bits: all steps upwards where nothing is negative, else around the middle."""
        middle = (self.most + 1) // 2
        return Integers(middle - 1, middle, 0, self.most) if self.signed else Integers(self.most, 0, 0, self.most)


class OneScenario:
    """A teacher that answers for one scenario, whichever is asked for; stands where `tune` expects the network."""

    def __init__(self, network: Network, scenario: str) -> None:
        self._network, self._scenario, self.task = network, scenario, network.task

    def eval(self) -> None:
        """Teaching is done in eval mode."""
        self._network.eval()

    def __call__(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits and taps of the one scenario."""
        answer: Output = self._network(frames, self._scenario, taps)
        return answer


_FOLDED = {"quantize_freeze_norms": 0.0}
_LATE = {"quantize_freeze_norms": 0.5}
_LEARNED = {"learned_scales": True}
_LABELS = {"quantize_lesson": "labels"}
_HARD = {"quantize_learning_rate": 3e-5}


def _tuned(name: str, *changes: Mapping[str, Any], bits: int = 8, teacher: Teacher = "both") -> Row:
    merged = {key: value for change in changes for key, value in change.items()}
    return Row(name, merged, True, bits, teacher)


ROWS = (
    *(Row(f"calibrated, {rule}", {"observer": rule}) for rule in ("minmax", "percentile", "mse", "entropy")),
    _tuned("labels", _FOLDED, _LABELS),
    _tuned("distillation", _FOLDED),
    _tuned("distillation, learned scales", _FOLDED, _LEARNED),
    _tuned("distillation, norms frozen late", _LATE),
    Row("3 bits: calibrated, minmax", {"observer": "minmax"}, bits=3),
    Row("3 bits: calibrated, mse", {"observer": "mse"}, bits=3),
    Row("3 bits: calibrated, entropy", {"observer": "entropy"}, bits=3),
    _tuned("3 bits: labels", _FOLDED, _LABELS, _HARD, bits=3),
    _tuned("3 bits: distillation", _FOLDED, _HARD, bits=3),
    _tuned("3 bits: distillation, learned scales", _FOLDED, _LEARNED, _HARD, bits=3),
    _tuned("3 bits: distillation, norms frozen late", _LATE, _HARD, bits=3),
    _tuned("3 bits: distillation, teacher of the same scenario", _FOLDED, _HARD, bits=3, teacher="own"),
    _tuned("3 bits: distillation, taps of the full-sensor teacher", _FOLDED, _HARD, bits=3, teacher="full"),
    _tuned("3 bits: distillation, teacher heard pixel by pixel", _FOLDED, {"distill_balance": False}, _HARD, bits=3),
)
