"""The encoder: strided convolutions and residual blocks, the last dilated; for one sensor, or two side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from dis2_train.networks.blocks import Add
from dis2_train.networks.deeplab.plan import STAGES, blocks_of

Maps = list[Tensor]
"""One feature map a sensor, in order."""


class Exchange(Protocol):
    """What sensors that run side by side give each other."""

    def channels(self, site: str, maps: Maps) -> Maps:
        """The maps (B, C, h, w) behind the unit `site`, with some channels taken from the other sensor."""
        ...

    def strips(self, stage: int, maps: Maps) -> Maps:
        """The maps behind a stage, with some columns taken from the other sensor."""
        ...


class Apart:
    """No exchange: each sensor goes its own way, and a lone one goes through nothing else than the plain encoder."""

    def channels(self, site: str, maps: Maps) -> Maps:
        """`maps` as they are."""
        return maps

    def strips(self, stage: int, maps: Maps) -> Maps:
        """`maps` as they are."""
        return maps


class Encoder(nn.Module):
    """Maps of all sensors at 1/8 (or 1/16) of the input's size, stage after stage.

    `sensors` holds for each sensor its units by name (`plan.encoder_plan`).
    """

    def __init__(self, sensors: Sequence[Mapping[str, nn.Module]], exchange: Exchange | None = None) -> None:
        super().__init__()
        self.sensors = nn.ModuleList(nn.ModuleDict(dict(units)) for units in sensors)
        self.exchange: Exchange = exchange or Apart()
        self.join = Add()

    def forward(self, *frames: Tensor) -> tuple[Maps, Maps]:
        """One tensor (B, C_m, H, W) a sensor to (maps behind stage 2, (B, w2, H/4, W/4), maps behind the last)."""
        early = self.stages(self.stem(list(frames)), STAGES[:1])
        return early, self.stages(early, STAGES[1:])

    def stem(self, frames: Maps) -> Maps:
        """Frames to maps of half their size."""
        return self._each("stem", frames)

    def stages(self, maps: Maps, stages: Sequence[int]) -> Maps:
        """Maps through some stages. Columns are exchanged on the way from one stage into the next."""
        for stage in stages:
            maps = self._each(f"enter{stage}", self.exchange.strips(stage - 1, maps))
            for inner, outer in blocks_of(stage):
                mixed = self.exchange.channels(inner, self._each(inner, maps))
                maps = [self.join(y, x) for y, x in zip(self._each(outer, mixed), maps, strict=True)]
        return maps

    def _each(self, name: str, maps: Maps) -> Maps:
        return [units[name](x) for units, x in zip(self.sensors, maps, strict=True)]  # type: ignore[index]
