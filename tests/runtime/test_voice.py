"""The voice of a flight: a stopped terminal, a pipe without a reader and a full disk behind stdout hold up nobody."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from opened import ROOTS, flight_words
from outcomes import outcome_of
from tiny_bundle import NDSM, RGB, task_of, write_scene

from dis2_runtime.voice import MOST_LINES, InlineVoice, ThreadedVoice

TASK = task_of(RGB, NDSM)
OUTCOME = outcome_of(TASK, 0)


class Blocked(io.StringIO):
    """A terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def write(self, text: str) -> int:
        self.freed.wait(5)
        return super().write(text)


class Deaf(io.StringIO):
    """A pipe whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_voice_says_its_lines_and_counts_its_ticks(capsys) -> None:
    for kind in (InlineVoice, ThreadedVoice):
        voice = kind(2)
        for line in ("one", "two"):
            voice.say(line)
            voice.write(OUTCOME)
        voice.close()
        shown = capsys.readouterr()
        assert shown.out == "one\ntwo\n"
        assert shown.err.startswith("fly ... (2)\nfly: 2 in ")


def test_a_stopped_terminal_delays_nobody_and_what_waits_for_it_is_bounded(monkeypatch) -> None:
    blocked = Blocked()
    monkeypatch.setattr(sys, "stdout", blocked)
    voice, began = ThreadedVoice(None), time.monotonic()
    for number in range(3 * MOST_LINES):
        voice.say(str(number))
        voice.write(OUTCOME)
    voice.close()
    assert time.monotonic() - began < 1
    blocked.freed.set()
    voice.close()
    said = blocked.getvalue().split()
    assert len(said) <= MOST_LINES + 1
    assert said[-1] == str(3 * MOST_LINES - 1)


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_that_is_gone_is_no_error(monkeypatch, name) -> None:
    monkeypatch.setattr(sys, name, Deaf())
    with contextlib.closing(ThreadedVoice(3)) as voice:
        for _ in range(3):
            voice.say("line")
            voice.write(OUTCOME)
            time.sleep(0.01)


def test_a_flight_whose_reader_goes_away_flies_on_to_its_end(two, tmp_path) -> None:
    scene = write_scene(tmp_path / "scene", TASK)
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nsensor = "rgb"\nkind = "off"\nstart_s = 0.2\nlength_s = 0.2\n')
    words = [sys.executable, "-m", "dis2_edge", "run", str(two.path), *flight_words(scene), "--threads", "1"]
    words += ["--faults", str(faults), "--seconds", "1.5", "--out", str(tmp_path / "out")]
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
    ended = subprocess.run(words, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert ended.returncode == 141, ended.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ended_by"] == "seconds"
    assert summary["switches"] >= 2
