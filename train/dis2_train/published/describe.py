"""The text of the `dataset.toml` of a prepared benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_train.published.benchmark import Benchmark


def description(
    benchmark: Benchmark,
    sensors: Mapping[str, Sensor],
    statistics: Mapping[str, SensorStatistics],
    grid: tuple[int, int],
    splits: tuple[str, ...],
) -> str:
    """The description: patterns, classes, splits as lists of ids, and each sensor with its mean and spread."""
    head = f"""# {benchmark.about}
# Terms: {benchmark.terms}
# Made by: dis2-edge data prepare. What was read, and what was ignored, stands in prepared.json.
name = {_text(benchmark.name)}
classes = {_list(benchmark.classes)}
colours = {_list(benchmark.colours)}
ignore = 255
labels = "labels/{{id}}.png"
grid = [{grid[0]}, {grid[1]}]
alignment = "registered"

[split]
by = "list"
names = {_list(splits)}
list = "{{split}}.txt"
"""
    return head + "".join(_sensor(sensor, statistics.get(name)) for name, sensor in sensors.items())


def _sensor(sensor: Sensor, measured: SensorStatistics | None) -> str:
    ending = "tif" if sensor.dtype == "float32" else "png"
    lines = f"""
[sensors.{sensor.name}]
kind = "{sensor.kind}"
path = "{sensor.name}/{{id}}.{ending}"
dtype = "{sensor.dtype}"
unit = {_text(sensor.unit)}
valid_min = {sensor.valid_min!r}
valid_max = {sensor.valid_max!r}
"""
    if measured is None:
        return lines
    return lines + f"mean = {_numbers(measured.mean)}\nstd = {_numbers(measured.std)}\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _numbers(values: tuple[float, ...]) -> str:
    """A list of TOML floats of six digits."""
    return f"[{', '.join(repr(float(f'{value:.6g}')) for value in values)}]"
