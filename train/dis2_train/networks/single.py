"""One sensor alone: DIS2's encoder and class-wise decoder, at the operations of DIS2's branch for that sensor.

The question to DIS2 is what an engineer would get who trained for one sensor only. So this is as good a network as
we can make of the same parts. What DIS2 spends on its stand-in encoder and on fusion is spent here on the one sensor:
a residual pair of 3x3 convolutions at each level, the same descent from finer to coarser levels, and the same two
Transformer layers at the coarsest. Half as many tokens ask, and all of them are asked (DIS2 pools the keys of its two
sensors by four), so attention costs the same at every grid. `dis2_train.networks.cost` counts; a test holds 10 %.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.networks.blocks import Add, ConvUnit
from dis2_train.networks.dis2.encoder import AuxiliaryDecoder, Encoder, Levels
from dis2_train.networks.dis2.fusion import HEADS, AttentionPool, TransformerLayer, token_grid
from dis2_train.networks.dis2.plain import make_decoder, make_side_heads
from dis2_train.networks.lone import LoneNetwork
from dis2_train.networks.losses import Truth, supervised
from dis2_train.networks.seam import Frames
from dis2_train.networks.widths import scaled

TAPS = ("f1", "f2", "f3", "token", "penultimate")


class Single(LoneNetwork):
    """The network of one sensor; its one scenario is that sensor."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__("single", task)
        widths, classes = scaled(recipe.width), len(task.classes)
        self.encoder = Encoder(task.sensors[0].channels, widths)
        self.refinement = Refinement(widths, token_grid(task.grid))
        self.decoder = make_decoder(recipe, classes, widths)
        self.auxiliary = AuxiliaryDecoder(widths, classes)
        self.side_heads = make_side_heads(recipe, classes, widths)

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """The supervision that each of DIS2's branches has: logits, auxiliary decoder, four scales."""
        self.of(scenario)
        truth = Truth.of(target, len(self.task.classes), self.task.ignore)
        levels = self.encoder(frames[scenario])
        refined, _ = self.refinement(levels)
        logits, _, maps = self.decoder(refined)
        sides = [supervised(side, truth) for side in self.side_heads(maps)]
        return {
            "supervised": supervised(logits, truth),
            f"auxiliary_{scenario}": supervised(self.auxiliary(levels), truth),
            "scales": torch.stack(sides).sum() / len(sides),
        }

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """Refined maps of three levels, the global token and the penultimate map: those of DIS2."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """The encoder, levels of refinement and their attention, stages of the decoder."""
        refinement = [
            f"inner.refinement.{name}"
            for name in (*(f"refine{n}" for n in (1, 2, 3, 4)), "down1", "down2", "attention")
        ]
        decoder = [f"inner.decoder.{name}" for name in ("stage3", "stage2", "stage1", "mix", "refine")]
        return ("inner.encoder", *refinement, *decoder)

    def alone(self) -> Alone:
        """Encoder, refinement and decoder."""
        return Alone(self.encoder, self.refinement, self.decoder)


class Refinement(nn.Module):
    """Refines the four levels of one encoder; the counterpart of DIS2's fusion."""

    def __init__(self, widths: tuple[int, int, int, int], tokens: tuple[int, int]) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.refine1, self.refine2, self.refine3, self.refine4 = (ResidualPair(width) for width in widths)
        self.down1 = ConvUnit(w1, w2, kernel=4, stride=2, act=False)
        self.down2 = ConvUnit(w2, w3, kernel=4, stride=2, act=False)
        self.join2, self.join3 = Add(), Add()
        self.attention = TokenAttention(w3, w4, tokens)

    def forward(self, levels: Levels) -> tuple[Levels, Tensor]:
        """Four levels to ((F1, F2, F3, F4) of the same shapes, global token (B, w4))."""
        f1 = self.refine1(levels[0])
        f2 = self.join2(self.refine2(levels[1]), self.down1(f1))
        f3 = self.join3(self.refine3(levels[2]), self.down2(f2))
        f4, token = self.attention(f3, self.refine4(levels[3]))
        return (f1, f2, f3, f4), token


class ResidualPair(nn.Module):
    """Two 3x3 convolutions with a shortcut around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ConvUnit(width, width), ConvUnit(width, width, act=False)
        self.join = Add()

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to the same shape."""
        out: Tensor = self.join(self.second(self.first(x)), x)
        return out


class TokenAttention(nn.Module):
    """Two post-norm Transformer layers over [global token | positions | pooled F3], N + 2 tokens; floating point."""

    def __init__(self, pooled: int, width: int, tokens: tuple[int, int], layers: int = 2) -> None:
        super().__init__()
        self.pool = AttentionPool(pooled, width)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, width, *tokens) * 0.02)
        self.layers = nn.ModuleList(TransformerLayer(width, HEADS) for _ in range(layers))

    def forward(self, f3: Tensor, f4: Tensor) -> tuple[Tensor, Tensor]:
        """F3 (B, w3, 2h, 2w) and a map (B, w4, h, w) to (map (B, w4, h, w), global token (B, w4))."""
        batch, _, height, width = f4.shape
        places = (f4 + self._positions(height, width)).flatten(2).transpose(1, 2)  # (B, N, w4)
        x = torch.cat([self.token.expand(batch, -1, -1), places, self.pool(f3).unsqueeze(1)], dim=1)  # (B, N + 2, w4)
        for layer in self.layers:
            x = layer(x, x)
        return x[:, 1:-1].transpose(1, 2).unflatten(2, (height, width)), x[:, 0]

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embedding (1, w4, h, w); interpolated when the input is not of the trained size."""
        if self.position.shape[2:] == (height, width):
            return self.position
        return F.interpolate(self.position, size=(height, width), mode="bilinear", align_corners=False)


class Alone(nn.Module):
    """Encoder, refinement and decoder of the one sensor."""

    def __init__(self, encoder: nn.Module, refinement: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.refinement, self.decoder = encoder, refinement, decoder

    def forward(self, frame: Tensor) -> dict[str, Tensor]:
        """One tensor (B, C, H, W) to logits (B, K, H, W) and taps by name."""
        refined, token = self.refinement(self.encoder(frame))
        logits, penultimate, _ = self.decoder(refined)
        found = {"logits": logits, "token": token, "penultimate": penultimate}
        return found | {"f1": refined[0], "f2": refined[1], "f3": refined[2]}
