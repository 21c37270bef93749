"""Small tasks and inputs for the tests of the paper preset, and the released checkpoint's format, described anew."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255)
SAR = Sensor("sar", "radar", 2, "float32", "decibel", -40, 20)
HEAT = Sensor("heat", "thermal", 1, "uint16", "kelvin", 1, 65535)
NDSM = Sensor("ndsm", "height", 1, "float32", "metres", -10, 200)
RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)


def task_of(*sensors: Sensor, classes: int = 3, grid: tuple[int, int] = (32, 48)) -> Task:
    """A task with that many nameless classes."""
    return Task(sensors, tuple(f"class{index}" for index in range(classes)), ("#102030",) * classes, grid)


def frames_of(task: Task, batch: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Normalised noise for every sensor."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {sensor.name: (batch, sensor.channels, *task.grid) for sensor in task.sensors}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def labels_of(task: Task, batch: int = 2, seed: int = 1) -> Tensor:
    """Random class indices, none ignored."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, len(task.classes), (batch, *task.grid), generator=generator)


def released_shapes(classes: int, grid: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a released checkpoint, read or not."""
    shapes: dict[str, tuple[int, ...]] = {}
    for sensor, channels in (("rgb", 3), ("ndsm", 1)):
        shapes.update(_named(f"{sensor}_encoder.", [*_encoder(channels), *_auxiliary(classes)]))
        shapes.update(_named(f"{sensor}_else.", _encoder(channels)))
    for branch in ("full", "miss_rgb", "miss_ndsm"):
        shapes.update(_named(f"{branch}_fuse.", _fusion(grid[0] * grid[1] // 256)))
        shapes[f"{branch}_classwise_attention.class_queries"] = (classes, 256)
        shapes.update(_named(f"{branch}_classwise_decoder.", _decoder(classes)))
    pools = ("miss_rgb_fuse_pool", "miss_ndsm_fuse_pool", "rgb_dist_pool", "ndsm_dist_pool")
    for pool in (*pools, "rgb_else_pool", "ndsm_else_pool", "full_fusion_pool"):
        for level, width in enumerate((32, 64, 128)):
            shapes.update(_named(f"{pool}.attn_pools.{level}.", _pool(width)))
    return shapes


Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _named(prefix: str, shapes: Shapes | list[tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    return {prefix + name: shape for name, shape in shapes}


def _affine(name: str, *shape: int, outputs: int = 0) -> Shapes:
    """A weight and its bias; the bias is as long as the weight's first axis unless `outputs` says otherwise."""
    yield f"{name}.weight", shape
    yield f"{name}.bias", (outputs or shape[0],)


def _norm(name: str, width: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def _encoder(channels: int) -> Shapes:
    yield from _affine("e1", 32, channels, 4, 4)
    for level, width in ((2, 64), (3, 128)):
        yield from _affine(f"e{level}.0", width, width // 2, 4, 4)
        yield from _norm(f"e{level}.1", width)
    yield from _affine("e4", 256, 128, 4, 4)


def _auxiliary(classes: int) -> Shapes:
    for level, inputs, width in ((5, 256, 128), (6, 256, 64), (7, 128, 32)):
        yield from _affine(f"d{level}.0", inputs, width, 4, 4, outputs=width)
        yield from _norm(f"d{level}.1", width)
    yield from _affine("d8", 64, classes, 4, 4, outputs=classes)


def _pool(width: int) -> Shapes:
    yield "query", (1, width)
    yield from _affine("mlp.0", 128, width)
    yield from _affine("mlp.2", 1, 128)


def _fusion(positions: int) -> Shapes:
    yield "fusion_token", (1, 1, 256)
    yield from ((f"{sensor}_pos", (1, positions, 256)) for sensor in ("rgb", "ndsm"))
    for level, width in ((1, 32), (2, 64), (3, 128)):
        for index, (inputs, kernel) in enumerate(((2 * width, 1), (width, 3), (width, 1))):
            yield from _affine(f"conv_fusion_e{level}.fusion_layer.{index}.conv", width, inputs, kernel, kernel)
    for level, width in ((1, 64), (2, 128)):
        yield from _affine(f"conv_res{level}.0", width, width // 2, 4, 4)
        yield from _norm(f"conv_res{level}.1", width)
    yield from ((f"pool_e3.{name}", shape) for name, shape in _pool(128))
    yield from _affine("pool_e3.proj", 256, 128)
    for layer in (f"transformer.layers.{index}" for index in (0, 1)):
        yield f"{layer}.self_attn.in_proj_weight", (768, 256)
        yield f"{layer}.self_attn.in_proj_bias", (768,)
        for name in ("self_attn.out_proj", "linear1", "linear2"):
            yield from _affine(f"{layer}.{name}", 256, 256)
        for name in ("norm1", "norm2"):
            yield from _affine(f"{layer}.{name}", 256)
    yield from _affine("unify", 256, 512, 1, 1)


def _decoder(classes: int) -> Shapes:
    yield from _affine("seg_d4", 1, 256, 1, 1)
    for level, width in ((4, 256), (3, 128), (2, 64), (1, 4)):
        for index in range(classes):
            yield from _affine(f"seg_d{level}_layers.{index}", 1, width, 1, 1)
    for level, width in ((4, 256), (3, 128), (2, 64)):
        yield from _affine(f"e{level}_conv_up.conv", width // 2, width, 3, 3)
    yield from _affine("e1_conv_up.conv", 4, 8, 3, 3)
    for level, inputs, width in ((3, 256, 128), (2, 128, 64), (1, 64, 4)):
        yield from _affine(f"e{level}_conv.conv", width, inputs, 3, 3)
    yield from _affine("class_combine_conv.0.conv", 64, 4 * classes, 3, 3)
    yield from _affine("class_combine_conv.1.conv", 32, 64, 3, 3)
    yield from _affine("final_conv", classes, 32, 1, 1)


def lively_state(classes: int, grid: tuple[int, int], seed: int) -> dict[str, Tensor]:
    """A released checkpoint with random weights of usual size, so that every part moves the answer."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _lively(name, shape, generator) for name, shape in released_shapes(classes, grid).items()}


def _lively(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    noise = torch.rand(shape, generator=generator)
    scale = name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1)
    if scale:
        return noise + 0.5
    fan = max(1, noise[0].numel()) if len(shape) > 1 and "_pos" not in name else 10
    return (2 * noise - 1) * (3 / fan) ** 0.5
