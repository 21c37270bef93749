"""Draw docs/flight.png from a demo's folder: `python docs/strip.py out/demo`.

Columns are moments of one flight, rows what the sensors saw, each network's mask, and the truth.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dis2_edge.dataset import open_dataset
from dis2_edge.files import write_bytes
from dis2_edge.images import read_image, read_indices
from dis2_edge.report.pictures import in_colours, visible
from dis2_edge.task import Task
from dis2_runtime.sources.flight import FlightOptions, corner

MOMENTS_S = (3.5, 4.3, 6.0, 7.5, 8.6)
NETWORKS = {"DIS2": "dis2", "early fusion": "early_fusion"}
CELL, GAP, LEFT, TOP = 150, 4, 104, 28
INK, PAPER, LOST = (40, 44, 52), (255, 255, 255), (60, 62, 68)
Pixels = npt.NDArray[Any]


def draw(demo: Path) -> Image.Image:
    """The whole strip of the demo in the folder `demo`."""
    task = open_dataset(demo / "data").task
    flights = {label: ticks_of(demo / f"flight-{name}") for label, name in NETWORKS.items()}
    columns = [column(demo, task, flights, moment_s) for moment_s in MOMENTS_S]
    rows = list(columns[0])
    foot = TOP + len(rows) * (CELL + GAP)
    sheet = Image.new("RGB", (LEFT + len(columns) * (CELL + GAP), foot + TOP), PAPER)
    brush, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (name, colour) in enumerate(zip(task.classes, task.colours, strict=True)):
        left = LEFT + index * (CELL + GAP)
        brush.rectangle((left, foot + 7, left + 13, foot + 20), colour)
        brush.text((left + 20, foot + 5), name, INK, font)
    for y, name in enumerate(rows):
        brush.text((4, TOP + y * (CELL + GAP) + CELL // 2 - 8), name, INK, font)
    for x, (moment_s, cells) in enumerate(zip(MOMENTS_S, columns, strict=True)):
        left = LEFT + x * (CELL + GAP)
        brush.text((left, 6), f"{moment_s} s", INK, font)
        for y, picture in enumerate(cells.values()):
            place = (left, TOP + y * (CELL + GAP))
            if picture is None:
                brush.rectangle((*place, place[0] + CELL - 1, place[1] + CELL - 1), LOST)
                brush.text((place[0] + CELL // 2 - 26, place[1] + CELL // 2 - 8), "no frame", PAPER, font)
            else:
                sheet.paste(Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.NEAREST), place)
    return sheet


def column(
    demo: Path, task: Task, flights: dict[str, list[dict[str, Any]]], moment_s: float
) -> dict[str, Pixels | None]:
    """Row name -> picture HxWx3 uint8 at one moment; None where the sensor gave no frame."""
    chosen = {
        label: min(ticks, key=lambda tick: abs(tick["time_ms"] - 1000 * moment_s)) for label, ticks in flights.items()
    }
    first, scene = next(iter(chosen.values())), demo / "data" / "flight"
    cells: dict[str, Pixels | None] = {}
    for sensor in task.sensors:
        told = first["sensors"][sensor.name]
        file = next(scene.glob(f"{sensor.name}.*"))
        taken_s = (first["time_ms"] - told["age_ms"]) / 1000 if told["used"] else 0.0
        cells[sensor.name] = visible(window(read_image(file), task, taken_s), sensor) if told["used"] else None
    for label, tick in chosen.items():
        mask = read_indices(demo / f"flight-{NETWORKS[label]}" / "masks" / f"{tick['tick']:08d}.png")
        cells[label] = in_colours(mask, task)
    cells["truth"] = in_colours(window(read_indices(scene / "gt.png"), task, first["time_ms"] / 1000), task)
    return cells


def window(scene: Pixels, task: Task, time_s: float) -> Pixels:
    """What lies under the aircraft at `time_s`: a part of `scene`, as large as the grid."""
    extent = (scene.shape[0], scene.shape[1])
    row, place = corner(time_s, FlightOptions.speed_px_s, extent, task.grid)
    return scene[row : row + task.grid[0], place : place + task.grid[1]]


def ticks_of(flight: Path) -> list[dict[str, Any]]:
    """The rows of a flight's telemetry."""
    return [json.loads(line) for line in (flight / "telemetry.jsonl").read_text("utf-8").splitlines()]


if __name__ == "__main__":
    data = io.BytesIO()
    draw(Path(sys.argv[1])).quantize(128).save(data, "PNG", optimize=True)
    write_bytes(Path(__file__).with_name("flight.png"), data.getvalue())
