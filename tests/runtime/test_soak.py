"""A short soak: thousands of ticks in real time with faults leave memory, files and threads as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.soak import Sample, Soaked, drawn, faults_of, soak

FLAT = tuple(Sample(second, 80.0, 9, 7) for second in range(100))
SUMMARY = {"due": 100, "answered": 100}


def test_a_short_soak_stays_flat(tmp_path: Path) -> None:
    soaked = soak(1200, 200.0, tmp_path)  # a machine that stalls for seconds still catches up with all ticks
    summary = soaked.summary
    assert summary["answered"] == summary["due"] == 1200
    assert summary["stages_ms"]["engine"]["p50"] < 5
    assert {"fresh"} < set(summary["states"]) or len(summary["scenarios"]) > 1
    # so few ticks are over before memory has settled: the long soak judges it
    assert soaked.growth_mb < 10
    assert [line for line in soaked.complaints if "memory" not in line] == []
    assert "<polyline" in drawn(soaked, 200.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda row: dataclasses.replace(row, resident_mb=80 + row.time_s / 25), "memory grew by 3."),
        (lambda row: dataclasses.replace(row, files=9 + int(row.time_s // 30)), "files grew from 10 to 12"),
        (lambda row: dataclasses.replace(row, threads=7 + (row.time_s > 80)), "threads grew from 7 to 8"),
    ],
)
def test_what_grows_is_told(change, complaint: str) -> None:
    assert Soaked(SUMMARY, FLAT).complaints == []
    (told,) = Soaked(SUMMARY, tuple(change(row) for row in FLAT)).complaints
    assert told.startswith(complaint)


def test_a_tick_without_an_answer_is_told() -> None:
    assert Soaked({"due": 100, "answered": 99}, FLAT).complaints == ["1 ticks without an answer"]


def test_a_fault_every_second_until_the_end() -> None:
    plan = faults_of(60.0, ["rgb", "ndsm"])
    assert len(plan.fault) == 60
    assert len({fault.kind for fault in plan.fault}) == 7
