"""The full scenario: two encoders that exchange, two decoders, the gated spectral unit and the fusion head."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from dis2_train.networks.blocks import ConvUnit, Cut, Enlarge
from dis2_train.networks.csknet.exchange import Frozen, FrozenExchange, Norms
from dis2_train.networks.deeplab.decoder import Decoder
from dis2_train.networks.deeplab.encoder import Encoder, Maps
from dis2_train.networks.deeplab.plan import STAGES, blocks_of, units_of


class TwoBranches(nn.Module):
    """Both sensors side by side to the logits of the fusion head."""

    def __init__(
        self, encoder: Encoder, decoders: Sequence[Decoder], fusion: nn.Module, head: nn.Module, stride: int
    ) -> None:
        super().__init__()
        self.encoder, self.decoders = encoder, nn.ModuleList(decoders)
        self.fusion, self.head, self.enlarge = fusion, head, Enlarge(stride)

    def forward(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Two tensors (B, C_m, H, W) to logits (B, K, H, W) and taps by name.

        The lower taps are means of both sensors' maps: so they have the shape that a lone sensor's have, whose student
        they may teach. Nothing of them is computed in flight.
        """
        early, bottom = self.encoder(first, second)
        fused = self.fuse(self.decode(bottom))
        taps = {"early": (early[0] + early[1]) * 0.5, "bottom": (bottom[0] + bottom[1]) * 0.5, "penultimate": fused}
        return {"logits": self.enlarge(self.head(fused)), **taps}

    def decode(self, bottom: Maps) -> Maps:
        """Each sensor's last map (B, w4, h, w) to its decoder's (B, w3, h, w)."""
        return [decoder(x) for decoder, x in zip(self.decoders, bottom, strict=True)]

    def fuse(self, decoded: Maps) -> Tensor:
        """Both decoders' maps to the one that the fusion head reads."""
        out: Tensor = self.fusion(decoded[0], decoded[1])
        return out


def frozen_encoder(
    units: Sequence[Mapping[str, nn.Module]], norms: Norms, threshold: float, strips: Collection[int]
) -> Encoder:
    """The encoders with their channels put in an order in which what is exchanged is a run, and the rest is not made.

    Weights of the convolutions around an exchange are re-ordered copies, and say what they were cut from; all else is
    shared. Without channels to exchange nothing is copied.
    """
    sites = {site: Frozen.of(pair, threshold) for site, pair in norms.items()}
    readers = {inner: outer for stage in STAGES for inner, outer in blocks_of(stage)}
    cut = [dict(sensor) for sensor in units]
    for site, frozen in sites.items():
        if frozen.first or frozen.second:
            for sensor, kept in zip(cut, frozen.kept, strict=True):
                sensor[site] = _with_outputs(sensor[site], kept)
                sensor[readers[site]] = _with_inputs(sensor[readers[site]], frozen.order)
    return Encoder(cut, FrozenExchange(sites, strips))


def full_blocks(net: TwoBranches) -> tuple[str, ...]:
    """Blocks of `TwoBranches` that quantisation may keep in floating point."""
    stages = [name for stage in STAGES for name in units_of(stage)]
    encoders = [f"inner.encoder.sensors.{place}.{name}" for place in (0, 1) for name in stages]
    decoders = [
        f"inner.decoders.{place}.units.{name}"
        for place, decoder in enumerate(net.decoders)
        for name in decoder.units  # type: ignore[union-attr]
    ]
    return (*encoders, *decoders, *(["inner.fusion"] if list(net.fusion.children()) else []))


def _with_outputs(unit: nn.Module, kept: Sequence[int]) -> ConvUnit:
    """A copy of a unit that computes only some of its output channels, in the order given."""
    cut, index = copy.deepcopy(unit), torch.tensor(kept)
    assert isinstance(cut, ConvUnit)
    assert isinstance(unit, ConvUnit)
    cut.cut = Cut(unit.conv, outputs=tuple(kept))
    cut.conv.weight = nn.Parameter(cut.conv.weight.detach()[index])
    cut.conv.out_channels = cut.norm.num_features = len(kept)
    for name in ("weight", "bias"):
        setattr(cut.norm, name, nn.Parameter(getattr(cut.norm, name).detach()[index]))
    for name in ("running_mean", "running_var"):
        setattr(cut.norm, name, getattr(cut.norm, name)[index])
    return cut


def _with_inputs(unit: nn.Module, order: Sequence[int]) -> ConvUnit:
    """A copy of a unit that reads its input channels in another order."""
    cut = copy.deepcopy(unit)
    assert isinstance(cut, ConvUnit)
    assert isinstance(unit, ConvUnit)
    cut.cut = Cut(unit.conv, inputs=tuple(order))
    cut.conv.weight = nn.Parameter(cut.conv.weight.detach()[:, torch.tensor(order)])
    return cut
