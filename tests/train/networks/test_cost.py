"""Cost: operations are counted where they are made, attention too, and counting leaves the network as it was."""

import pytest
import torch
from torch import nn

from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.blocks import SelfAttention
from dis2_train.networks.cost import Cost, cost, operations

OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255)
SAR = Sensor("sar", "radar", 1, "uint8", "DN", 0, 255)


def task_of(*sensors, classes=2, grid=(256, 256)):
    return Task(sensors, tuple("abcdefgh"[:classes]), ("#000000",) * classes, grid)


@pytest.mark.parametrize(
    ("module", "shapes", "expected"),
    [
        (nn.Conv2d(3, 5, 3, padding=1), [(1, 3, 8, 10)], 2 * 9 * 3 * 5 * 80),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4), [(2, 4, 8, 8)], 2 * 9 * 1 * 8 * 16 * 2),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1), [(1, 4, 5, 5)], 2 * 16 * 4 * 6 * 25),
        (nn.Linear(7, 11), [(2, 5, 7)], 2 * 7 * 11 * 10),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3).eval()), [(1, 3, 4, 4)], 0),
        (SelfAttention(2), [(1, 6, 8), (1, 3, 8), (1, 3, 8)], 2 * 2 * 6 * 3 * 8),
        (
            nn.MultiheadAttention(8, 2, bias=False, batch_first=True).eval(),
            [(1, 6, 8)] * 3,
            2 * 6 * 64 * 4 + 4 * 36 * 8,
        ),
    ],
    ids=["conv", "grouped", "transposed", "linear", "none", "attention", "multihead"],
)
def test_operations_are_two_for_each_multiply_add(module, shapes, expected):
    assert operations(module, *(torch.zeros(shape) for shape in shapes)) == expected


class Products(nn.Module):
    """Matrix products spelt in three ways."""

    def forward(self, a, b):
        return torch.matmul(a, b) + a @ b + torch.einsum("bij,bjk->bik", a, b)


def test_matrix_products_are_counted_however_they_are_spelt():
    assert operations(Products(), torch.zeros(2, 3, 4), torch.zeros(2, 4, 5)) == 3 * (2 * 2 * 3 * 4 * 5)


def test_counting_leaves_mode_statistics_and_switches_alone():
    network = networks.build(Recipe(width=0.25), task_of(OPT, SAR, grid=(32, 32))).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = torch.backends.mha.get_fastpath_enabled()
    assert cost(network, "sar") == cost(network, "sar")
    assert all(module.training for module in network.modules())
    assert all(value.device.type == "cpu" and value.equal(before[name]) for name, value in network.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_shapes_alone_count_what_a_real_pass_counts():
    network = networks.build(Recipe(width=0.25), task_of(OPT, SAR, grid=(32, 48))).eval()
    flown = network.deployable("opt+sar")
    real = operations(flown, torch.zeros(1, 3, 32, 48), torch.zeros(1, 1, 32, 48))
    found = cost(network, "opt+sar")
    assert found == Cost(sum(p.numel() for p in flown.parameters()), real / 1e9)


def test_the_paper_preset_costs_what_the_released_model_does():
    task = task_of(OPT, SAR, classes=5, grid=(512, 512))
    found = cost(networks.build(Recipe(preset="paper"), task), "opt+sar")
    assert 100 < found.gflop < 107
