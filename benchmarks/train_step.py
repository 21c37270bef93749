"""One training step of the released formulation against ours: seconds and peak memory at equal batch, size, precision.

    python -m benchmarks.train_step [--size 256] [--batch 2] [--precision fp32] [--device cpu] [--rounds 3]

Contestants take turns step by step, so that a machine that drifts drifts for all; each one's memory is measured in a
process of its own. The released formulation computes one class after the other by the released operators, spreads the
labels anew for every loss term, and reads each term back; `paper` is the same function as we train it; `drawn` is the
default preset at equal work: the full scenario and one of one sensor, encoders shared, with distillation. `default` is
what a recipe gets that says nothing: all three scenarios in each step, with nothing shared and no distillation.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.released import with_released_operators
from dis2_edge.errors import RecipeError
from dis2_edge.files import write_json
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress, say, table
from dis2_edge.timing import Latency, describe_machine, summarise, time_ms, usable_cores
from dis2_train import networks
from dis2_train.fitting.schedule import optimizer_for
from dis2_train.networks.paper import PaperDis2
from dis2_train.networks.seam import Network

CONTESTANTS = ("released", "paper", "drawn", "default")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COLUMNS = (
    "contestant",
    "median s",
    "released / this",
    "CPU s",
    "released / this",
    "n",
    "peak MB",
    "this / released",
)
LEAST_RATIO, MOST_MEMORY = 2.0, 0.6
"""What the default preset is to reach at equal work: time of the released formulation over ours, our peak over its."""
WARM_UP = 2
"""Rounds that are not timed: one of each scenario."""
_PROGRESS = 0.5
"""Share of training that has passed: distillation is on."""


@dataclass(frozen=True)
class Setting:
    """What all contestants have in common."""

    size: int = 256
    """Side of the images in pixels."""
    batch: int = 2
    """Images a step."""
    classes: int = 5
    """Classes; the released loop runs once for each."""
    precision: str = "fp32"
    """Autocast of forward and losses."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 1
    """Torch threads."""

    @property
    def task(self) -> Task:
        """The released task: three colours and a height."""
        rgb = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)
        ndsm = Sensor("ndsm", "height", 1, "float32", "metres", -10, 200)
        names = tuple(f"class_{index}" for index in range(self.classes))
        return Task((rgb, ndsm), names, ("#808080",) * self.classes, (self.size, self.size))


@dataclass(frozen=True)
class Figure:
    """One contestant."""

    contestant: str
    """released, paper, drawn or default."""
    step: Latency
    """Time of one step."""
    ratio: float
    """Median of the released formulation over this one's."""
    cpu_s: float
    """Median seconds of processor time of a step, all threads together: other work on the machine counts less in it."""
    cpu_ratio: float
    """Processor time of the released formulation over this one's."""
    peak_mb: float
    """Most memory in use during three steps, less what was in use before the first, in 10^6 bytes."""
    memory_share: float
    """This contestant's peak over the released formulation's."""


class Step:
    """One contestant, ready to take steps on one batch of noise."""

    def __init__(self, contestant: str, setting: Setting) -> None:
        torch.set_num_threads(setting.threads)
        self.setting, self.read_back = setting, contestant == "released"
        self.network, self.optimizer = _contestant(contestant, setting)
        generator = torch.Generator().manual_seed(0)
        shape = (setting.batch, setting.size, setting.size)
        frames = {
            s.name: torch.randn(setting.batch, s.channels, *shape[1:], generator=generator)
            for s in setting.task.sensors
        }
        self.frames = {name: frame.to(setting.device) for name, frame in frames.items()}
        self.target = torch.randint(0, setting.classes, shape, generator=generator).to(setting.device)

    def __call__(self, turn: int) -> dict[str, Tensor]:
        """One whole step in the scenario of this turn; returns the loss terms."""
        scenarios, precision = self.network.training_scenarios, PRECISIONS[self.setting.precision]
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.setting.device, precision, enabled=precision != torch.float32):
            terms = self.network.losses(self.frames, self.target, scenarios[turn % len(scenarios)], _PROGRESS)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        self.optimizer.step()
        if self.read_back:
            [term.item() for term in terms.values()]
        if self.setting.device == "cuda":
            torch.cuda.synchronize()
        return terms


def compare(setting: Setting, rounds: int) -> list[Figure]:
    """Time and weigh every contestant."""
    memory = {name: peak_apart(name, setting) for name in progress(CONTESTANTS, "peak memory, a process each")}
    taken = take_turns({name: Step(name, setting) for name in CONTESTANTS}, rounds)
    first = CONTESTANTS[0]
    return [
        Figure(
            contestant=name,
            step=latency,
            ratio=taken[first][0].median_ms / latency.median_ms,
            cpu_s=cpu_s,
            cpu_ratio=taken[first][1] / cpu_s,
            peak_mb=memory[name] / 1e6,
            memory_share=memory[name] / memory[first],
        )
        for name, (latency, cpu_s) in taken.items()
    ]


def take_turns(steps: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, tuple[Latency, float]]:
    """Time each of `steps` once a round: its latency, and its median seconds of processor time.

    The first two rounds, one of each scenario, are not counted.
    """
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in progress(range(WARM_UP + rounds), "steps in turn"):
        for name, step in steps.items():
            begun = time.process_time()
            took_ms = time_ms(partial(step, turn))
            if turn >= WARM_UP:
                samples[name].append((took_ms, time.process_time() - begun))
    return {
        name: (summarise([ms for ms, _ in taken], WARM_UP), statistics.median(cpu_s for _, cpu_s in taken))
        for name, taken in samples.items()
    }


def peak_apart(contestant: str, setting: Setting) -> float:
    """Bytes that three steps of `contestant` need at their most, measured in a fresh process."""
    call = [sys.executable, "-m", "benchmarks.train_step", "--peak", contestant]
    words = [word for key, value in asdict(setting).items() for word in (f"--{key}", str(value))]
    done = subprocess.run([*call, *words], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def peak(contestant: str, setting: Setting) -> float:
    """Bytes that three steps of `contestant` need at their most beyond what was in use before the first."""
    step = Step(contestant, setting)
    if setting.device == "cuda":
        before = float(torch.cuda.memory_allocated())
        torch.cuda.reset_peak_memory_stats()
    else:
        before = _most_so_far()
    for turn in range(3):
        step(turn)
    return (float(torch.cuda.max_memory_allocated()) if setting.device == "cuda" else _most_so_far()) - before


def _most_so_far() -> float:
    """The most bytes of memory that this process has held.

    Linux hands a parent's `ru_maxrss` on to its children, so that its own count of this address space is read instead.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(row for row in status.read_text("utf-8").splitlines() if row.startswith("VmHWM:"))
        return 1024.0 * int(line.split()[1])
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _contestant(name: str, setting: Setting) -> tuple[Network, torch.optim.Optimizer]:
    """A network in training mode and the optimiser that it is trained by."""
    ours = {
        "drawn": Recipe(shared="encoders", every_scenario=False, distill_weight=1.0, distill_features=1.0),
        "default": Recipe(),
    }
    recipe = ours.get(name) or Recipe(preset="paper")
    network = networks.build(recipe, setting.task)
    if name == "released":
        assert isinstance(network, PaperDis2)
        network = with_released_operators(network, setting.batch).to(setting.device).train()
        return network, torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True)
    if setting.device == "cpu":  # as the loop does
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = network.to(setting.device).train()
    return network, optimizer_for(network, recipe)


def show(figures: Sequence[Figure], setting: Setting) -> None:
    """Print the table, what it was measured on, and whether the targets are met."""
    title = (
        f"one training step: {setting.batch} images of {setting.size}x{setting.size}, {setting.classes} classes, "
        f"{setting.precision}, {setting.device}, {setting.threads} threads, width 1.0, contestants in turn"
    )
    rows = [
        (
            figure.contestant,
            f"{figure.step.median_ms / 1e3:.3f}",
            f"{figure.ratio:.2f}",
            f"{figure.cpu_s:.3f}",
            f"{figure.cpu_ratio:.2f}",
            figure.step.n,
            f"{figure.peak_mb:.0f}",
            f"{figure.memory_share:.2f}",
        )
        for figure in figures
    ]
    table(title, COLUMNS, rows)
    ours = next(figure for figure in figures if figure.contestant == "drawn")
    for what, met in (
        (f"time: at least {LEAST_RATIO:g} times as fast", ours.ratio >= LEAST_RATIO),
        (f"peak memory: at most {MOST_MEMORY:g} of it", ours.memory_share <= MOST_MEMORY),
    ):
        say(f"default preset at equal work (drawn) against released, {what}: {'met' if met else 'missed'}")
    machine = describe_machine(("torch",))
    chip = f", {torch.cuda.get_device_name()}" if setting.device == "cuda" else ""
    say(f"{machine.cpu}, {machine.cores} cores{chip}, {machine.os}, torch {machine.packages['torch']}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, print it and, on request, write it; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    setting = Setting(args.size, args.batch, args.classes, args.precision, args.device, args.threads)
    try:
        if setting.device == "cuda" and not torch.cuda.is_available():
            raise RecipeError("torch finds no CUDA device here", mend="use --device cpu")
        if args.peak:
            print(json.dumps(peak(args.peak, setting)))
            return 0
        figures = compare(setting, args.rounds)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(figures, setting)
    if args.out:
        machine = asdict(describe_machine(("torch",)))
        write_json(args.out, {"machine": machine, "setting": asdict(setting), "figures": [asdict(f) for f in figures]})
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=2, help="images a step")
    parser.add_argument("--classes", type=int, default=5, help="number of classes")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32", help="autocast of the step")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the steps are taken")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of every contestant")
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each contestant")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--peak", choices=CONTESTANTS, help="only measure this contestant's memory, in this process")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
