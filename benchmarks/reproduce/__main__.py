"""Make the table of comparisons: train what is missing, judge it, write the page.

    python -m benchmarks.reproduce [--only PATTERN] [--list] [--budget MINUTES] [--jobs N] [--test]
    python -m benchmarks.reproduce table
    python -m benchmarks.reproduce take RUN --row DATA/ROW

Killed at any moment it is simply called again: finished runs are skipped, begun ones are gone on with.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.reproduce import making, plan
from benchmarks.reproduce.driver import Options, Sitting, told_time
from benchmarks.reproduce.estimate import probe
from benchmarks.reproduce.places import Places, default_root, is_there, ready
from benchmarks.reproduce.plan import Run
from benchmarks.reproduce.processes import Launch, alone, launcher
from dis2_edge.errors import UserError
from dis2_edge.terminal import progress, say, table, warn
from dis2_edge.timing import usable_cores


def main(argv: Sequence[str] | None = None, launch: Launch | None = None) -> int:
    """Run the command line: 0 done, 1 a run failed, 2 the user can mend it, 3 runs lack time, data or a teacher.

    `launch` starts the process of a run; None takes the driver's own.
    """
    args = _arguments(argv)
    try:
        return _do(args, launch)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: call it again to go on", file=sys.stderr)
        return 130


def _do(args: argparse.Namespace, launch: Launch | None) -> int:
    places = Places(args.data_root, args.out, args.records, args.page)
    sitting = Sitting(plan.load(args.plan), places, Options(threads=args.threads, device=args.device, test=args.test))
    if args.verb == "table":
        return _table(sitting)
    if args.verb == "take":
        run = making.run_for(sitting.plan, args.row, args.run)
        making.take(sitting.plan, run, places, args.run, sitting.splits_of(run), args.trained_on)
        say(f"taken: {run.name}")
        return _table(sitting)
    machine = making.trained_on(args.device)
    if args.verb == "one":
        run = sitting.plan.find(args.run)
        splits = sitting.splits_of(run)
        return making.make(sitting.plan, run, places, threads=args.threads, device=args.device, splits=splits)
    if args.verb == "probe":
        run = sitting.plan.find(args.run)
        probe(sitting.plan, run, places, threads=args.threads, device=args.device, machine=machine)
        return 0
    chosen = replace(sitting.options, jobs=args.jobs or _jobs(args.threads), budget_s=60 * args.budget, machine=machine)
    return _run(replace(sitting, options=chosen), args, launch)


def _run(sitting: Sitting, args: argparse.Namespace, launch: Launch | None) -> int:
    """Make what is missing of the plan, or only list it."""
    runs = sitting.plan.runs(args.only)
    missing = sitting.waiting(runs)
    if args.list:
        return _list(sitting, runs, missing)
    able = _able(sitting, missing)
    with alone(sitting.places):
        sitting = replace(sitting, images=_training_images(sitting, able))
        if not args.no_probe:
            _probe(sitting, able, args)
        say(f"{len(runs) - len(missing)} of {len(runs)} runs are finished.")
        if able:
            say(f"To do: {sitting.summary(able)}.")
        own = launcher(sitting.places, sitting.options.jobs, args.threads, _handed_on(args))
        outcome = sitting.drive(able, launch or own)
    _table(sitting)
    if outcome.left:
        say(f"The time is up; {len(outcome.left)} runs are left. Call it again to go on.")
    return 1 if outcome.failed else 3 if outcome.left or outcome.untaught or len(able) < len(missing) else 0


def _table(sitting: Sitting) -> int:
    from benchmarks.reproduce.page import write_page

    for file in write_page(sitting.plan, sitting.places):
        say(f"written: {file}")
    return 0


def _list(sitting: Sitting, runs: Sequence[Run], missing: Sequence[Run]) -> int:
    able = _able(sitting, missing)
    untaught = sitting.untaught(missing, able)
    rows = []
    for run in runs:
        begun = making.progress_of(sitting.places.run(run))[0]
        cannot = "no data" if run not in able else "no teacher" if run in untaught else ""
        state = "finished" if run not in missing else cannot or ("begun" if begun else "to do")
        told = told_time(sitting.whole_of(run)) if run in missing else ""
        rows.append((run.name, run.row.group, state, told))
    table("the plan, in the order of making", ("run", "line of the table", "state", "time"), rows)
    for run in untaught:
        warn(f"{run.name} will not be started: {sitting.lesson_of(run)}")
    say(f"To do: {sitting.summary(missing)}.")
    return 0


def _able(sitting: Sitting, runs: Sequence[Run]) -> list[Run]:
    """Those of `runs` whose data can be had; a word about each data set that cannot."""
    data = {name: sitting.plan.data[name] for name in dict.fromkeys(run.row.data for run in runs)}
    lacking = [name for name, entry in data.items() if not is_there(sitting.places, name, entry)]
    for name in lacking:
        where = sitting.places.data(name, data[name])
        warn(f"the data set {name} is not at {where}; its runs are left out (--data-root names the folder above it)")
    return [run for run in runs if run.row.data not in lacking]


def _training_images(sitting: Sitting, runs: Sequence[Run]) -> dict[str, int]:
    """Training images of each data set of `runs`; one that is synthetic is made now, before processes need it."""
    names = dict.fromkeys(run.row.data for run in runs)
    return {name: len(ready(sitting.places, name, sitting.plan.data[name]).ids("train")) for name in names}


def _probe(sitting: Sitting, runs: Sequence[Run], args: argparse.Namespace) -> None:
    """Take three steps of every row that nothing is known of, each in a process of its own."""
    rows = {(run.row.data, run.row.name): run for run in runs}
    unknown = [run for run in rows.values() if sitting.whole_of(run) is None]
    start = launcher(sitting.places, 1, args.threads, _handed_on(args), verb="probe")
    for run in progress(unknown, "three steps of each row, to tell how long it takes") if unknown else ():
        child = start(run, 0)
        try:
            code = child.wait()
        finally:
            child.terminate()
        if code:
            warn(f"{run.name} could not be probed; its log is {sitting.places.log(run)}")


def _handed_on(args: argparse.Namespace) -> list[str]:
    """The words that a run's own process is told as well."""
    names = ("plan", "data_root", "out", "records", "page", "threads", "device")
    words = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
    return [*words, *(["--test"] if args.test else [])]


def _jobs(threads: int) -> int:
    """One at a time on a GPU, else as many as the cores carry."""
    return 1 if Path("/dev/nvidia0").exists() else max(1, usable_cores() // max(1, threads))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduce",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="example:\n  python -m benchmarks.reproduce --only ombria/single --budget 60",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _shared(parser)
    parser.add_argument("--only", default="", metavar="PATTERN", help="runs whose name holds it; * and ? match")
    parser.add_argument("--list", action="store_true", help="show the plan, what is finished, and the time left")
    parser.add_argument("--jobs", type=_above_zero, default=0, metavar="N", help="runs at once (default: the cores)")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="MINUTES", help="start no run after that")
    parser.add_argument("--no-probe", action="store_true", help="don't take three steps of each row to tell its time")
    parser.set_defaults(verb="run")
    verbs = parser.add_subparsers(dest="verb", metavar="table|take")
    _shared(verbs.add_parser("table", help="write tables, verdicts and figures from the records"))
    take = verbs.add_parser("take", help="take in a finished run that was made by other means")
    take.add_argument("run", type=Path, metavar="RUN", help="its folder")
    take.add_argument("--row", required=True, metavar="DATA/ROW", help="the row of the plan that it is a seed of")
    take.add_argument("--trained-on", default="", metavar="TEXT", help="processor or GPU that trained it")
    _shared(take)
    for hidden in ("one", "probe"):
        child = verbs.add_parser(hidden)
        child.add_argument("run")
        _shared(child)
    return parser.parse_args(argv)


def _shared(parser: argparse.ArgumentParser) -> None:
    """Arguments that every verb takes; a verb's own default never hides what was said before it."""
    first: dict[str, Any] = {"default": argparse.SUPPRESS} if parser.prog.count(" ") > 2 else {}

    def add(name: str, default: object, **choices: Any) -> None:
        parser.add_argument(name, **{"default": default, **choices, **first})

    here = Places(default_root())
    add("--plan", plan.FILE, type=Path, metavar="FILE", help="the plan")
    add("--data-root", here.data_root, type=Path, metavar="DIR", help="folder of the data sets (or DIS2_DATA)")
    add("--out", here.runs, type=Path, metavar="DIR", help="folder of the runs")
    add("--records", here.records, type=Path, metavar="DIR", help="folder of the records")
    add("--page", here.page, type=Path, metavar="FILE", help="the page whose tables are written")
    add("--threads", 1, type=int, metavar="N", help="threads of a run (default: 1; 0 leaves torch's choice)")
    add("--device", "auto", choices=("auto", "cpu", "cuda"), help="where to train")
    parser.add_argument(
        "--test", action="store_true", help="judge on the final split too: once, at the end of all choosing", **first
    )


def _above_zero(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _as_interrupt)
    sys.exit(main())
