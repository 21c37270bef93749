"""A network as anybody would export it: torch.onnx.export of its forward in eval mode, normalised frames to logits."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from dis2_edge.scenario import sensors_of
from dis2_train.networks.seam import Network

OPSET = 17


class OneScenario(nn.Module):
    """A network in one scenario, one argument a sensor."""

    def __init__(self, network: Network, scenario: str) -> None:
        super().__init__()
        self.network, self.scenario = network, scenario

    def forward(self, *frames: Tensor) -> Tensor:
        """One normalised (B, C, H, W) a sensor to logits (B, K, H, W)."""
        named = dict(zip(sensors_of(self.scenario), frames, strict=True))
        return self.network(named, self.scenario).logits  # type: ignore[no-any-return]


def write_plain(network: Network, scenario: str, file: Path) -> None:
    """Write `scenario` of `network` to `file`: nothing rewritten, nothing rounded, inputs named by sensor."""
    names = sensors_of(scenario)
    frames = tuple(torch.zeros(1, network.task.sensor(name).channels, *network.task.grid) for name in names)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter calls itself deprecated
        torch.onnx.export(
            OneScenario(network, scenario).eval(),  # the exporter gives the mode back that it found
            frames,
            file,
            dynamo=False,
            input_names=list(names),
            output_names=["logits"],
            opset_version=OPSET,
        )
