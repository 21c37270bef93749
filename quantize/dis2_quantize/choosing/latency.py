"""How long mixtures of integer and float blocks take: measured on this computer, or predicted for a board.

A mixture is timed as the file that it becomes, so what its borders cost in conversions and changes of layout is in the
figure.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost
from dis2_edge.terminal import progress
from dis2_quantize.choosing.interval import Interval, exactly, interval
from dis2_quantize.choosing.keep import Kept
from dis2_runtime.engines.onnx_runtime import open_model

HOST = "host"
"""The board that is this computer."""
ROUNDS = 20
"""Timed calls of each file."""
WARM_UP = 2
"""Rounds before them that are not timed."""

Frames = Mapping[str, npt.NDArray[Any]]


class Clock(Protocol):
    """Says how long files take; the first file is the one that the others are compared with."""

    def __call__(self, files: Mapping[Kept, Path], label: str) -> dict[Kept, Interval]:
        """Milliseconds of each file; `label` stands at the progress bar."""


def clock_of(board: Board, frames: Frames) -> Clock:
    """Measures on `host`, calling files on `frames` (HxWxC, raw, by sensor); predicts for every other board."""
    return partial(measured, frames=frames) if board.name == HOST else partial(predicted, board=board)


def clock_told(board: Board) -> str:
    """What the milliseconds of `clock_of` are, in words."""
    if board.name == HOST:
        return f"time of one core under ONNX Runtime, files in turns, median of {ROUNDS} calls after {WARM_UP}"
    return f"predicted by the roofline of {board.name}, floats as FP16"


def measured(files: Mapping[Kept, Path], label: str, *, frames: Frames) -> dict[Kept, Interval]:
    """Milliseconds of one core that each file takes, called in turns, so that a machine that drifts drifts for all.

    One thread, and the processor's time of that thread: what else the machine does meanwhile would drown a block's
    share of a clock on the wall. The first file's figure is the median of its calls. Any other's is that plus the
    median, over rounds, of what it took more than the first in the same round; the interval is the difference's.
    """
    models = {kept: open_model(file, 1) for kept, file in files.items()}
    samples: dict[Kept, list[float]] = {kept: [] for kept in files}
    for turn in progress(range(WARM_UP + ROUNDS), label):
        for kept, model in models.items():
            start = time.thread_time_ns()
            model.run(frames)
            if turn >= WARM_UP:
                samples[kept].append((time.thread_time_ns() - start) / 1e6)
    return compared(samples)


def compared(samples: Mapping[Kept, list[float]]) -> dict[Kept, Interval]:
    """The figures of `measured`, from every file's calls in milliseconds, in the order of rounds."""
    first = next(iter(samples))
    base = np.asarray(samples[first])
    base_ms = float(np.median(base))
    found = {
        kept: interval((np.asarray(taken) - base).tolist(), np.median).moved(base_ms) for kept, taken in samples.items()
    }
    return {**found, first: interval(samples[first], np.median)}


def predicted(files: Mapping[Kept, Path], label: str, *, board: Board) -> dict[Kept, Interval]:
    """Milliseconds of each file on `board` by its roofline; what is a float in the file is FP16 there."""
    from dis2_boards.prediction.roofline import predict_ms
    from dis2_quantize.costs import layer_costs

    return {
        kept: exactly(predict_ms([as_half(layer) for layer in layer_costs(onnx.load(file))], board).ms)
        for kept, file in progress(files.items(), label, len(files))
    }


def as_half(layer: LayerCost) -> LayerCost:
    """An FP32 layer as the FP16 one that a board runs: half of the bytes; others as they are."""
    return dataclasses.replace(layer, format="fp16", bytes=layer.bytes // 2) if layer.format == "fp32" else layer
