"""What every baseline costs in flight, beside the DIS2 and CSK-Net that it is compared with: docs/training.md's table.

    python -m benchmarks.baselines [--write]

Operations and parameters come from shapes alone (`dis2_train.networks.cost`), so any machine prints the same figures.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from dis2_edge.files import write_text
from dis2_edge.recipe import Recipe, load
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import say
from dis2_train import networks
from dis2_train.networks.cost import Cost, cost

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "train" / "recipes"
PAGE = ROOT / "docs" / "training.md"
BEGIN, END = "<!-- python -m benchmarks.baselines --write -->", "<!-- end -->"
BASES = {
    "ombria": RECIPES / "ombria.toml",
    "aerial": RECIPES / "aerial.toml",
    "landsat": ROOT / "benchmarks" / "reproduce" / "landsat.toml",
    "thermal": RECIPES / "thermal.toml",
}
"""The recipe of DIS2 default that a data set's baselines are measured against."""
CSKNET = {
    "ombria": RECIPES / "ombria_csknet.toml",
    "aerial": RECIPES / "aerial_csknet.toml",
    "thermal": RECIPES / "thermal_csknet.toml",
    "landsat": ROOT / "benchmarks" / "reproduce" / "landsat_csknet.toml",
}
"""CSK-Net's recipe for each data set."""


def _task(classes: int, grid: tuple[int, int], **channels: int) -> Task:
    sensors = tuple(
        Sensor(name, "optical" if count == 3 else "thermal", count, "uint8", "DN", 0, 255)
        for name, count in channels.items()
    )
    return Task(sensors, tuple(f"class {index}" for index in range(classes)), ("#000000",) * classes, grid)


TASKS = {
    "ombria": _task(2, (256, 256), opt=3, sar=1),
    "aerial": _task(5, (256, 256), rgb=3, ndsm=1),
    "landsat": _task(4, (160, 144), rgb=3, tir=1),
    "thermal": _task(5, (96, 96), rgb=3, thermal=1),
}
"""Sensors with their channels, classes and grid of each data set: all that operations depend on."""


@dataclass(frozen=True)
class Row:
    """One recipe and what its network costs."""

    data: str
    """Which data set it is for."""
    name: str
    """The recipe's file name without its ending, and the sensor where it is set by hand."""
    recipe: Recipe
    """As it is read."""
    costs: dict[str, Cost]
    """By scenario of the data set's two sensors; only those that the network has."""


@cache
def rows(data: str) -> tuple[Row, ...]:
    """DIS2 default first, CSK-Net, then every baseline; a recipe of one sensor is shown for the other one too."""
    return tuple(_rows(data))


def table() -> str:
    """The whole table in Markdown."""
    lines = [
        "| recipe | network | width | GFLOP, both sensors | first alone | second alone | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, task in TASKS.items():
        for row in rows(data):
            kind = row.recipe.network if row.recipe.preset == "default" else f"{row.recipe.network} {row.recipe.preset}"
            gflop = [f"{row.costs[s].gflop:.3f}" if s in row.costs else "" for s in task.scenarios]
            most = max(found.parameters for found in row.costs.values()) / 1e6
            lines.append(f"| {row.name} | {kind} | {row.recipe.width} | {' | '.join(gflop)} | {most:.2f} M |")
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """The page with the table between its marks made anew."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


def task_of(data: str, recipe: Recipe) -> Task:
    """The data set's task, with the recipe's sensors alone."""
    task = TASKS[data]
    return dataclasses.replace(task, sensors=tuple(task.sensor(name) for name in recipe.sensors or task.sensor_names))


def _rows(data: str) -> Iterator[Row]:
    for path in (BASES[data], CSKNET[data]):
        yield _row(data, path.stem, load(path))
    for path in sorted((RECIPES / "baselines").glob(f"{data}_*.toml")):
        recipe = load(path)
        yield _row(data, path.stem, recipe)
        named = path.stem.endswith(tuple(f"_{name}" for name in TASKS[data].sensor_names))
        if len(recipe.sensors) == 1 and not named:
            (other,) = set(TASKS[data].sensor_names) - set(recipe.sensors)
            yield _row(data, f"{path.stem}, {other}", dataclasses.replace(recipe, sensors=(other,)))


def _row(data: str, name: str, recipe: Recipe) -> Row:
    keys = ("network", "preset", "width", "sensors", "classwise", "hierarchical", "optical")
    kept = {key: getattr(recipe, key) for key in keys}
    return Row(data, name, recipe, _costs(data, Recipe(**kept)))


@cache
def _costs(data: str, recipe: Recipe) -> dict[str, Cost]:
    """By scenario; `recipe` says nothing but what makes the network, so that equal networks are counted once."""
    with torch.device("cpu" if recipe.network == "csknet" else "meta"):  # its exchange asks for values of norms
        network = networks.build(recipe, task_of(data, recipe))
    return {scenario: cost(network, scenario) for scenario in network.task.scenarios}


def main(words: list[str]) -> int:
    """Print the table, or with --write put it into docs/training.md."""
    if words == ["--write"]:
        write_text(PAGE, filled(PAGE.read_text("utf-8")))
    elif words:
        say((__doc__ or "").strip())
        return 2
    else:
        say(table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
