"""What a model file spends its time on: ONNX Runtime's own profile, added up by kind of operator."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dis2_edge.terminal import table

WARM_UP = 3
"""Runs that are not counted."""
TOLD = 10
"""Kinds of operator that get a line of their own; the rest share one."""


@dataclass(frozen=True)
class Share:
    """One kind of operator."""

    kind: str
    """Its name in ONNX Runtime, after fusion."""
    count: int
    """How many the graph holds."""
    ms: float
    """Time of all of them in one run, in milliseconds, mean over the runs."""


def profile(file: Path, frames: Mapping[str, npt.NDArray[Any]], threads: int, runs: int = 10) -> list[Share]:
    """Run `file` on `frames` and add up its operators' times, the dearest kind first."""
    with tempfile.TemporaryDirectory(prefix="dis2-profile-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        feed = {value.name: frames[value.name] for value in session.get_inputs()}
        for _ in range(WARM_UP + runs):
            session.run(None, feed)
        return added_up(json.loads(Path(session.end_profiling()).read_text("utf-8")), runs)


def added_up(events: list[dict[str, Any]], runs: int) -> list[Share]:
    """The last `runs` runs of a profile's `events`, by kind of operator."""
    kernels: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kernels.setdefault(event["name"], []).append(event["dur"] / 1e3)
            kinds[event["name"]] = event["args"]["op_name"]
    ms = dict.fromkeys(kinds.values(), 0.0)
    for name, times in kernels.items():
        ms[kinds[name]] += float(np.mean(times[-runs:]))
    counts = Counter(kinds.values())
    return [Share(kind, counts[kind], ms[kind]) for kind in sorted(ms, key=lambda kind: -ms[kind])]


def show(title: str, shares: list[Share]) -> None:
    """Print the dearest kinds and what all others take together."""
    whole = sum(share.ms for share in shares)
    rest = shares[TOLD:]
    lines = [*shares[:TOLD], Share("all other", sum(share.count for share in rest), sum(share.ms for share in rest))]
    rows = [(share.kind, share.count, f"{share.ms:.1f}", f"{100 * share.ms / whole:.0f}") for share in lines]
    table(f"{title}: {whole:.1f} ms in operators", ("operator", "count", "ms", "%"), rows)
