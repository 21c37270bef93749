"""DeepLabV3 on one sensor, and the path through it that CSK-Net's lone sensors fly too."""

from __future__ import annotations

from torch import Tensor, nn

from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.networks.blocks import Enlarge
from dis2_train.networks.deeplab.decoder import Decoder, ImagePooling
from dis2_train.networks.deeplab.encoder import Encoder
from dis2_train.networks.deeplab.plan import STAGES, decoder_plan, encoder_plan, hidden_width, units, units_of
from dis2_train.networks.lone import LoneNetwork
from dis2_train.networks.losses import Truth, supervised
from dis2_train.networks.seam import Frames
from dis2_train.networks.widths import scaled

TAPS = ("early", "bottom", "penultimate")


class DeepLabV3(LoneNetwork):
    """The network of one sensor; its one scenario is that sensor."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__("deeplabv3", task)
        self.stride = recipe.output_stride
        self.encoder = Encoder([units(encoder_plan(recipe, task.sensors[0].channels))])
        hidden = hidden_width(recipe)
        self.decoder = Decoder(units(decoder_plan(recipe)), ImagePooling(scaled(recipe.width)[3], hidden))
        self.head = nn.Conv2d(hidden, len(task.classes), 1)

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Weighted cross-entropy and Dice."""
        truth = Truth.of(target, len(self.task.classes), self.task.ignore)
        return {"supervised": supervised(self(frames, scenario).logits, truth)}

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """The map at a quarter of the size, the encoder's last, and the one before the head."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Each stage of the encoder, each convolution of the decoder."""
        return lone_blocks(self.alone())

    def alone(self) -> Alone:
        """Encoder, decoder and head."""
        return Alone(self.encoder, self.decoder, self.head, self.stride)


class Alone(nn.Module):
    """Encoder, decoder and head of one sensor."""

    def __init__(self, encoder: Encoder, decoder: Decoder, head: nn.Module, stride: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head, self.enlarge = encoder, decoder, head, Enlarge(stride)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) to logits (B, K, H, W) and taps, by name."""
        (early,), (bottom,) = self.encoder(x)
        penultimate = self.decoder(bottom)
        logits = self.enlarge(self.head(penultimate))
        return {"logits": logits, "early": early, "bottom": bottom, "penultimate": penultimate}


def lone_blocks(net: Alone) -> tuple[str, ...]:
    """Blocks of `Alone` that quantisation may keep in floating point: every convolution but the first."""
    encoder = [f"inner.encoder.sensors.0.{name}" for stage in STAGES for name in units_of(stage)]
    return (*encoder, *(f"inner.decoder.units.{name}" for name in net.decoder.units))
