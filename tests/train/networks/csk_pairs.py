"""A task of two sensors, recipes, frames and lived-in networks for the tests of CSK-Net."""

import dataclasses

import torch
from torch import nn

from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, (110.0, 100.0, 90.0), (50.0, 48.0, 46.0))
HEAT = Sensor("heat", "thermal", 1, "uint8", "DN", 0, 255, (90.0,), (40.0,))
TASK = Task((RGB, HEAT), ("road", "roof", "tree"), ("#808080", "#aa3333", "#227722"), (32, 48))
RECIPE = Recipe(network="csknet", width=0.25)


def frames(batch=2, task=TASK):
    """Normalised frames by sensor."""
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(batch, s.channels, *task.grid, generator=random) for s in task.sensors}


def target(batch=2, task=TASK):
    """Labels, a corner of them ignored."""
    labels = torch.randint(0, len(task.classes), (batch, *task.grid), generator=torch.Generator().manual_seed(1))
    labels[:, :8, :8] = task.ignore
    return labels


def built(task=TASK, **changes):
    """A network whose norms have statistics, scales and offsets, some of the scales as good as nothing."""
    network = networks.build(dataclasses.replace(RECIPE, **changes), task)
    random = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            with torch.no_grad():
                module.weight.uniform_(0.3, 1.5, generator=random)
                module.weight[torch.rand(len(module.weight), generator=random) < 0.3] = 0.001
                module.bias.uniform_(-0.3, 0.3, generator=random)
                module.running_mean.uniform_(-0.2, 0.2, generator=random)
                module.running_var.uniform_(0.5, 1.5, generator=random)
    return network.eval()


def taught(**changes):
    """A network in training, with an untrained teacher where it asks for one."""
    network = built(**changes)
    recipe = network.taught_by()
    if recipe is not None:
        network.learn_from(networks.build(recipe, Task((RGB,), TASK.classes, TASK.colours, TASK.grid)))
    return network.train()
