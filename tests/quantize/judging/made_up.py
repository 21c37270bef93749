"""Files, masks and verdicts made up for the tests of judging."""

from pathlib import Path

import numpy as np

from dis2_edge.timing import Machine
from dis2_quantize.judging.drops import Drop
from dis2_quantize.judging.verdict import Limits, Row, Timing, Verdict

TIMING = Timing(Machine("cpu", 2, "os", "3.11", {"onnxruntime": "1"}), threads=2, n=20, warm_up=2)


class Saying:
    """A runner that answers the label, changed."""

    def __init__(self, change):
        self.change = change

    def run(self, frames):
        from dis2_runtime.engine import Answer

        mask = self.change(frames["shown"][..., 0].copy())
        return Answer(mask, np.full_like(mask, 255))


def row(drop=None, classes=(), scenario="rgb", precision="int8", dialect="ort", **more):
    """A row of a verdict on two classes; `drop` and `classes` in points."""
    told = tuple(None if points is None else Drop(points, points - 0.1, points + 0.1) for points in classes)
    return Row(
        scenario=scenario,
        precision=precision,
        dialect=dialect,
        io="frame",
        file=f"models/{scenario}-{precision}-{dialect}-frame.onnx",
        bytes=1_234_567,
        miou=0.5,
        class_iou=(0.4, 0.6),
        agreement=0.99,
        drop=None if drop is None else Drop(drop, drop - 0.1, drop + 0.1),
        class_drops=told or (None, None),
        median_ms=12.34 if dialect == "ort" else None,
        p95_ms=None,
        **more,
    )


def verdict(*rows, limits=None, absent=()):
    """A verdict on `rows`."""
    return Verdict("set", "test", 7, 100, ("dry", "flood"), absent, limits or Limits(), TIMING, rows)


FOLDER = Path("out/q")
