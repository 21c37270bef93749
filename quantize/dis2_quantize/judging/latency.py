"""How long each file takes on this computer: files of one scenario in turn, one image at a time.

The figure is told and decides nothing: a machine that is busy with other work would fail what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dis2_edge.dataset import DataSet
from dis2_edge.task import Task
from dis2_edge.timing import WARM_UP, Latency, describe_machine, take_turns
from dis2_quantize.judging.judge import Candidate, Runner
from dis2_quantize.judging.verdict import Timing
from dis2_runtime.engine import Frames

CALLS = 20


def time_files(
    models: Mapping[Candidate, Runner], data: DataSet, task: Task, split: str, threads: int, calls: int = CALLS
) -> tuple[Timing, dict[Candidate, Latency]]:
    """Time `calls` calls of every file that flies on this kind of computer, on the first images of `split`.

    `threads` are those that the files were opened with.
    """
    shown = [data.on_grid(data.read(split, name), task).frames for name in data.ids(split)[:calls]]
    flying = [candidate for candidate in models if candidate.flies_on_host]
    latencies: dict[Candidate, Latency] = {}
    for scenario in dict.fromkeys(candidate.scenario for candidate in flying):
        rivals = {candidate.file.name: candidate for candidate in flying if candidate.scenario == scenario}
        turns = {name: _call(models[candidate], shown) for name, candidate in rivals.items()}
        taken = take_turns(turns, calls, f"time {scenario}", pause_s=0.0)  # ONNX Runtime's threads rest after each run
        latencies |= {candidate: taken[name] for name, candidate in rivals.items()}
    return Timing(describe_machine(), threads, calls, WARM_UP), latencies


def _call(model: Runner, shown: Sequence[Frames]) -> Callable[[int], object]:
    """A call of the round's number."""
    return lambda turn: model.run(shown[turn % len(shown)])
