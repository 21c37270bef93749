"""The watch: a thread beside the ticks, energy and ranges added up, and nothing measured said as such."""

from __future__ import annotations

import threading
from types import TracebackType

import pytest

from dis2_boards.telemetry import Reading, Watch
from dis2_boards.telemetry import watch as watching
from dis2_boards.telemetry.watched import Tally


class Scripted:
    """Hands out readings one after the other and says when it gave the last."""

    source = "sysfs"

    def __init__(self, *readings: Reading | Exception) -> None:
        self._readings = list(readings)
        self.spent, self.closed = threading.Event(), threading.Event()

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def read(self) -> Reading:
        if len(self._readings) == 1:
            self.spent.set()
        found = self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.closed.set()


def at(power_w: float | None, **more: object) -> Reading:
    return Reading(power_w=power_w, source="sysfs", why="the rail VDD_IN" if power_w else "gone", **more)  # type: ignore[arg-type]


def tally_of(*powers: float | None) -> Tally:
    tally = Tally()
    for second, power in enumerate(powers):
        tally.add(float(second), at(power))
    return tally


def test_energy_is_power_over_time() -> None:
    found = tally_of(10.0, 20.0, 20.0).watched()
    assert found.power_w == pytest.approx(17.5)
    assert found.most_power_w == 20.0
    assert found.seconds == 2.0
    assert found.joules_a_frame(100) == pytest.approx(0.35)
    assert found.joules_a_frame(50, seconds=1.0) == pytest.approx(0.35)
    assert found.joules_a_frame(0) is None


def test_a_gap_counts_for_nothing() -> None:
    found = tally_of(10.0, 10.0, None, 90.0, 90.0).watched()
    assert found.power_w == pytest.approx(50.0), "power was made up for the time in which none was read"


@pytest.mark.parametrize(
    ("powers", "why"),
    [((), "nothing was read"), ((None, None), "gone"), ((10.0, 10.0), "read 2 times, too few to tell")],
)
def test_what_was_not_measured_says_why(powers: tuple[float | None, ...], why: str) -> None:
    found = tally_of(*powers).watched()
    assert (found.power_w, found.joules_a_frame(10)) == (None, None)
    assert why in found.why


def test_ranges_loads_and_modes() -> None:
    tally = Tally()
    tally.add(0, at(1.0, temperatures_c={"gpu": 50.0}, clocks_mhz={"gpu": 918.0}, gpu_load=0.2, power_mode="MAXN"))
    tally.add(1, at(1.0, temperatures_c={"gpu": 60.0, "cpu": 40.0}, clocks_mhz={"gpu": 408.0}, power_mode="25W"))
    tally.add(2, at(1.0, gpu_load=0.6, power_mode="25W"))
    table = tally.watched().to_table()
    assert table["temperatures_c"] == {"gpu": [50.0, 60.0], "cpu": [40.0, 40.0]}
    assert table["clocks_mhz"] == {"gpu": [408.0, 918.0]}
    assert (table["gpu_load"], table["power_modes"]) == (0.4, ["MAXN", "25W"])


def test_a_watch_reads_in_its_own_thread_and_closes_what_it_was_given() -> None:
    script = Scripted(*[at(10.0)] * 5)
    with Watch(script, every_s=0.001) as watch:
        assert script.spent.wait(60)
        assert watch.latest.power_w == 10.0
    assert script.closed.wait(60)
    assert watch.watched().power_w == pytest.approx(10.0)
    assert "telemetry" not in {thread.name for thread in threading.enumerate()}


def test_a_window_counts_its_own_time() -> None:
    script = Scripted(*[at(5.0)] * 4, at(30.0))
    with Watch(script, every_s=0.001) as watch:
        assert script.spent.wait(60)
        with watch.window() as tally:
            while tally.watched().readings < 4:
                threading.Event().wait(0.005)
        readings = tally.watched().readings
        threading.Event().wait(0.01)
    assert tally.watched().power_w == pytest.approx(30.0)
    assert tally.watched().readings == readings, "a window that was closed counted on"
    assert watch.watched().power_w != pytest.approx(30.0)


def test_a_reader_that_breaks_ends_the_watch_alone() -> None:
    script = Scripted(at(5.0), OSError("bus gone"))
    with Watch(script, every_s=0.001) as watch:
        assert script.closed.wait(60)
    assert "telemetry ended: OSError: bus gone" in watch.latest.why
    assert "telemetry ended" not in watch.watched().why or watch.watched().power_w is None


def test_a_reading_that_hangs_holds_up_no_landing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, let_go = threading.Event(), threading.Event()

    class Hanging(Scripted):
        def read(self) -> Reading:
            asked.set()
            let_go.wait(60)
            return at(5.0)

    monkeypatch.setattr(watching, "_FAREWELL_S", 0.01)
    script = Hanging(at(5.0))
    with Watch(script, every_s=0.001) as watch:
        assert asked.wait(60)
    assert watch.watched().why == "nothing was read"
    assert not script.closed.is_set(), "it was closed under a reading"
    let_go.set()
    assert script.closed.wait(60)
