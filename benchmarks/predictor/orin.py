"""Hold predictions against the five published latencies of a Jetson AGX Orin, each by a fit to the other four.

Five networks of one family cannot tell compute, memory and launches apart: shares of the compute peak from 0.55 to 0.8
meet them equally well. So share and overhead are set, and two figures are fitted: the share of the bandwidth and what a
call costs beside the layers, since the published latencies include transfers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.predictor.efficientvit import PUBLISHED, Encoder
from benchmarks.predictor.fitting import BANDWIDTH, CALL, Fitted, Sample, leave_out
from benchmarks.predictor.host import attained_of
from benchmarks.predictor.records import summary
from dis2_boards.figures import Roofline
from dis2_boards.profile import load
from dis2_edge.terminal import say, table

BOARD = "agx-orin-64gb"
"""The board that the model card means, by its name; the power mode is not told, taken as the fastest."""
FREE = (BANDWIDTH, CALL)
"""What is fitted."""


def samples() -> list[Sample]:
    """The five encoders as files that were measured."""
    return [Sample(model.name, Encoder(model).written(), model.ms) for model in PUBLISHED]


def roofline() -> Roofline:
    """The board's."""
    found = load(BOARD).roofline
    assert found is not None
    return found


def left_out(measured: Sequence[Sample]) -> list[float]:
    """Predicted over published of each encoder, by a roofline fitted to the others."""
    board = roofline()
    return leave_out(measured, attained_of(board), FREE, {BANDWIDTH: board.bandwidth.value})


def run(args: argparse.Namespace) -> int:
    """Fit, leave each out, print."""
    measured, board = samples(), roofline()
    start = attained_of(board)
    best = Fitted(measured).fit(start, FREE, {BANDWIDTH: board.bandwidth.value})
    say(f"fitted: share of bandwidth {best[BANDWIDTH] / board.bandwidth.value:.3f}, call {best[CALL]:.2f} ms")
    predicted, left = Fitted(measured).predicted_ms(start), left_out(measured)
    rows = [
        (sample.name, f"{sample.ms:.1f}", f"{ms:.1f}", f"{ms / sample.ms:.2f}", f"{ratio:.2f}")
        for sample, ms, ratio in zip(measured, predicted, left, strict=True)
    ]
    columns = ("encoder", "published ms", "predicted ms", "predicted / published", "left out of the fit")
    table(f"{BOARD}: five published latencies", columns, rows)
    say(f"left out in turn: {summary(left)}")
    return 0
