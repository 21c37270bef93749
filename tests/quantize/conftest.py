"""Networks with lived-in statistics, and runs on a tiny data set of the project's own generator."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "writing"))

from small import RECIPE, frames_of

from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.checkpoint import Checkpoint
from dis2_train.fitting.fit import train
from dis2_train.networks.seam import Network
from dis2_train.synth.make import synthesise


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def lived_in() -> Callable[[str, Task], Network]:
    """Makes a network whose batch norms have seen every scenario, so that folding them is not folding nothing."""

    def make_network(kind: str, task: Task) -> Network:
        network = networks.build(Recipe(network=kind, width=0.25), task).train()  # type: ignore[arg-type]
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(1)
            for _ in range(3):
                for scenario in task.scenarios:
                    network(frames_of(task, 2), scenario)
        return network.eval()

    return make_network


@pytest.fixture(scope="session")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tmp_path_factory.mktemp("aerial") / "data"
    synthesise(root, "aerial", count=14, size=64, seed=3)
    return open_dataset(root)


@pytest.fixture(scope="session")
def trained(aerial: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    """Makes, once for each kind, a run that was trained for a moment."""
    done: dict[str, Checkpoint] = {}

    def run_of(kind: str) -> Checkpoint:
        if kind not in done:
            recipe = Recipe(**{**vars(RECIPE), "network": kind})
            done[kind] = train(recipe, aerial, Path(tmp_path_factory.mktemp(kind)) / "run", device="cpu")
        return done[kind]

    return run_of
