"""Small networks in the forms that the `trt` dialect starts from, with frames, for its tests."""

import functools

import numpy as np
import torch
from small import HEAT, ONE, PAIR, THREE, TWO, frames_of

from dis2_edge.prepare import normalise
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_train import networks

CASES = [
    ("dis2", TWO, "rgb+ndsm"),
    ("dis2", TWO, "ndsm"),
    ("early_fusion", THREE, "rgb+thermal"),
    ("single", ONE, "ndsm"),
    ("feature_mean", THREE, "rgb+thermal"),
    ("csknet", PAIR, "rgb+thermal"),
    ("csknet", PAIR, "thermal"),
    ("deeplabv3", HEAT, "thermal"),
]


def raw_frames(task):
    """HxWxC frames in each sensor's unit whose normalised form has structure."""
    frames = {}
    for name, x in frames_of(task).items():
        sensor = task.sensor(name)
        pixels = x[0].permute(1, 2, 0).numpy() * np.array(sensor.std) + np.array(sensor.mean)
        frames[name] = np.clip(pixels, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
    return frames


def inputs_of(task, scenario):
    """What a form takes: each raw frame, normalised, 1xCxHxW."""
    raw = raw_frames(task)
    return tuple(torch.from_numpy(normalise(raw[name], task.sensor(name)))[None] for name in sensors_of(scenario))


@functools.cache
def lived_network(kind, task):
    """A network whose batch norms have seen every scenario; a csknet gives up channels."""
    network = networks.build(Recipe(network=kind, width=0.25), task).train()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        if kind == "csknet":
            give_up_channels(norm for pair in network.exchanged().values() for norm in pair)
            for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
                norm.momentum = 0.5  # three looks are then enough for maps that vary, and classes that stand apart
        for _ in range(3):
            for scenario in task.scenarios:
                network(frames_of(task, 2), scenario)
    return network.eval()


def give_up_channels(norms, size=1e-3):
    """Make a third of the scales of batch norms `size` of what they are."""
    for norm in norms:
        norm.weight.mul_(torch.where(torch.rand(norm.num_features) < 0.33, size, 1.0))


def traced(kind, task, scenario):
    """The FP32 graph that an fp16 file is made of."""
    return placement.trace(lived_network(kind, task).deployable(scenario))


@functools.cache
def placed(kind, task, scenario):
    """The calibrated graph that an int8 file is made of; treat it as read-only."""
    graph = placement.place(traced(kind, task, scenario), "minmax")
    with torch.no_grad():
        graph(*inputs_of(task, scenario))
    placement.freeze(graph)
    return graph


def graph_of(precision, kind, task, scenario):
    """The graph that a file of `precision` is made of."""
    return placed(kind, task, scenario) if precision == "int8" else traced(kind, task, scenario)
