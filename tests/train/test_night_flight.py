"""Over the drawn evening the camera is ok into the night, a flat-field correction is a pause, and a loss is a loss."""

from collections.abc import Iterator

import pytest

from dis2_edge.bundle import Policy
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.statistics import SensorStatistics, measure
from dis2_runtime.faults import Fault, FaultedSource, FaultPlan
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.senses import Senses, View
from dis2_runtime.sources.flight import FlightOptions, FlightSource
from dis2_train.synth.make import synthesise

SIZE, SPEED_PX_S = 48, 32.0
ACROSS_S = 7 * SIZE / SPEED_PX_S
"""From the first light at the strip's left end to the night at its right one."""
STEP_S = 0.05
Learned = tuple[DataSet, list[SensorStatistics]]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    data = open_dataset(synthesise(tmp_path_factory.mktemp("night") / "set", "thermal", 24, SIZE, 3))
    return data, measure(data, "train")


def flown(learned: Learned, *faults: Fault) -> Iterator[tuple[float, View]]:
    """Time and what the sensors offer, until the strip's end."""
    data, training = learned
    options = FlightOptions(speed_px_s=SPEED_PX_S, seconds=ACROSS_S)
    plan = FaultPlan(faults)
    sources = {
        sensor.name: FaultedSource(FlightSource(sensor, data.task.grid, data.root / "flight", options), sensor, plan)
        for sensor in data.task.sensors
    }
    for source in sources.values():
        source.open()
    senses, feed = Senses(data.task, training, Policy()), SteppedFeed(sources)
    feed.start()
    for number in range(1, round((ACROSS_S - 0.3) / STEP_S)):
        until_ns = round(number * STEP_S * 1e9)
        while feed.now_ns() < until_ns:
            for mail in feed.wait(until_ns):
                senses.receive(mail)
        yield number * STEP_S, senses.view(until_ns)


def test_night_is_no_fault_of_either_sensor(learned: Learned) -> None:
    accused = {
        f"{name} {health.state}: {health.reason}"
        for time_s, view in flown(learned)
        for name, health in view.health.items()
        if time_s > 0.3 and health.state != "ok"
    }
    assert not accused


def test_a_flat_field_correction_is_a_pause_and_a_longer_silence_is_a_loss(learned: Learned) -> None:
    views = list(flown(learned, Fault("thermal", "off", 3.0, 0.8), Fault("rgb", "off", 7.0, 9.0)))
    states = {name: [(time_s, view.health[name].state) for time_s, view in views] for name in ("rgb", "thermal")}
    assert {state for time_s, state in states["thermal"] if 3.4 < time_s < 3.8} == {"paused"}
    assert {state for time_s, state in states["thermal"] if time_s < 3.0 or time_s > 4.1} <= {"ok", "off"}
    assert {state for time_s, state in states["rgb"] if 0.3 < time_s < 7.0} == {"ok"}
    assert {state for time_s, state in states["rgb"] if time_s > 7.3} == {"off"}


def test_by_night_with_the_camera_lost_thermal_flies_alone(learned: Learned) -> None:
    views = list(flown(learned, Fault("rgb", "off", 7.0, 9.0)))
    used = [(time_s, set(view.choice.frames)) for time_s, view in views]
    assert {"rgb", "thermal"} in [names for time_s, names in used if 1 < time_s < 7]
    assert all(names == {"thermal"} for time_s, names in used if time_s > 7.5)
