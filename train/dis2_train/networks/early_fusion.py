"""The ordinary network: one U-Net over all sensors stacked, zeros for a missing one, sensor dropout in training.

A fair baseline keeps batch norm apart for each scenario; shared statistics alone would cost it much of its accuracy.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks.blocks import Concat, ConvUnit, Enlarge, ScenarioUnit
from dis2_train.networks.flight import MOST_SENSORS, flight
from dis2_train.networks.losses import Truth, supervised
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled

TAPS = ("bottom", "penultimate")


class EarlyFusion(Network):
    """Early-fusion U-Net for up to four sensors; every scenario is trained by dropping sensors."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        if len(task.sensors) > MOST_SENSORS:
            found = f"early_fusion was given {len(task.sensors)} sensors: {', '.join(task.sensor_names)}"
            raise RecipeError(found, expected=f"at most {MOST_SENSORS}", mend='name some: --set \'sensors=["a", "b"]\'')
        self.task = task
        w1, w2, w3, w4 = scaled(recipe.width, step=4)
        channels = sum(sensor.channels for sensor in task.sensors)
        plan = {"stem": (channels, w1, 4, 2), "level1": (w1, w1, 3, 1)}
        for level, above, width in ((2, w1, w2), (3, w2, w3), (4, w3, w4)):
            plan |= {f"down{level}": (above, width, 4, 2), f"level{level}": (width, width, 3, 1)}
        for level, below, width in ((3, w4, w3), (2, w3, w2), (1, w2, w1)):
            plan |= {f"up{level}": (below, width, 3, 1), f"merge{level}": (2 * width, width, 3, 1)}
        plan["refine"] = (w1, w1, 3, 1)
        self.units = nn.ModuleDict({name: ScenarioUnit(*shape, task.scenarios) for name, shape in plan.items()})
        self.head = nn.Conv2d(w1, len(task.classes), 1)

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """All of them: dropping a sensor is drawing a scenario that lacks it."""
        return self.task.scenarios

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        found = self._net(scenario)(*(frames[name] for name in sensors_of(scenario)))
        return Output(found["logits"], {name: found[name] for name in taps})

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Weighted cross-entropy and Dice in the drawn scenario."""
        truth = Truth.of(target, len(self.task.classes), self.task.ignore)
        return {"supervised": supervised(self(frames, scenario).logits, truth)}

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """The U-Net with the norms of `scenario`, its first convolution reading only the sensors that are there."""
        return flight(self._net(scenario), len(sensors_of(scenario)), taps)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """The coarsest map and the last one before the head."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Each unit but the stem, which never becomes integer."""
        return tuple(f"inner.units.{name}" for name in self.units if name != "stem")

    def _net(self, scenario: str) -> UNet:
        starts, start = {}, 0
        for sensor in self.task.sensors:
            starts[sensor.name] = range(start, start + sensor.channels)
            start += sensor.channels
        channels = tuple(index for name in sensors_of(scenario) for index in starts[name])
        units = {name: unit.at(scenario) for name, unit in self.units.items() if isinstance(unit, ScenarioUnit)}
        stem = units["stem"]
        units["stem"] = ConvUnit.of(PartialConv(stem.conv, channels), stem.norm)
        return UNet(units, self.head)


class PartialConv(nn.Module):
    """A convolution that reads only some of its input channels: equal to zeros in the others, at less cost."""

    def __init__(self, conv: nn.Conv2d, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.conv, self.channels = conv, list(channels)
        self.stride, self.padding, self.dilation = conv.stride, conv.padding, conv.dilation

    @property
    def weight(self) -> Tensor:
        """The whole convolution's weight (outputs, len(channels), k, k) for these channels; so a norm folds into it."""
        return self.conv.weight[:, self.channels]

    def forward(self, x: Tensor) -> Tensor:
        """(B, len(channels), H, W) to what the whole convolution gives."""
        return F.conv2d(x, self.weight, None, self.conv.stride, self.conv.padding)


class UNet(nn.Module):
    """Four levels down by strided convolutions, up by enlarging; ends at half size, logits are enlarged."""

    def __init__(self, units: dict[str, ConvUnit], head: nn.Conv2d) -> None:
        super().__init__()
        self.units = nn.ModuleDict(units)
        self.head, self.enlarge, self.concat, self.stack = head, Enlarge(2), Concat(), Concat()

    def forward(self, *frames: Tensor) -> dict[str, Tensor]:
        """One tensor (B, C_i, H, W) for each sensor of the scenario to logits (B, K, H, W) and taps, by name."""
        unit = self.units
        e1 = unit["level1"](unit["stem"](self.stack(*frames) if len(frames) > 1 else frames[0]))
        e2 = unit["level2"](unit["down2"](e1))
        e3 = unit["level3"](unit["down3"](e2))
        e4 = unit["level4"](unit["down4"](e3))
        d3 = unit["merge3"](self.concat(self.enlarge(unit["up3"](e4)), e3))
        d2 = unit["merge2"](self.concat(self.enlarge(unit["up2"](d3)), e2))
        d1 = unit["merge1"](self.concat(self.enlarge(unit["up1"](d2)), e1))
        penultimate = unit["refine"](d1)
        return {"logits": self.enlarge(self.head(penultimate)), "bottom": e4, "penultimate": penultimate}
