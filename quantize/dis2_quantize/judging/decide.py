"""From what files did to the verdict on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from dis2_edge.dataset import DataSet
from dis2_edge.timing import Latency
from dis2_quantize.judging.drops import Drops, drops, ious, occurring
from dis2_quantize.judging.judge import Candidate, Judged, references
from dis2_quantize.judging.verdict import Limits, Row, Timing, Verdict
from dis2_train.judging.comparison import RESAMPLES


def decide(
    judged: Sequence[Judged],
    data: DataSet,
    split: str,
    limits: Limits,
    timing: Timing,
    latencies: Mapping[Candidate, Latency],
    sheets: Mapping[Candidate, str],
    overflows: Mapping[Candidate, str],
    folder: Path,
) -> Verdict:
    """The verdict on all files of the quantised run in `folder`, whose paths become relative to it.

    `latencies` holds those files that fly on this kind of computer, `sheets` the pictures of worst tiles, `overflows`
    the tensors that FP16 cannot hold.
    """
    full, classes = references(judged), data.task.classes
    there = occurring(judged[0].counts)
    return Verdict(
        dataset=data.name,
        split=split,
        images=len(data.ids(split)),
        resamples=RESAMPLES,
        classes=classes,
        absent=tuple(name for name, occurs in zip(classes, there, strict=True) if not occurs),
        limits=limits,
        timing=timing,
        rows=tuple(
            dataclasses.replace(
                _row(found, full.get(found.candidate.scenario), latencies.get(found.candidate), sheets, folder),
                overflow=overflows.get(found.candidate, ""),
            )
            for found in judged
        ),
    )


def _row(
    found: Judged, reference: Judged | None, latency: Latency | None, sheets: Mapping[Candidate, str], folder: Path
) -> Row:
    candidate = found.candidate
    miou, class_iou = ious(found.counts)
    lost = Drops(None, (None,) * len(class_iou))
    if reference is not None and reference is not found:
        lost = drops(reference.counts, found.counts)
    return Row(
        scenario=candidate.scenario,
        precision=candidate.precision,
        dialect=candidate.dialect,
        io=candidate.io,
        file=candidate.file.relative_to(folder).as_posix(),
        bytes=found.size,
        miou=miou,
        class_iou=class_iou,
        agreement=found.agreement,
        drop=lost.miou,
        class_drops=lost.classes,
        median_ms=latency.median_ms if latency else None,
        p95_ms=latency.p95_ms if latency else None,
        worst=sheets.get(candidate, ""),
    )
