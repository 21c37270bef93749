"""The contestant to beat: DIS2 in torch eager, run as the released code runs it.

`PaperDis2` computes the released function; this file also gives it the released operators, which cost differently on a
CPU: the normalisation as a three-dimensional instance norm, torch's own Transformer layer with its inference path, and
enlargement to a size that is already there. Auxiliary decoders and side heads run, the class loop runs one by one, and
what they make is thrown away.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks.paper import PaperDis2
from dis2_train.networks.paper.attention import DROPOUT, HEADS, ClasswiseAttention, TokenMixer
from dis2_train.networks.paper.decoder import ClasswiseDecoder


class ReleasedDis2:
    """The released model with random weights of `seed`, for batches of one."""

    def __init__(self, task: Task, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.task = task
        self.plain = PaperDis2(Recipe(preset="paper"), task).eval()
        self.network = with_released_operators(self.plain)

    def infer(self, scenario: str, frames: Mapping[str, Tensor]) -> Tensor:
        """Class probabilities (1, K, H, W) of normalised `frames`, (1, C, H, W) a sensor; no gradients."""
        with torch.no_grad():
            return self.network.forward_as_released(frames, scenario).probabilities

    def write(self, scenario: str, file: Path) -> None:
        """Export what `scenario` computes to `file`, as anybody would: probabilities out, nothing rewritten.

        What no probability depends on, auxiliary decoders and side heads, is left out by the exporter.
        """
        names = sensors_of(scenario)
        frames = tuple(torch.zeros(1, self.task.sensor(name).channels, *self.task.grid) for name in names)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracing exporter calls itself deprecated
            torch.onnx.export(
                Probabilities(self.plain, scenario),
                frames,
                file,
                dynamo=False,
                input_names=list(names),
                opset_version=17,
            )


class Probabilities(nn.Module):
    """The released model in one scenario, one argument a sensor."""

    def __init__(self, network: PaperDis2, scenario: str) -> None:
        super().__init__()
        self.network, self.scenario = network, scenario

    def forward(self, *frames: Tensor) -> Tensor:
        """One normalised (1, C, H, W) a sensor to (1, K, H, W)."""
        named = dict(zip(sensors_of(self.scenario), frames, strict=True))
        return self.network.forward_as_released(named, self.scenario).probabilities


def with_released_operators(network: PaperDis2, batch: int = 1) -> PaperDis2:
    """A copy of `network`, in eval mode, that computes the same by the operators of the released code."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, nn.GroupNorm):
                setattr(parent, name, WholeSampleNorm(batch))
            elif isinstance(part, TokenMixer):
                setattr(parent, name, torch_layer(part))
            elif isinstance(part, ClasswiseAttention):
                setattr(parent, name, PositionsFirst(part))
            elif isinstance(part, ClasswiseDecoder):
                part.combine = nn.Sequential(SameSize(network.task), part.combine)
    return network.eval()


class WholeSampleNorm(nn.InstanceNorm3d):
    """A three-dimensional instance norm over a batch: each sample is taken for one channel."""

    def __init__(self, batch: int = 1) -> None:
        super().__init__(batch)


class PositionsFirst(nn.Module):
    """Class-wise attention whose maps are made positions first and turned, with a copy, class by class."""

    def __init__(self, attention: ClasswiseAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, fused: Tensor) -> list[Tensor]:
        """(B, C, h, w) to one (B, C, h, w) a class."""
        queries, pixels = self.attention.queries, fused.flatten(2).transpose(1, 2)  # (B, N, C)
        scores = torch.matmul(queries, pixels.transpose(1, 2)) * self.attention.scale  # (B, K, N)
        maps = scores.softmax(dim=-1).unsqueeze(3) * pixels.unsqueeze(1)  # (B, K, N, C)
        shaped = maps.unflatten(2, fused.shape[2:])
        return [shaped[:, index].permute(0, 3, 1, 2).contiguous() for index in range(len(queries))]


class SameSize(nn.Module):
    """Bilinear enlargement of each class's channels to the size that they have."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.grid, self.classes = task.grid, len(task.classes)

    def forward(self, together: Tensor) -> Tensor:
        """(B, 4K, H, W) to the same."""
        parts = together.chunk(self.classes, dim=1)
        sized = [F.interpolate(part, size=self.grid, mode="bilinear", align_corners=False) for part in parts]
        return torch.cat(sized, dim=1)


def torch_layer(mixer: TokenMixer) -> nn.TransformerEncoderLayer:
    """torch's encoder layer with the weights of `mixer`."""
    width = mixer.join.in_features
    layer = nn.TransformerEncoderLayer(width, HEADS, width, DROPOUT, batch_first=True)
    names = {
        **{f"self_attn.in_proj_{kind}": f"project.{kind}" for kind in ("weight", "bias")},
        **{f"self_attn.out_proj.{kind}": f"join.{kind}" for kind in ("weight", "bias")},
        **{f"linear1.{kind}": f"widen.{kind}" for kind in ("weight", "bias")},
        **{f"linear2.{kind}": f"narrow.{kind}" for kind in ("weight", "bias")},
        **{f"norm1.{kind}": f"norm_attention.{kind}" for kind in ("weight", "bias")},
        **{f"norm2.{kind}": f"norm_forward.{kind}" for kind in ("weight", "bias")},
    }
    weights = mixer.state_dict()
    layer.load_state_dict({theirs: weights[ours] for theirs, ours in names.items()})
    return layer.eval()
