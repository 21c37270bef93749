"""Automatic mixed feature exchange: channels by the scale of their batch norm, columns in turn.

Channel exchange (Channel Exchanging Networks, arXiv 2011.05005, equation 6): where the scale gamma of a channel's batch
norm is nearly 0, the channel says nothing of its own sensor, so it carries the other's:

    y_m,c = gamma_m,c (x_m,c - mu_m,c) / sigma_m,c + beta_m,c     if |gamma_m,c| >= threshold, else y_m',c

An L1 pressure makes some scales small; it bears on complementary halves, so that no channel is given away by both.
Strips (Changer, arXiv 2209.08290): columns w with w mod 2 = 0 are taken from the other sensor.
The places and shares of both in CSK-Net are not published: ours are recipe keys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dis2_train.networks.blocks import Channels, Concat, Strips
from dis2_train.networks.deeplab.encoder import Maps

Norms = Mapping[str, Sequence[nn.BatchNorm2d]]
"""Site (name of the unit whose output is exchanged) to the batch norms there, one a sensor."""


def halves(channels: int) -> tuple[slice, slice]:
    """The channels that the first sensor may give up, and the second: the later half, and the earlier one."""
    return slice(channels // 2, channels), slice(0, channels // 2)


def pressure(norms: Norms) -> Tensor:
    """Sum of |gamma| over the channels of every site that a sensor may give up (L1)."""
    pressed = [
        norm.weight[half].abs().sum()
        for pair in norms.values()
        for norm, half in zip(pair, halves(pair[0].num_features), strict=True)
    ]
    return torch.stack(pressed).sum()


def given_up(pair: Sequence[nn.BatchNorm2d], threshold: float) -> tuple[Tensor, Tensor]:
    """For each sensor (C,) bool: its channels that carry the other sensor's."""
    masks = []
    for norm, half in zip(pair, halves(pair[0].num_features), strict=True):
        mask = torch.zeros_like(norm.weight, dtype=torch.bool)
        mask[half] = norm.weight.detach()[half].abs() < threshold
        masks.append(mask)
    return masks[0], masks[1]


def exchanged_share(norms: Norms, threshold: float) -> float:
    """Share of the channels of both sensors at all sites that carry the other sensor's, 0..0.5."""
    masks = [mask for pair in norms.values() for mask in given_up(pair, threshold)]
    return float(torch.cat(masks).float().mean())


class LiveExchange(nn.Module):
    """The exchange while scales still move: which channels are given up is asked anew in every step."""

    def __init__(self, norms: Norms, threshold: float, strips: Collection[int]) -> None:
        super().__init__()
        self.norms, self.threshold, self.stages, self.mix = norms, threshold, strips, Strips()

    def channels(self, site: str, maps: Maps) -> Maps:
        """Two maps (B, C, h, w) to two."""
        if site not in self.norms:
            return maps
        (first, second), (a, b) = given_up(self.norms[site], self.threshold), maps
        return [torch.where(first[:, None, None], b, a), torch.where(second[:, None, None], a, b)]

    def strips(self, stage: int, maps: Maps) -> Maps:
        """Two maps (B, C, h, w) to two; each keeps its odd columns."""
        a, b = maps
        return [self.mix(b, a), self.mix(a, b)] if stage in self.stages else maps


@dataclass(frozen=True)
class Frozen:
    """What is exchanged at one site, fixed when a network is made to fly."""

    order: tuple[int, ...]
    """All channels: first those that the second sensor gives up, last those that the first one does."""
    first: int
    """How many the first sensor gives up."""
    second: int
    """How many the second sensor gives up."""

    @classmethod
    def of(cls, pair: Sequence[nn.BatchNorm2d], threshold: float) -> Frozen:
        """What the scales of `pair` say now."""
        first, second = given_up(pair, threshold)
        order = [*torch.where(second)[0], *torch.where(~first & ~second)[0], *torch.where(first)[0]]
        return cls(tuple(int(channel) for channel in order), int(first.sum()), int(second.sum()))

    @property
    def kept(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For each sensor the channels that it still computes, in order."""
        return self.order[: len(self.order) - self.first], self.order[self.second :]


class FrozenExchange(nn.Module):
    """The exchange in flight: runs of channels put side by side. No channel is computed that nobody reads.

    Maps come with the channels of `Frozen.kept`, and leave with all of them in `Frozen.order`.
    """

    def __init__(self, sites: Mapping[str, Frozen], strips: Collection[int]) -> None:
        super().__init__()
        self.sites = {site: frozen for site, frozen in sites.items() if frozen.first or frozen.second}
        self.stages, self.concat, self.mix = strips, Concat(), Strips()
        self.cuts = nn.ModuleDict()
        for site, frozen in self.sites.items():
            count = len(frozen.order)
            self.cuts[f"{site}_first"] = Channels(0, frozen.second)
            self.cuts[f"{site}_second"] = Channels(count - frozen.first - frozen.second, count - frozen.second)

    def channels(self, site: str, maps: Maps) -> Maps:
        """Two maps (B, C_m, h, w) of kept channels to two (B, C, h, w)."""
        if site not in self.sites:
            return maps
        (a, b), frozen = maps, self.sites[site]
        mixed_a = self.concat(a, self.cuts[f"{site}_second"](b)) if frozen.first else a
        mixed_b = self.concat(self.cuts[f"{site}_first"](a), b) if frozen.second else b
        return [mixed_a, mixed_b]

    def strips(self, stage: int, maps: Maps) -> Maps:
        """Two maps (B, C, h, w) to two; each keeps its odd columns."""
        a, b = maps
        return [self.mix(b, a), self.mix(a, b)] if stage in self.stages else maps
