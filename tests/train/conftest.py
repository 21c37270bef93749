"""A tiny data set on disk and a tiny network with what makes resuming hard: batch norms of a scenario, and dropout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.statistics import measure, with_statistics
from dis2_edge.task import Task
from dis2_train.networks.seam import Frames, Network, Output

TINY_RECIPE = {"epochs": 4, "batch": 4, "crop": 16, "threads": 1, "evaluate_every": 2, "learning_rate": 0.02}
DESCRIPTION = """
name = "tiny"
classes = ["low", "high"]
colours = ["#000000", "#ffffff"]
ignore = 255
labels = "{split}/gt/{id}.png"
grid = [24, 32]
alignment = "registered"
[split]
by = "folder"
[sensors.opt]
kind = "optical"
path = "{split}/opt/{id}.png"
dtype = "uint8"
unit = "DN"
[sensors.sar]
kind = "radar"
path = "{split}/sar/{id}.png"
dtype = "uint8"
unit = "DN"
"""


class TinyNetwork(Network):
    """A convolution and a batch norm of each sensor, added up, dropout, a classifier."""

    def __init__(self, task: Task, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.task = task
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.ModuleDict({s.name: nn.Conv2d(s.channels, width, 3, padding=1) for s in task.sensors})
            self.norms = nn.ModuleDict({scenario: nn.BatchNorm2d(width) for scenario in task.scenarios})
            self.last = nn.Conv2d(width, len(task.classes), 1)

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        seen = sum((self.first[name](frames[name]) for name in sensors_of(scenario)), torch.zeros(()))
        seen = F.dropout(F.relu(self.norms[scenario](seen)), 0.1, self.training)
        return Output(self.last(seen))

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        logits = self(frames, scenario).logits
        terms = {"ce": F.cross_entropy(logits, target, ignore_index=self.task.ignore)}
        if "+" not in scenario:
            terms["small"] = 1e-3 * logits.square().mean()
        return terms

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        return self.task.scenarios

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        raise NotImplementedError

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        return ()

    def blocks(self, scenario: str) -> tuple[str, ...]:
        return ()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """10 + 4 + 4 images of 24x32 pixels: the label is where opt's red is high; sar shows it through noise."""
    return write_folder(tmp_path / "tiny")


@pytest.fixture
def tiny_data(tiny_folder: Path) -> DataSet:
    return open_dataset(tiny_folder)


@pytest.fixture
def tiny_task(tiny_data: DataSet) -> Task:
    return with_statistics(tiny_data.task, measure(tiny_data, "train"))


@pytest.fixture
def tiny_network(tiny_task: Task) -> Callable[..., TinyNetwork]:
    """Makes equal networks, however often it is called."""
    return lambda **choices: TinyNetwork(tiny_task, **choices)


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    return lambda **choices: Recipe(**{**TINY_RECIPE, **choices})


def write_folder(root: Path) -> Path:
    """The data set of `tiny_folder`, for fixtures that live longer than a test."""
    random = np.random.default_rng(7)
    for split, count in (("train", 10), ("val", 4), ("test", 4)):
        for number in range(count):
            _write_image(root / split, f"{number:02}", random)
    (root / "dataset.toml").write_text(DESCRIPTION)
    return root


def _write_image(folder: Path, name: str, random: np.random.Generator) -> None:
    label = np.kron(random.integers(0, 2, (3, 4)), np.ones((8, 8))).astype(np.uint8)
    opt = random.integers(0, 90, (24, 32, 3)).astype(np.uint8)
    opt[..., 0] += 120 * label
    sar = (60 * label + random.integers(0, 120, (24, 32))).astype(np.uint8)
    label[:2] = 255
    for kind, picture in (("gt", label), ("opt", opt), ("sar", sar)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / kind / f"{name}.png")
