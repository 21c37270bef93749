"""Small sensors, tasks, a recipe and frames for the tests of quantisation."""

import torch

from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, (110.0, 100.0, 90.0), (50.0, 48.0, 46.0))
NDSM = Sensor("ndsm", "height", 1, "float32", "metres", -10, 200, (4.0,), (5.0,))
THERMAL = Sensor("thermal", "thermal", 1, "uint16", "centikelvin", 20000, 40000, (29000.0,), (900.0,))
RECIPE = Recipe(
    width=0.25,
    epochs=1,
    batch=4,
    crop=32,
    threads=1,
    tune_above=-100.0,
    quantize_epochs=1,
    calibration_images=4,
)
TWO = Task((RGB, NDSM), ("road", "roof", "tree"), ("#808080", "#aa3333", "#227722"), (64, 64))
ONE = Task((NDSM,), ("road", "roof", "tree"), ("#808080", "#aa3333", "#227722"), (64, 64))
PAIR = Task((RGB, THERMAL), ("road", "roof", "tree"), ("#808080", "#aa3333", "#227722"), (64, 64))
HEAT = Task((THERMAL,), ("road", "roof", "tree"), ("#808080", "#aa3333", "#227722"), (64, 64))
THREE = Task((RGB, NDSM, THERMAL), ("road", "roof"), ("#808080", "#aa3333"), (64, 64))


def frames_of(task: Task, batch: int = 1) -> dict[str, torch.Tensor]:
    """Normalised frames with some structure, by sensor."""
    random = torch.Generator().manual_seed(5)
    coarse = (batch, 1, task.grid[0] // 8, task.grid[1] // 8)
    frames = {}
    for sensor in task.sensors:
        shape = torch.randn(*coarse, generator=random).repeat_interleave(8, 2).repeat_interleave(8, 3)
        frames[sensor.name] = shape + 0.3 * torch.randn(batch, sensor.channels, *task.grid, generator=random)
    return frames
