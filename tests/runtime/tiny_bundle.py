"""A real bundle in miniature, made without torch: every scenario a per-pixel linear classifier in ONNX.

A pixel is class 1 ("bright") where the sum of its normalised sensors is above 0, class 0 ("dark") elsewhere: `expected`
says the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Manifest, ModelRow, Policy
from dis2_edge.images import write_png, write_tiff
from dis2_edge.scenario import sensors_of
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, mean=(120.0,) * 3, std=(60.0,) * 3, rate_hz=10, max_age_ms=250)
NDSM = Sensor("ndsm", "height", 1, "float32", "metres", -5, 80, mean=(4.0,), std=(5.0,), rate_hz=5, max_age_ms=500)
HEAT = Sensor("heat", "thermal", 1, "uint16", "DN", 1, 60000, mean=(30000.0,), std=(4000.0,), rate_hz=8, max_age_ms=300)
_TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


def task_of(*sensors: Sensor, grid: tuple[int, int] = (24, 32)) -> Task:
    """A two-class task over `sensors`."""
    return Task(sensors, ("dark", "bright"), ("#204080", "#f0e020"), grid)


def make_bundle(
    folder: Path,
    task: Task,
    *,
    scenarios: tuple[str, ...] = (),
    precisions: tuple[str, ...] = ("int8", "fp32"),
    policy: Policy | None = None,
) -> Bundle:
    """Write a bundle of `task` to `folder`, with the given scenarios (all when empty)."""
    rows = []
    for rank, scenario in enumerate(scenarios or task.scenarios):
        for precision in precisions:
            file = f"models/{scenario.replace('+', '-')}-{precision}-ort-frame.onnx"
            (folder / "models").mkdir(parents=True, exist_ok=True)
            onnx.save(linear_model(task, scenario), folder / file)
            rows.append(ModelRow(scenario, precision, "ort", "frame", file, 0.99, 0.05, miou=0.8 - rank / 10))
    (folder / "recipe.toml").write_text('network = "linear"\n')
    (folder / "card.md").write_text("# A linear classifier\n")
    statistics = tuple(training_of(sensor) for sensor in task.sensors)
    policy = policy or Policy(rate_hz=10, return_after=3, hold_ms=400)
    manifest = Manifest("tiny", "linear", "0" * 64, task, statistics, tuple(rows), (), policy, "host")
    return bundles.write(folder, manifest)


def expected(task: Task, scenario: str, frames: Mapping[str, np.ndarray]) -> np.ndarray:
    """The mask that the model of `scenario` must give."""
    used = [task.sensor(name) for name in sensors_of(scenario)]
    total = sum(((frames[s.name].astype(np.float32) - s.mean) / np.float32(s.std)).mean(axis=2) for s in used)
    return (np.asarray(total) > 0).astype(np.uint8)


def frames_of(task: Task, seed: int = 0) -> dict[str, np.ndarray]:
    """One plausible frame of each sensor, on the grid, unlike for every seed."""
    random = np.random.default_rng(seed)
    return {sensor.name: ground(sensor, task.grid, random) for sensor in task.sensors}


def ground(sensor: Sensor, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """HxWxC that looks like ground: a few waves and a little noise around the sensor's mean, in its dtype and range."""
    rows, columns = np.mgrid[: size[0], : size[1]][..., None] / 16
    phase = random.uniform(0, 6, (2, sensor.channels))
    waves = np.sin(rows + phase[0]) + np.cos(columns * 1.3 + phase[1]) + random.normal(0, 0.1, (*size, sensor.channels))
    values = np.array(sensor.mean) + np.array(sensor.std) * 0.8 * waves
    return np.clip(values, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)


def write_scene(folder: Path, task: Task, size: tuple[int, int] = (60, 200), seed: int = 0) -> Path:
    """The scene of a simulated flight: one raster a sensor."""
    random = np.random.default_rng(seed)
    for sensor in task.sensors:
        pixels = ground(sensor, size, random)
        write = write_png if sensor.dtype == "uint8" else write_tiff
        write(folder / f"{sensor.name}.{'png' if sensor.dtype == 'uint8' else 'tif'}", pixels)
    return folder


def linear_model(task: Task, scenario: str) -> onnx.ModelProto:
    """The ONNX model of io `frame` for `scenario`."""
    height, width = task.grid
    sensors = task.used(scenario)
    nodes, constants, scores = [], [], []
    for sensor in sensors:
        weight = np.array([[0, 1 / (sensor.std[c] * sensor.channels)] for c in range(sensor.channels)], np.float32)
        constants.append(numpy_helper.from_array(weight, f"{sensor.name}_weight"))
        nodes.append(helper.make_node("Cast", [sensor.name], [f"{sensor.name}_float"], to=TensorProto.FLOAT))
        nodes.append(
            helper.make_node("MatMul", [f"{sensor.name}_float", f"{sensor.name}_weight"], [f"{sensor.name}_score"])
        )
        scores.append(f"{sensor.name}_score")
    bias = -sum(np.mean(np.array(s.mean) / np.array(s.std)) for s in sensors)
    constants.append(numpy_helper.from_array(np.array([0, bias], np.float32), "bias"))
    constants.append(numpy_helper.from_array(np.array([255], np.float32), "full"))
    constants.append(numpy_helper.from_array(np.array([-1], np.int64), "last"))
    nodes += [
        helper.make_node("Sum", [*scores, "bias"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["index"], axis=-1, keepdims=0),
        helper.make_node("Cast", ["index"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("Softmax", ["logits"], ["share"], axis=-1),
        helper.make_node("ReduceMax", ["share", "last"], ["best"], keepdims=0),
        helper.make_node("Mul", ["best", "full"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["confidence"], to=TensorProto.UINT8),
    ]
    inputs = [helper.make_tensor_value_info(s.name, _TYPES[s.dtype], [height, width, s.channels]) for s in sensors]
    outputs = [helper.make_tensor_value_info(n, TensorProto.UINT8, [height, width]) for n in ("mask", "confidence")]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def training_of(sensor: Sensor) -> SensorStatistics:
    """Statistics that `ground` keeps to."""
    mean, std = sensor.mean[0], sensor.std[0]
    return SensorStatistics(
        sensor.name,
        sensor.mean,
        sensor.std,
        low=max(sensor.valid_min, mean - 4 * std),
        high=min(sensor.valid_max, mean + 4 * std),
        frame_mean_low=mean - std,
        frame_mean_high=mean + std,
        frame_std_low=std / 4,
        frame_std_high=std * 2,
        hole_share_high=0.2,
    )
