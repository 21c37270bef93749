"""What the networks of one sensor have in common: one scenario, and one module that trains, answers and flies."""

from __future__ import annotations

from abc import abstractmethod

from torch import nn

from dis2_edge.errors import RecipeError
from dis2_edge.task import Task
from dis2_train.networks.flight import flight
from dis2_train.networks.seam import Frames, Network, Output


class LoneNetwork(Network):
    """A network of one sensor; its one scenario is that sensor."""

    def __init__(self, name: str, task: Task) -> None:
        """`name`: the recipe's word for the network. RecipeError where the task has more than one sensor."""
        super().__init__()
        if len(task.sensors) != 1:
            found = f"{name} looks through one sensor, and this task has {len(task.sensors)}"
            mend = f"name one of {', '.join(task.sensor_names)}: --set 'sensors=[\"{task.sensor_names[0]}\"]'"
            raise RecipeError(found, expected="one sensor", mend=mend)
        self.task = task

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """The only one."""
        return self.task.scenarios

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        found = self.of(scenario)(frames[scenario])
        return Output(found["logits"], {name: found[name] for name in taps})

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """`alone`, which shares this network's weights."""
        return flight(self.of(scenario), 1, taps)

    def of(self, scenario: str) -> nn.Module:
        """`alone`, if `scenario` is the network's own."""
        if scenario not in self.task.scenarios:
            raise RecipeError(f"unknown scenario {scenario!r}", expected=self.task.full)
        return self.alone()

    @abstractmethod
    def alone(self) -> nn.Module:
        """What takes the sensor's tensor (B, C, H, W) and answers logits and taps by name."""
