"""Latency summaries claim no percentile that the samples cannot tell, and the machine names no host."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge import timing
from dis2_edge.errors import InternalError


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=250))
def test_percentiles_are_numpys_or_none(samples: list[float]) -> None:
    found = timing.summarise(samples, warm_up=3)
    assert (found.n, found.warm_up) == (len(samples), 3)
    assert found.median_ms == pytest.approx(np.median(samples))
    assert (found.p95_ms is None) == (len(samples) < 20)
    assert (found.p99_ms is None) == (len(samples) < 100)
    if found.p99_ms is not None and found.p95_ms is not None:
        assert found.median_ms <= found.p95_ms <= found.p99_ms <= max(samples)


def test_no_samples_is_our_bug() -> None:
    with pytest.raises(InternalError):
        timing.summarise([])


def test_warm_up_calls_are_made_and_not_timed() -> None:
    calls: list[int] = []
    found = timing.measure(lambda: calls.append(1), n=7, warm_up=4)
    assert len(calls) == 11
    assert len(found.samples_ms) == found.n == 7


def test_the_machine_is_described_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: pytest.fail("a host name was asked for"))
    monkeypatch.setattr(socket, "gethostname", lambda: pytest.fail("a host name was asked for"))
    machine = timing.describe_machine(("numpy", "no-such-package"))
    assert machine.cores >= 1
    assert machine.packages == {"numpy": np.__version__}


def test_a_board_is_named_by_its_device_tree(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 62.50\n")
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\n')
    machine = timing.describe_machine(root=tmp_path)
    assert machine.cpu == "NVIDIA Jetson Orin Nano"
    assert machine.os == f"Ubuntu 22.04.4 LTS, {platform.machine()}"


def test_a_pc_is_named_by_its_cpuinfo(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("vendor_id\t: X\nmodel name\t: Some   CPU @ 2 GHz\n")
    assert timing.describe_machine(root=tmp_path).cpu == "Some CPU @ 2 GHz"


def test_nothing_readable_still_gives_an_architecture(tmp_path: Path) -> None:
    assert timing.describe_machine(root=tmp_path).cpu == platform.machine()


def test_contestants_take_turns_and_warm_up_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    calls: list[tuple[str, int]] = []
    taken = timing.take_turns({name: lambda turn, name=name: calls.append((name, turn)) for name in "ab"}, 3, "turns")
    assert calls == [(name, turn) for turn in range(timing.WARM_UP + 3) for name in "ab"]
    assert {name: (latency.n, latency.warm_up) for name, latency in taken.items()} == {"a": (3, 2), "b": (3, 2)}
