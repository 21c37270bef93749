"""Prove one precision in a process of its own: where memory ends or a driver crashes, the other precisions go on.

`python -m dis2_runtime.selftest.apart JOB --out ROWS` is that process.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge import terminal
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import EngineName
from dis2_edge.errors import EngineError, told
from dis2_edge.files import read_json, write_json
from dis2_edge.manifest import Precision
from dis2_edge.settings import from_table
from dis2_runtime.own_python import expendable, own_python
from dis2_runtime.selftest.precision import How, prove_precision
from dis2_runtime.selftest.rows import Row

__all__ = ["prove_apart"]

MODULE = "dis2_runtime.selftest.apart"


@dataclass(frozen=True)
class _Job:
    """What the process is asked for."""

    bundle: str
    engine: EngineName
    precision: Precision
    threads: int
    plans: str
    tiles: str
    calls: int
    seconds: float
    for_programs: bool

    def how(self) -> How:
        plans, tiles = (Path(name) if name else None for name in (self.plans, self.tiles))
        return How(self.threads, plans, tiles, self.calls, self.seconds)


@dataclass(frozen=True)
class _Answer:
    """What it answers: rows, or why there are none."""

    rows: tuple[Row, ...] = ()
    why: str = ""


def prove_apart(bundle: Bundle, engine: EngineName, precision: Precision, how: How) -> tuple[Row, ...]:
    """As `prove_precision`, in a child process; EngineError where it fails or dies.

    Progress goes where this process's goes. Where memory ends, the system ends the child first, and not what flies.
    """
    with tempfile.TemporaryDirectory(prefix="dis2-prove-") as scratch:
        job, answer = Path(scratch) / "job.json", Path(scratch) / "rows.json"
        write_json(job, dataclasses.asdict(_job(bundle, engine, precision, how)))
        words, environment = own_python(MODULE)
        code = _run([*words, str(job), "--out", str(answer)], environment)
        if not answer.exists():
            raise EngineError(f"its process {_end(code)}")
        found = from_table(_Answer, read_json(answer, EngineError), where="the self-test's answer", error=EngineError)
    if found.why:
        raise EngineError(found.why)
    return found.rows


def main(words: list[str] | None = None) -> int:
    """The child: prove, and leave rows or the reason in a file."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("job", type=Path, help="JSON of what to prove")
    parser.add_argument("--out", type=Path, required=True, help="where the rows go")
    args = parser.parse_args(words)
    job = from_table(_Job, read_json(args.job, EngineError), where=str(args.job), error=EngineError)
    expendable()
    with terminal.telling_programs(job.for_programs):
        write_json(args.out, dataclasses.asdict(_answer(job)))
    return 0


def _answer(job: _Job) -> _Answer:
    try:
        return _Answer(prove_precision(bundles.read(Path(job.bundle)), job.engine, job.precision, job.how()))
    except Exception as error:  # whatever a driver throws: it costs this precision and nothing else
        return _Answer(why=told(error))


def _job(bundle: Bundle, engine: EngineName, precision: Precision, how: How) -> _Job:
    plans, tiles = (str(path.resolve()) if path else "" for path in (how.plans, how.tiles))
    where = str(bundle.path.resolve())
    return _Job(where, engine, precision, how.threads, plans, tiles, how.calls, how.seconds, terminal.for_programs())


def _run(words: list[str], environment: dict[str, str]) -> int:
    child = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL)
    try:
        return child.wait()
    finally:
        child.kill()
        child.wait()


def _end(code: int) -> str:
    """How a process ended, for people."""
    if code == -signal.SIGKILL:
        return "was killed, as a rule because memory ended"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code} and no word"


if __name__ == "__main__":
    sys.exit(main())
