"""Shared and specific features of each sensor, in the manner of ShaSpec (Wang et al., arXiv 2307.14126).

One encoder is shared by all sensors (its first convolution is each sensor's own, since channels differ); a narrower one
is each sensor's own. What a sensor gives to the fusion is its shared map plus a projection of (shared, specific); a
missing sensor gives the mean of the shared maps of those that are there. Dropping a sensor in training is drawing a
scenario that lacks it. Two small tasks keep the halves apart: shared maps of all sensors shall be alike, and a sensor
shall be known by its specific map.

Where the paper fuses at the coarsest level of a 3-D U-Net, we fuse at all four. Batch norms are apart for each sensor
before fusion and for each scenario after it. The specific encoder has half the width: with two encoders a sensor a
lost one saves operations, and at half the width the network stays within 10 % of DIS2's operations in every scenario.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks.blocks import Add, Concat, ConvUnit, Enlarge, ScenarioUnit
from dis2_train.networks.dis2.encoder import Encoder, Levels
from dis2_train.networks.flight import MOST_SENSORS, flight
from dis2_train.networks.losses import Truth, supervised
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled

TAPS = ("bottom", "penultimate")
SUMMED = ("wide4", "wide3", "wide2", "wide1", "fine3", "fine2", "fine1")
"""Units without a ReLU of their own: what they give is added to something, and the sum is rectified."""
ALIGN_WEIGHT = 0.1
"""Of the distribution alignment; the paper's alpha."""
DOMAIN_WEIGHT = 0.02
"""Of the domain classification; the paper's beta."""


class FeatureMean(Network):
    """Shared-plus-specific U-Net for two to four sensors; every scenario is trained by dropping sensors."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        names = task.sensor_names
        if not 2 <= len(names) <= MOST_SENSORS:
            found = f"feature_mean was given {len(names)} sensors: {', '.join(names)}"
            mend = 'name some: --set \'sensors=["a", "b"]\''
            raise RecipeError(found, expected=f"two to {MOST_SENSORS}", mend=mend)
        self.task = task
        widths = scaled(recipe.width, step=2)
        self.stems = nn.ModuleDict({s.name: ConvUnit(s.channels, widths[0], 4, 2) for s in task.sensors})
        self.shared = nn.ModuleList(ScenarioUnit(i, o, 4, 2, names) for i, o in pairwise(widths))
        narrow = scaled(recipe.width / 2, step=2, least=4)
        self.specific = nn.ModuleDict({s.name: Encoder(s.channels, narrow) for s in task.sensors})
        both = zip(widths, narrow, strict=True)
        self.project = nn.ModuleList(ScenarioUnit(width + own, width, 1, 1, names) for width, own in both)
        self.units = nn.ModuleDict(
            {name: ScenarioUnit(*shape, task.scenarios) for name, shape in _plan(widths, len(names)).items()}
        )
        self.head = nn.Conv2d(widths[0], len(task.classes), 1)
        self.domain = nn.Linear(narrow[3], len(names))

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """All of them: dropping a sensor is drawing a scenario that lacks it."""
        return self.task.scenarios

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        found = self._net(scenario)(*(frames[name] for name in sensors_of(scenario)))
        return Output(found["logits"], {name: found[name] for name in taps})

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Supervision in the drawn scenario; the two small tasks on all sensors, which training always has."""
        branches = {name: self._sensor(name) for name in self.task.sensor_names}
        halves = {name: branch.encode(frames[name]) for name, branch in branches.items()}
        used = sensors_of(scenario)
        seen = {name: (halves[name][0], branches[name].fuse(*halves[name])) for name in used}
        logits = self._decoder(scenario)(_fill(self.task.sensor_names, seen, Mean()))["logits"]
        return {
            "supervised": supervised(logits, Truth.of(target, len(self.task.classes), self.task.ignore)),
            "align": ALIGN_WEIGHT * _distance([shared[3] for shared, _ in halves.values()]),
            "domain": DOMAIN_WEIGHT * self._domain([specific[3] for _, specific in halves.values()]),
        }

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """Both encoders of the sensors that are there and the fusion of `scenario`, sharing this network's weights."""
        return flight(self._net(scenario), len(sensors_of(scenario)), taps)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """The coarsest fused map and the last one before the head."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Each sensor's encoders, each unit behind the fusion."""
        sensors = [f"inner.sensors.{name}" for name in sensors_of(scenario)]
        return (*sensors, *(f"inner.decoder.units.{name}" for name in self.units))

    def _domain(self, specific: list[Tensor]) -> Tensor:
        """Cross-entropy of telling which sensor each pooled specific map (B, w4, h, w) comes from."""
        logits = self.domain(torch.cat([maps.mean(dim=(2, 3)) for maps in specific]))  # (N B, N)
        truth = torch.arange(len(specific), device=logits.device).repeat_interleave(len(specific[0]))
        return F.cross_entropy(logits.float(), truth)

    def _net(self, scenario: str) -> SharedSpecific:
        sensors = {name: self._sensor(name) for name in sensors_of(scenario)}
        return SharedSpecific(sensors, self._decoder(scenario), self.task.sensor_names)

    def _sensor(self, name: str) -> SensorBranch:
        shared = [unit.at(name) for unit in self.shared if isinstance(unit, ScenarioUnit)]
        project = [unit.at(name) for unit in self.project if isinstance(unit, ScenarioUnit)]
        for unit in project:
            unit.act = nn.Identity()
        return SensorBranch([self.stems[name], *shared], self.specific[name], project)

    def _decoder(self, scenario: str) -> FusedDecoder:
        units = {name: unit.at(scenario) for name, unit in self.units.items() if isinstance(unit, ScenarioUnit)}
        for name in SUMMED:
            units[name].act = nn.Identity()
        return FusedDecoder(units, self.head)


class SensorBranch(nn.Module):
    """The shared and the specific encoder as one sensor goes through them."""

    def __init__(self, shared: list[nn.Module], specific: nn.Module, project: list[ConvUnit]) -> None:
        super().__init__()
        self.shared, self.specific, self.project = nn.ModuleList(shared), specific, nn.ModuleList(project)
        self.concat, self.join = Concat(), Add()

    def encode(self, x: Tensor) -> tuple[Levels, Levels]:
        """(B, C, H, W) to four shared and four specific levels."""
        specific: Levels = self.specific(x)
        levels = []
        for stage in self.shared:
            x = stage(x)
            levels.append(x)
        return (levels[0], levels[1], levels[2], levels[3]), specific

    def fuse(self, shared: Levels, specific: Levels) -> Levels:
        """Shared plus a projection of both, level by level."""
        fused = [
            self.join(project(self.concat(r, s)), r)
            for project, r, s in zip(self.project, shared, specific, strict=True)
        ]
        return fused[0], fused[1], fused[2], fused[3]

    def forward(self, x: Tensor) -> tuple[Levels, Levels]:
        """(B, C, H, W) to (shared levels, fused levels)."""
        shared, specific = self.encode(x)
        return shared, self.fuse(shared, specific)


class Mean(nn.Module):
    """Mean of several maps of one shape."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, C, h, w) to one."""
        return torch.stack(maps).mean(dim=0)


class FusedDecoder(nn.Module):
    """Composes the sensors' maps at each level and decodes them as a U-Net; ends at half size, logits are enlarged."""

    def __init__(self, units: dict[str, ConvUnit], head: nn.Module) -> None:
        super().__init__()
        self.units = nn.ModuleDict(units)
        self.head, self.enlarge, self.concat, self.join = head, Enlarge(2), Concat(), Add()

    def forward(self, maps: list[list[Tensor]]) -> dict[str, Tensor]:
        """One list of maps, one a sensor, for each level to logits (B, K, H, W) and taps, by name."""
        unit = self.units
        composed = [self._compose(level, slots) for level, slots in enumerate(maps, start=1)]
        x = composed[3]
        for level in (3, 2, 1):
            below = self.enlarge(unit[f"up{level}"](x))
            x = self._pair("fine", level, unit[f"merge{level}"](self.concat(below, composed[level - 1])))
        return {"logits": self.enlarge(self.head(x)), "bottom": composed[3], "penultimate": x}

    def _compose(self, level: int, slots: list[Tensor]) -> Tensor:
        """One map from the sensors' maps of a level."""
        return self._pair("wide", level, self.units[f"compose{level}"](self.concat(*slots)))

    def _pair(self, name: str, level: int, x: Tensor) -> Tensor:
        """Two convolutions with a shortcut around them."""
        out: Tensor = self.join(self.units[f"{name}{level}"](self.units[f"pre_{name}{level}"](x)), x)
        return out


class SharedSpecific(nn.Module):
    """The sensors of one scenario, the mean for those that are missing, and the decoder."""

    def __init__(self, sensors: dict[str, SensorBranch], decoder: FusedDecoder, order: tuple[str, ...]) -> None:
        super().__init__()
        self.sensors, self.decoder, self.mean, self.order = nn.ModuleDict(sensors), decoder, Mean(), order

    def forward(self, *frames: Tensor) -> dict[str, Tensor]:
        """One tensor (B, C_i, H, W) for each sensor of the scenario to logits (B, K, H, W) and taps, by name."""
        seen = {name: branch(x) for (name, branch), x in zip(self.sensors.items(), frames, strict=True)}
        found: dict[str, Tensor] = self.decoder(_fill(self.order, seen, self.mean))
        return found


def _plan(widths: tuple[int, int, int, int], sensors: int) -> dict[str, tuple[int, int, int, int]]:
    """Shape (inputs, outputs, kernel, stride) of each unit behind the sensors' branches."""
    plan = {f"compose{level}": (sensors * width, width, 3, 1) for level, width in enumerate(widths, start=1)}
    for level, (width, below) in enumerate(pairwise(widths), start=1):
        plan |= {f"up{level}": (below, width, 3, 1), f"merge{level}": (2 * width, width, 3, 1)}
    for name in SUMMED:
        width = widths[int(name[-1]) - 1]
        plan |= {f"pre_{name}": (width, width, 3, 1), name: (width, width, 3, 1)}
    return plan


def _fill(order: tuple[str, ...], seen: dict[str, tuple[Levels, Levels]], mean: nn.Module) -> list[list[Tensor]]:
    """For each level one map a sensor: fused where it was seen, else the mean of the shared maps that were."""
    filled = []
    for level in range(4):
        shared = [maps[level] for maps, _ in seen.values()]
        absent = mean(*shared) if 1 < len(shared) < len(order) else shared[0]
        filled.append([seen[name][1][level] if name in seen else absent for name in order])
    return filled


def _distance(shared: list[Tensor]) -> Tensor:
    """Mean absolute difference of shared maps (B, w4, h, w), mean over pairs of sensors."""
    return torch.stack([(a - b).abs().mean() for a, b in combinations(shared, 2)]).mean()
