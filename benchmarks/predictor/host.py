"""Hold predictions against ONNX Runtime on this processor; on request choose the roofline's figures anew first."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

import numpy as np

from benchmarks.predictor.cases import Case, cases
from benchmarks.predictor.files import written
from benchmarks.predictor.fitting import BANDWIDTH, CALL, OVERHEAD, Attained, Fitted, Sample
from benchmarks.predictor.measuring import WARM_UP, measured
from benchmarks.predictor.records import HERE, Record, Row, keep, show
from dis2_boards import profile
from dis2_boards.figures import Roofline
from dis2_boards.profile import load
from dis2_edge.errors import BoardError, UserError
from dis2_edge.files import write_text
from dis2_edge.terminal import progress, say
from dis2_edge.timing import describe_machine

FREE = ("fp32", "int8", BANDWIDTH, OVERHEAD)
"""What a calibration chooses."""
MARGIN = 1.05
"""What a stated error has above the worst file that was judged: other files may be worse."""


def run(args: argparse.Namespace) -> int:
    """Measure, calibrate on request, judge, print, and keep what was asked for."""
    if args.clock == "thread" and args.threads != 1:
        raise UserError("the time of one thread says nothing of others", mend="take --threads 1, or --clock wall")
    board = load(args.board)
    if board.roofline is None:
        raise BoardError(f"{args.board} has no roofline to start from", mend="start from a copy of host.toml")
    chosen = [case for case in cases() if args.calibrate or case.judged]
    samples = _measure(chosen, args)
    attained: Attained = attained_of(board.roofline)
    if args.calibrate:
        seen = [sample for case, sample in zip(chosen, samples, strict=True) if not case.judged]
        attained = Fitted(seen).fit(attained, FREE)
        say("attained: " + ", ".join(f"{name} {value:.4g}" for name, value in attained.items()))
    predicted = Fitted(samples).predicted_ms(attained)
    pairs = zip(chosen, samples, predicted, strict=True)
    record = Record(
        command=f"python -m benchmarks.predictor host{' --calibrate' * args.calibrate}",
        machine=dataclasses.asdict(describe_machine(("numpy", "onnxruntime"))),
        how=_how(args),
        attained={name: round(attained[name], 4) for name in FREE},
        rows=tuple(Row(c.name, c.judged, round(s.ms, 4), round(float(ms), 4)) for c, s, ms in pairs),
    )
    show(record, f"{board.name}: predicted against measured")
    if args.keep:
        keep(record, HERE / "host.json")
    if args.write:
        write_text(args.write, calibrated(_file_of(args.board).read_text("utf-8"), record))
        say(f"written: {args.write}; use it with --board {args.write}")
    return 0


def attained_of(roofline: Roofline) -> dict[str, float]:
    """What layers attain by `roofline`."""
    found = {name: peak.value * roofline.efficiency[name].value for name, peak in roofline.peaks.items()}
    found[BANDWIDTH] = roofline.bandwidth.value * roofline.bandwidth_efficiency.value
    found |= {CALL: roofline.call.value} if roofline.call else {}
    return {**found, OVERHEAD: roofline.overhead.value}


def calibrated(text: str, record: Record) -> str:
    """The board file `text` with the figures and the error of `record` in place of its own."""
    source = f"{record.command}, {record.how}, on {record.machine['cpu']}"
    error = record.error * MARGIN
    values = {
        "roofline.peaks.int8": record.attained["int8"],
        "roofline.peaks.fp32": record.attained["fp32"],
        "roofline.bandwidth": record.attained[BANDWIDTH],
        "roofline.overhead": record.attained[OVERHEAD],
        "roofline.error": error,
    }
    for section, value in values.items():
        pattern = rf"(\[{re.escape(section)}\]\nvalue = )[^\n]*((?:\n[a-z]+ = [^\n]*)*?\nsource = )[^\n]*"
        found = re.search(pattern, text)
        if not found:
            raise BoardError(f"the board file has no [{section}]", mend="start from a copy of host.toml")
        stated = float(f"{value:.4g}")
        text = f'{text[: found.start()]}{found[1]}{stated}{found[2]}"{source}"{text[found.end() :]}'
    return text


def _measure(chosen: list[Case], args: argparse.Namespace) -> list[Sample]:
    made = [written(case, args.files) for case in progress(chosen, "write files")]
    times = measured([file for file, _ in made], args.rounds, args.threads, args.clock)
    kept = zip(chosen, made, times, strict=True)
    return [Sample(case.name, layers, float(np.median(taken)), case.network) for case, (_, layers), taken in kept]


def _file_of(board: str) -> Path:
    """The file of a board that was loaded: its path, or its name's file."""
    path = Path(board)
    return path if path.suffix == ".toml" else Path(profile.__file__).parent / f"{board}.toml"


def _how(args: argparse.Namespace) -> str:
    clock = "processor time of the thread" if args.clock == "thread" else "wall clock"
    return f"{args.threads} thread(s), {clock}, files in turns, median of {args.rounds} calls after {WARM_UP}"
