"""CSK-Net on a camera and a thermal one, drawn and not trained, but quantised and packed as any network is.

Its batch norms have seen every scenario, and so many of their scales are nearly 0 that it exchanges channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from dis2_boards.packing.pack import pack
from dis2_boards.profile import load
from dis2_edge.bundle import Bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.images import write_png, write_tiff
from dis2_edge.prepare import normalise
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from tests.runtime.tiny_bundle import HEAT, RGB, frames_of, task_of, training_of

if TYPE_CHECKING:
    from torch import Tensor

    from dis2_train.networks.csknet.network import CskNet as Network

TASK = task_of(RGB, HEAT, grid=(48, 64))


def make_pair_run(folder: Path) -> Path:
    """The quantised run at `folder`/qrun, in both dialects; beside it the data that it was judged on. Needs torch."""
    import torch

    from dis2_quantize.run import quantize
    from dis2_train import checkpoint
    from dis2_train.evaluate import metrics
    from dis2_train.networks.cost import Cost

    recipe = Recipe(network="csknet", width=0.25, calibration_images=2, quantize_epochs=0)
    data = open_dataset(make_pair_data(folder / "data"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        statistics = [training_of(sensor) for sensor in TASK.sensors]
        told = metrics({}, "test", 2)
        checkpoint.save(folder / "run", _lived_in(recipe), recipe=recipe, statistics=statistics, metrics=told)
        with mock.patch("dis2_quantize.making.cost", return_value=Cost(1000, 0.5)):  # to count takes longer
            quantize(checkpoint.load(folder / "run"), recipe, data, folder / "qrun", ("int8",), ("ort", "trt"))
    finally:
        torch.set_num_threads(threads)
    return folder / "qrun"


def make_pair(folder: Path, qrun: Path, board: str = "host") -> Bundle:
    """The bundle of that run for a board."""
    return pack(qrun, load(board), folder)


def make_pair_data(folder: Path, task: Task = TASK, count: int = 2) -> Path:
    """A labelled data set: bright is where the thermal camera sees warm ground."""
    for split in ("train", "test"):
        for place in range(count):
            frames = frames_of(task, seed=place + (100 if split == "test" else 0))
            write_png(folder / f"{split}/rgb/{place}.png", frames["rgb"])
            write_tiff(folder / f"{split}/heat/{place}.tif", frames["heat"])
            write_png(folder / f"{split}/gt/{place}.png", (frames["heat"][..., 0] > HEAT.mean[0]).astype(np.uint8))
    rows = [
        'name = "pairs"',
        'classes = ["dark", "bright"]',
        'colours = ["#204080", "#f0e020"]',
        f"grid = [{task.grid[0]}, {task.grid[1]}]",
        'alignment = "registered"',
        'labels = "{split}/gt/{id}.png"',
        '[split]\nby = "folder"',
        '[sensors.rgb]\nkind = "optical"\npath = "{split}/rgb/{id}.png"\nunit = "DN"',
        '[sensors.heat]\nkind = "thermal"\npath = "{split}/heat/{id}.tif"\nunit = "DN"',
        "valid_min = 1\nvalid_max = 60000",
    ]
    (folder / "dataset.toml").write_text("\n".join(rows) + "\n")
    return folder


def _lived_in(recipe: Recipe) -> Network:
    import torch

    from dis2_train import networks

    network = networks.build(recipe, TASK).train()
    shown = [frames_of(TASK, seed) for seed in (1, 2, 3, 4)]
    batch = {
        sensor.name: torch.from_numpy(np.stack([normalise(frames[sensor.name], sensor) for frames in shown]))
        for sensor in TASK.sensors
    }
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for norm in (norm for pair in network.exchanged().values() for norm in pair):
            norm.weight.mul_(torch.where(torch.rand(norm.num_features) < 0.33, 1e-3, 1.0))
        for _ in range(10):
            for scenario in TASK.scenarios:
                network(batch, scenario)
        _decide(network, batch)
    return network.eval()


def _decide(network: Network, batch: dict[str, Tensor]) -> None:
    """Let both classes be seen: each head is shifted by what lies half-way between them."""
    network.eval()
    for scenario, head in zip(TASK.scenarios, (TASK.full, *TASK.sensor_names), strict=True):
        logits = network(batch, scenario).logits
        network.heads[head].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
        for parameter in network.heads[head].parameters():
            parameter.mul_(100)
