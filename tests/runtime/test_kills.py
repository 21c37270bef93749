"""A flight that is killed or told to end, in a process of its own: what it leaves, and how soon it is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_bundle import NDSM, RGB, make_bundle, task_of, write_scene

from benchmarks import kills

pytest.importorskip("av", reason="PyAV is not installed (extra stream)")


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    place, task = tmp_path_factory.mktemp("kills"), task_of(RGB, NDSM, grid=(96, 96))
    write_scene(place, task, size=(120, 300))
    return kills.flight_of(make_bundle(place / "bundle", task).path, place)


def test_kill_at_a_random_moment_loses_at_most_a_second_and_leaves_nothing_broken(command, tmp_path) -> None:
    losses = list(kills.campaign(command, tmp_path, count=4, seed=1))
    assert [fault for loss in losses for fault in loss.faults] == []
    assert sum(loss.masks for loss in losses) > 0
    assert sum(loss.pictures for loss in losses) > 0


def test_faults_are_found_in_what_a_worse_program_would_leave(tmp_path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "00000000.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    (tmp_path / "masks" / "00000002.png").write_bytes(b"")
    (tmp_path / "telemetry.jsonl").write_text('{"tick": 0}\n{"tick"\n{"tick": 2}\n{"ti')
    loss = kills.look(tmp_path, time.time() + 5)
    assert loss.rows == 2
    faults = "; ".join(loss.faults)
    for fault in (
        "00000000.png does not decode",
        "00000002.png does not",
        "1 broken lines",
        "rows' numbers have a gap",
    ):
        assert fault in faults
    assert "rows end 5.0" in faults


HANGS = {
    "sink": "from dis2_runtime.sinks.png import PngSink as Hanging; name = 'write'",
    "sync": "from dis2_runtime.sinks.png import PngSink as Hanging; name = 'sync'",
    "source": "from dis2_runtime.sources.flight import FlightSource as Hanging; name = 'next'",
}


@pytest.mark.parametrize("hanging", HANGS)
def test_sigterm_ends_a_run_within_a_second_with_its_summary_while_a_part_hangs(command, tmp_path, hanging) -> None:
    out = tmp_path / "out"
    code = f"""
import sys, time
from dis2_edge.cli import main
{HANGS[hanging]}
real, count = getattr(Hanging, name), [0]
def hang(self, *args):
    count[0] += 1
    if count[0] > 4:
        time.sleep(1000)
    return real(self, *args)
setattr(Hanging, name, hang)
sys.exit(main({[*command[3:], "--out", str(out)]!r}))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while _rows(out) < (30 if hanging == "sync" else 15) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        shown, _ = process.communicate(timeout=10)
        took_s = time.monotonic() - told
    finally:
        process.kill()
    assert process.returncode == 0
    assert took_s < 1.0 + _slack_s()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["ended_by"] == "request"
    assert summary["answered"] == summary["due"] == _rows(out)
    if hanging != "source":
        png = summary["sinks"]["png"]
        assert png["dropped"] + png["failed"] > 0
        assert "did not finish" in png["reason"] or "it is slow" in png["reason"]
        assert f"sink png: {png['written']} written, {png['dropped']} dropped" in shown


def _rows(out: Path) -> int:
    path = out / "telemetry.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _slack_s() -> float:
    """Leaving Python takes longer on a machine that is busy with other things."""
    return 0.5 * max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)
