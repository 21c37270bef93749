"""Makes `judged_stub` importable by the tests beside it; runs to judge, and the verbs that judge them."""

import sys
from pathlib import Path

import pytest

from dis2_edge import cli
from dis2_edge.statistics import measure, with_statistics
from dis2_train import checkpoint, networks
from dis2_train.evaluate import metrics
from dis2_train.networks.cost import Cost
from dis2_train.segmenters.run import RunSegmenter

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def make_run(tmp_path, tiny_data, tiny_recipe):
    """Makes the folder of an untrained run."""

    def make(name, **choices):
        recipe = tiny_recipe(**{"network": "early_fusion", "width": 0.125, "grid": (32, 32), **choices})
        data = tiny_data.narrowed(recipe.sensors, recipe.grid)
        statistics = measure(data, "train")
        network = networks.build(recipe, with_statistics(data.task, statistics))
        told = metrics({}, "test", 4)
        checkpoint.save(tmp_path / name, network, recipe=recipe, statistics=statistics, metrics=told)
        return tmp_path / name

    return make


@pytest.fixture(autouse=True)
def _no_counting(monkeypatch, request):
    """Operations take longer to count than tiny networks to judge; tests/train/networks/test_cost.py counts them."""
    if "counted" not in request.node.name:
        monkeypatch.setattr(RunSegmenter, "cost", lambda self, scenario: Cost(1000, 0.5))


@pytest.fixture
def call(tiny_folder):
    return lambda verb, *words: cli.main([verb, *map(str, words), "--data", str(tiny_folder), "--device", "cpu"])
