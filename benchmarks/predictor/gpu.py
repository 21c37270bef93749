"""Hold predictions against what `gpu_measuring` took on a card, each family of networks by a fit to the others."""

from __future__ import annotations

import argparse

from benchmarks.predictor.cases import gpu_cases
from benchmarks.predictor.files import written
from benchmarks.predictor.fitting import BANDWIDTH, OVERHEAD, Fitted, Sample, leave_out
from benchmarks.predictor.host import attained_of
from benchmarks.predictor.records import HERE, Record, Row, keep, show
from dis2_boards.profile import load
from dis2_edge.errors import BoardError, DataError
from dis2_edge.files import read_json
from dis2_edge.terminal import progress, say

BOARD = "workstation-cuda"
"""The board whose roofline predicts."""
FREE = ("fp16", BANDWIDTH, OVERHEAD)
"""What is fitted."""


def run(args: argparse.Namespace) -> int:
    """Fit to all, leave each family out, print, and keep what was asked for."""
    table = read_json(args.measured, DataError)
    roofline = load(BOARD).roofline
    if roofline is None or not isinstance(table, dict) or not table.get("ms"):
        raise BoardError(f"{args.measured} holds no times", mend="python -m benchmarks.predictor.gpu_measuring FILE")
    chosen = [case for case in gpu_cases() if case.name in table["ms"]]
    samples = [
        Sample(case.name, written(case, args.files)[1], float(table["ms"][case.name]), case.network)
        for case in progress(chosen, "write files")
    ]
    start = attained_of(roofline)
    most = {"fp16": roofline.peaks["fp16"].value, BANDWIDTH: roofline.bandwidth.value}
    best = Fitted(samples).fit(start, FREE, most)
    left = leave_out(samples, start, FREE, most, key=lambda sample: sample.family)
    shares = {"fp16": best["fp16"] / most["fp16"], "bandwidth": best[BANDWIDTH] / most[BANDWIDTH]}
    say("fitted shares: " + ", ".join(f"{name} {share:.3f}" for name, share in shares.items()))
    say(f"fitted overhead: {best[OVERHEAD]:.2f} us")
    rows = tuple(
        Row(sample.name, True, round(sample.ms, 4), round(sample.ms * ratio, 4))
        for sample, ratio in zip(samples, left, strict=True)
    )
    attained = {name: round(best[name], 3) for name in FREE}
    command = "python -m benchmarks.predictor gpu MEASURED"
    record = Record(command, table["machine"], table["how"], attained, rows)
    show(record, f"{BOARD}: each family predicted by a fit to the others")
    if args.keep:
        keep(record, HERE / "gpu.json")
    return 0
