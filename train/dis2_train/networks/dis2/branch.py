"""What one scenario of DIS2 flies beyond its encoders: fusion, class-wise attention and decoder."""

from __future__ import annotations

from torch import Tensor, nn

from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.networks.dis2.encoder import Levels
from dis2_train.networks.dis2.fusion import token_grid
from dis2_train.networks.dis2.plain import make_decoder, make_fusion, make_side_heads


class Branch(nn.Module):
    """Fusion, class-wise attention and decoder of one scenario."""

    def __init__(self, recipe: Recipe, widths: tuple[int, int, int, int], task: Task) -> None:
        super().__init__()
        self.fusion = make_fusion(recipe, widths, token_grid(task.grid))
        self.decoder = make_decoder(recipe, len(task.classes), widths)
        self.side_heads = make_side_heads(recipe, len(task.classes), widths)

    def forward(self, first: Levels, second: Levels, side: bool = False) -> dict[str, Tensor]:
        """Levels of both slots to logits and taps by name, and with `side` the logits of four scales (`side0`...)."""
        fused, token = self.fusion(first, second)
        logits, penultimate, maps = self.decoder(fused)
        found = {"logits": logits, "token": token, "penultimate": penultimate}
        found |= {"f1": fused[0], "f2": fused[1], "f3": fused[2]}
        if side:
            found |= {f"side{scale}": logit for scale, logit in enumerate(self.side_heads(maps))}
        return found


class TwoSlots(nn.Module):
    """The encoders of both slots and the branch of one scenario."""

    def __init__(self, first: nn.Module, second: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.branch = first, second, branch

    def forward(self, *frames: Tensor) -> dict[str, Tensor]:
        """One or two tensors (B, C, H, W) to logits and taps by name; a lone sensor feeds both slots."""
        found: dict[str, Tensor] = self.branch(self.first(frames[0]), self.second(frames[-1]))
        return found
