"""Measure our networks on a GPU: half precision under torch, batch 1, one CUDA graph a network, warm caches.

It wants torch with CUDA, NumPy and this repository, nothing else, so that a bare machine with a card can run it:

    python -m benchmarks.predictor.gpu_measuring FILE [--compile] [--limit SECONDS]

FILE is written after each network: {"machine": {"gpu", "torch", "cuda"}, "how": "...", "ms": {NAME: median},
"calls_ms": {NAME: [fastest, 90th percentile]}, "failed": {NAME: why}}. NAME is that of a case of `cases.gpu_cases`. A
time is between two CUDA events around one replay of the graph, from normalised NCHW tensors on the card to logits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.predictor.cases import Case, gpu_cases, recipe_of, task_of
from dis2_edge.files import write_json
from dis2_edge.terminal import progress, say
from dis2_train import networks

WARM_UP, CALLS = 20, 200


def measure(file: Path, device: str, compiled: bool, limit_s: float) -> dict[str, Any]:
    """Measure every case until `limit_s` is over; what cannot be measured costs no other."""
    found: dict[str, Any] = {"machine": _machine(device), "how": _how(device, compiled)}
    found |= {"ms": {}, "calls_ms": {}, "failed": {}}
    ends = time.monotonic() + limit_s
    for case in progress(list(gpu_cases()), "measure"):
        if time.monotonic() > ends:
            found["failed"][case.name] = "no time was left"
            continue
        try:
            taken = _times(_replayed(case, device, compiled), device)
            found["ms"][case.name] = float(np.median(taken))
            found["calls_ms"][case.name] = [float(np.min(taken)), float(np.percentile(taken, 90))]
        except Exception as error:
            found["failed"][case.name] = f"{type(error).__name__}: {error}".split("\n")[0]
        write_json(file, found)
    return found


def _replayed(case: Case, device: str, compiled: bool) -> Callable[[], object]:
    """A call that runs the network of `case` once: a replay of its CUDA graph, on a processor the network itself."""
    task = task_of(case)
    network: Any = networks.build(recipe_of(case), task).eval().deployable(case.scenario)
    real = torch.float16 if device == "cuda" else torch.float32
    network = network.to(device, real)
    frames = [torch.randn(1, each.channels, *task.grid, device=device, dtype=real) for each in task.used(case.scenario)]
    if compiled:
        network = torch.compile(network)
    with torch.inference_mode():
        for _ in range(3):
            network(*frames)
    if device != "cuda":
        return torch.inference_mode()(lambda: network(*frames))
    return _captured(network, frames)


def _captured(network: Any, frames: list[torch.Tensor]) -> Callable[[], object]:
    side = torch.cuda.Stream()
    with torch.inference_mode(), torch.cuda.stream(side):
        for _ in range(3):
            network(*frames)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        kept = network(*frames)
    return lambda: (graph.replay(), kept)


def _times(call: Callable[[], object], device: str) -> list[float]:
    """Milliseconds of each timed call."""
    for _ in range(WARM_UP):
        call()
    return [_on_card(call) if device == "cuda" else _on_processor(call) for _ in range(CALLS)]


def _on_card(call: Callable[[], object]) -> float:
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    before.record()
    call()
    after.record()
    after.synchronize()
    return before.elapsed_time(after)


def _on_processor(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def _machine(device: str) -> dict[str, str]:
    card = torch.cuda.get_device_name() if device == "cuda" else "processor"
    return {"gpu": card, "torch": torch.__version__, "cuda": torch.version.cuda or ""}


def _how(device: str, compiled: bool) -> str:
    way = "torch.compile" if compiled else "eager"
    graph = "CUDA graph, FP16" if device == "cuda" else "FP32"
    return f"{way}, {graph}, batch 1, warm caches, median of {CALLS} calls after {WARM_UP}"


def main() -> int:
    """Measure and say where the figures are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, help="where the figures go")
    parser.add_argument("--compile", action="store_true", help="let torch.compile fuse each network first")
    parser.add_argument("--limit", type=float, default=480.0, help="seconds after which no further network is started")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses, and measures nothing")
    args = parser.parse_args()
    found = measure(args.file, args.device, args.compile, args.limit)
    say(f"{len(found['ms'])} measured, {len(found['failed'])} not: {args.file}")
    return 0 if found["ms"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
