"""A run judged by one engine after the other: masks of the same images, and the latency of one frame in each.

Latency stands here and not in `profile`, since what is compiled is a checkpoint: a bundle holds ONNX files only, and
what opens bundles knows no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dis2_edge.errors import UserError
from dis2_edge.report.plots import ms
from dis2_edge.scenario import scenario_of, sensors_of
from dis2_edge.scores import scores
from dis2_edge.settings import nearest
from dis2_edge.terminal import progress, say, table
from dis2_edge.timing import Latency, Machine, describe_machine, measure
from dis2_train.judging.evaluation import Evaluation
from dis2_train.judging.source import Judge, holds_precisions

if TYPE_CHECKING:
    import torch

    from dis2_train.segmenters.run import RunSegmenter

TORCH = "torch"
HALF = {"torch-tensorrt": False, "torch-tensorrt-fp16": True}
"""Engines of torch-tensorrt, and whether they compute in FP16."""
ENGINES = (TORCH, *HALF)
WARM_UP = 20
"""Calls before timing starts."""
CALLS = 200
"""Calls that are timed."""
TIMED = "one frame, batch 1: normalised tensors on the device in, logits on the device out, waited for"
"""What a latency is of."""


@dataclass(frozen=True)
class Judged:
    """What one engine made of a run."""

    engine: str
    """One of ENGINES."""
    evaluation: Evaluation
    """Its counts on the split."""
    latencies: dict[str, Latency]
    """Scenario -> time of one frame, as TIMED says."""
    parts: dict[str, dict[str, int]]
    """Scenario -> TensorRT engines, and operations left to torch; empty for torch."""
    device: str
    """What it ran on."""
    cuda: str
    """Version of CUDA that torch was built for; empty where for none."""
    machine: Machine
    """The computer and the versions of packages."""


def engines_of(words: Sequence[str]) -> tuple[str, ...]:
    """The engines that `--engine` names, each once: torch where it names none; an unknown one is a UserError."""
    asked = [name.strip() for word in words for name in word.split(",")]
    for name in asked:
        if name not in ENGINES:
            expected = f"one or more of {', '.join(ENGINES)}"
            raise UserError(f"no engine is called {name!r}", expected=expected, mend=nearest(name, ENGINES))
    return tuple(dict.fromkeys(asked)) or (TORCH,)


def check_engines(engines: Sequence[str], model: Path, device: str) -> None:
    """Refuse what cannot be compiled or run here, before any data are read: UserError, or MissingExtraError."""
    if not HALF.keys() & set(engines):
        return
    if model.exists() and (model.is_file() or holds_precisions(model)):
        found = f"--engine torch-tensorrt: {model} holds ONNX files, and torch-tensorrt compiles networks of torch"
        raise UserError(found, expected="a run, as dis2-edge train writes it")
    if device == "cpu":
        mend = "leave out --device, or leave out --engine torch-tensorrt"
        raise UserError("--engine torch-tensorrt with --device cpu", expected="an NVIDIA GPU", mend=mend)
    from dis2_train.segmenters.tensorrt import gpu, library

    gpu()
    library()


def judge_engines(judge: Judge, model: Path, engines: Sequence[str]) -> list[Judged]:
    """Open, judge and time the run at `model` by each of `engines`; EngineError names the scenario that failed."""
    opened = [(engine, _open(model, engine, judge.device)) for engine in engines]
    return [_judged(judge, model, engine, segmenter) for engine, segmenter in opened]


def record(found: Judged) -> dict[str, Any]:
    """What an evaluation's file tells of its engine."""
    return {
        "name": found.engine,
        "precision": found.evaluation.precision,
        "device": found.device,
        "cuda": found.cuda,
        "machine": dataclasses.asdict(found.machine),
        "timed": TIMED,
        "scenarios": {
            name: {**dataclasses.asdict(latency), **found.parts.get(name, {})}
            for name, latency in found.latencies.items()
        },
    }


def print_latencies(judged: Sequence[Judged]) -> None:
    """A line a scenario and engine: mIoU, times, how much faster than the first engine, what TensorRT took."""
    first, lines = judged[0], []
    for scenario in first.latencies:
        for turn, found in enumerate(judged):
            latency = found.latencies[scenario]
            times = [ms(value) for value in (latency.median_ms, latency.p95_ms, latency.p99_ms)]
            faster = f"{first.latencies[scenario].median_ms / latency.median_ms:.2f}x"
            miou = f"{100 * scores(found.evaluation.counts[scenario].sum(0)).miou:.1f}"
            names = [scenario if not turn else "", found.engine, found.evaluation.precision]
            lines.append([*names, miou, *times, faster if turn else "–", _told(found.parts.get(scenario))])
    say("")
    times = ["ms median", "ms p95", "ms p99"]
    columns = ["scenario", "engine", "precision", "mIoU (%)", *times, "speed-up", "TensorRT"]
    table(f"time of a frame of {'x'.join(map(str, first.evaluation.grid))} on {first.device}", columns, lines)
    packages = [f"{name} {version}" for name, version in first.machine.packages.items()]
    say(f"{TIMED}.")
    say(f"{CALLS} calls after {WARM_UP} of warm-up; {first.machine.cpu}, {first.machine.os}.")
    say(f"{', '.join([*packages, f'CUDA {first.cuda}' if first.cuda else 'no CUDA'])}.")


def waited(module: Callable[..., object], inputs: Sequence[object], device: torch.device) -> Callable[[], object]:
    """A call of `module` that ends when its answer is there: a GPU works on after the call itself returned."""
    import torch

    @torch.inference_mode()
    def call() -> None:
        module(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return call


def _open(model: Path, engine: str, device: str) -> RunSegmenter:
    from dis2_train.segmenters.compiled import CompiledSegmenter
    from dis2_train.segmenters.run import RunSegmenter

    return CompiledSegmenter(model, half=HALF[engine]) if engine in HALF else RunSegmenter(model, device=device)


def _judged(judge: Judge, model: Path, engine: str, segmenter: RunSegmenter) -> Judged:
    import torch

    from dis2_train.segmenters.tensorrt import PACKAGES

    evaluation, machine, device = judge.of(segmenter, model), describe_machine(PACKAGES), segmenter.device
    order = judge.data.task.sensor_names
    names = {scenario: scenario_of(sensors_of(scenario), order) for scenario in segmenter.scenarios}
    return Judged(
        engine=engine,
        evaluation=evaluation,
        latencies={
            names[scenario]: measure(waited(*segmenter.flying(scenario), device), CALLS, WARM_UP)
            for scenario in progress(segmenter.scenarios, f"time {segmenter.label}", len(segmenter.scenarios))
        },
        parts={name: found for scenario, name in names.items() if (found := segmenter.parts(scenario))},
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else machine.cpu,
        cuda=torch.version.cuda or "",
        machine=machine,
    )


def _told(parts: dict[str, int] | None) -> str:
    """How much of a scenario TensorRT took."""
    if not parts:
        return "–"
    engines = f"{parts['engines']} engine{'s' if parts['engines'] != 1 else ''}"
    return f"{engines}, {parts['torch_operations']} ops in torch" if parts["torch_operations"] else engines
