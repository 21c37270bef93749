"""A segmenter that needs no training: it thresholds each sensor, and can be told to answer some scenarios only."""

from dataclasses import dataclass, field

import numpy as np

from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks.cost import Cost


@dataclass
class Stub:
    """Says `high` where the mean of the scenario's sensors, each less its own mean, is above `bias`."""

    task: Task
    label: str = "stub"
    scenarios: tuple[str, ...] = ()
    recipe_name: str = "stub/plain"
    seed: int | None = 0
    precision: str = "fp32"
    bias: float = 0.0
    seen: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self):
        self.scenarios = self.scenarios or self.task.scenarios

    def masks(self, frames, scenario):
        self.seen.append((scenario, tuple(frames)))
        parts = [
            frames[name][..., 0].astype(np.float32) - self.task.sensor(name).mean[0] for name in sensors_of(scenario)
        ]
        return (np.mean(parts, axis=0) > self.bias).astype(np.uint8)

    def cost(self, scenario):
        return Cost(100 * len(sensors_of(scenario)), 0.5)
