"""How long a run will take: from finished runs of its row on this machine, else from a probe of three steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reproduce.making import progress_of
from benchmarks.reproduce.places import Places, ready
from benchmarks.reproduce.plan import Plan, Row, Run
from benchmarks.reproduce.records import Record
from dis2_edge.errors import DataError
from dis2_edge.files import read_json, write_json
from dis2_edge.recipe import Recipe

if TYPE_CHECKING:
    from dis2_train.networks.seam import Network

PROBE_STEPS = 3
PROBE_S = 30.0
"""A probe takes no further step after that."""
PROBES = "probes.json"


@dataclass(frozen=True)
class Estimate:
    """How long a whole run takes."""

    seconds: float
    """Of training, from the first step to the last."""
    how: str
    """What it was taken from."""


def estimate(
    run: Run, records: Iterable[Record], probes: Mapping[str, float], machine: str, threads: int
) -> Estimate | None:
    """The time of `run` on `machine`, from `records` of other seeds of it; None where none ran there, nor a probe."""
    alike = [
        record.origin
        for record in records
        if (record.origin.trained_on, record.origin.threads) == (machine, threads) and record.origin.seconds > 0
    ]
    if alike:
        seconds = sum(origin.seconds for origin in alike) / len(alike)
        return Estimate(seconds, f"{len(alike)} finished seed{'s' if len(alike) > 1 else ''}")
    probed = probes.get(probe_key(run.row, machine, threads))
    return None if probed is None else Estimate(probed, f"a probe of {PROBE_STEPS} steps")


def left_s(whole: Estimate | None, folder: Path, steps: int = 0) -> float | None:
    """Seconds left of the run in `folder`: by its own pace once it has one, else the whole estimate."""
    done, seconds = progress_of(folder)
    if done and steps:
        return max(0.0, (steps - done) * seconds / done)
    return None if whole is None else max(0.0, whole.seconds - seconds)


def duration(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def steps_of(recipe: Recipe, images: int) -> int:
    """Steps of a whole training on `images` training images."""
    return max(1, images * recipe.crops_per_image // recipe.batch) * recipe.epochs


def read_probes(places: Places) -> dict[str, float]:
    """What was probed so far, by `probe_key`; nothing where the file is absent or damaged."""
    with contextlib.suppress(DataError, ValueError, TypeError, AttributeError):
        return {str(key): float(value) for key, value in read_json(places.runs / PROBES, DataError).items()}
    return {}


def probe_key(row: Row, machine: str, threads: int) -> str:
    """Names a probe: the recipe with its changes, and what it was probed on."""
    return " ".join([row.data, row.recipe, *row.set, "on", machine, f"threads={threads}"])


def probe(plan: Plan, run: Run, places: Places, *, threads: int, device: str, machine: str) -> float:
    """Take a few steps of `run` on drawn pixels, and tell and keep how many seconds all of it would take.

    Counted are the steps and the looks at the validation split; reading and cutting pictures is not. DataError where
    the data set is not there, as its pictures are counted.
    """
    import torch

    from dis2_train import networks
    from dis2_train.device import choose_device

    recipe = run.row.resolved(run.seed, threads)
    data = ready(places, run.row.data, plan.data[run.row.data])
    data = data.narrowed(recipe.sensors or data.task.sensor_names, recipe.grid)
    place = choose_device(device)
    if threads:
        torch.set_num_threads(threads)
    network = networks.build(recipe, data.task).to(place)
    if lesson := network.taught_by():
        network.learn_from(networks.build(lesson, data.narrowed(lesson.sensors, recipe.grid).task))
    step_s, image_s = _step_s(network, recipe, place), _image_s(network, place)
    looks = len(data.ids("val")) * (recipe.epochs // recipe.evaluate_every) if "val" in data.splits else 0
    whole_s = step_s * steps_of(recipe, len(data.ids("train"))) + image_s * looks
    write_json(places.runs / PROBES, {**read_probes(places), probe_key(run.row, machine, threads): round(whole_s, 1)})
    return whole_s


def _step_s(network: Network, recipe: Recipe, place: Any) -> float:
    """Seconds of a step, averaged over the training scenarios by their share; the first step is not timed."""
    import torch

    size = (recipe.crop, recipe.crop) if recipe.crop else network.task.grid
    frames = {s.name: torch.randn(recipe.batch, s.channels, *size, device=place) for s in network.task.sensors}
    target = torch.randint(len(network.task.classes), (recipe.batch, *size), device=place)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    scenarios = network.training_scenarios
    turns = [scenarios[turn % len(scenarios)] for turn in range(max(PROBE_STEPS, len(scenarios)))]
    network.train()
    taken: dict[str, list[float]] = {}
    begun = time.monotonic()
    for number, scenario in enumerate([turns[0], *turns]):
        started = time.monotonic()
        optimizer.zero_grad(set_to_none=True)
        sum(network.losses(frames, target, scenario, 0.5).values(), torch.zeros((), device=place)).backward()
        optimizer.step()
        _settle(place)
        if number:
            taken.setdefault(scenario, []).append(time.monotonic() - started)
        if taken and time.monotonic() - begun > PROBE_S:
            break
    shares = dict(zip(scenarios, recipe.scenario_share or (1.0,) * len(scenarios), strict=True))
    weight = sum(shares[name] for name in taken) or 1.0
    return sum(shares[name] * sum(times) / len(times) for name, times in taken.items()) / weight


def _image_s(network: Network, place: Any) -> float:
    """Seconds of one image in all scenarios, as validation has it."""
    import torch

    task = network.task
    frames = {s.name: torch.randn(1, s.channels, *task.grid, device=place) for s in task.sensors}
    network.eval()
    started = time.monotonic()
    with torch.no_grad():
        for scenario in task.scenarios:
            network(frames, scenario)
    _settle(place)
    return time.monotonic() - started


def _settle(place: Any) -> None:
    """Wait for a GPU to have done what it was told."""
    import torch

    if place.type == "cuda":
        torch.cuda.synchronize()
