"""Stuck or hovering: the same picture again is a fault only when something else tells that the aircraft moves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_bundle import HEAT, NDSM, RGB, ground, task_of

from dis2_edge.bundle import Policy
from dis2_runtime.frames import Frame, Heard, Mail
from dis2_runtime.health.judge import WITNESSED_WINDOW
from dis2_runtime.health.motion import likeness
from dis2_runtime.poses.pose import Pose
from dis2_runtime.senses import Senses

MS, GRID, PERIOD_MS = 1_000_000, (64, 96), 100
SCENE = {sensor.name: ground(sensor, (64, 400), np.random.default_rng(3)) for sensor in (RGB, NDSM, HEAT)}


class Flight:
    """Senses over a scene that each sensor sees a window of, 1.5 pixels further every 100 ms."""

    def __init__(self, *sensors, noise: tuple[str, ...] = ()) -> None:
        sensors = tuple(dataclasses.replace(sensor, rate_hz=10) for sensor in sensors)
        self.senses, self.sensors = Senses(task_of(*sensors, grid=GRID), (), Policy(return_after=3)), sensors
        self.noise, self.random, self.number = noise, np.random.default_rng(0), 0

    def fly(self, frames: int, *, moving=(), silent=(), pose: bool = False, speed_px=1.5) -> list[dict[str, str]]:
        """The states after each round of frames; sensors in `moving` see the ground move, in `silent` send nothing."""
        states = []
        for _ in range(frames):
            at_ns = self.number * PERIOD_MS * MS
            for sensor in [sensor for sensor in self.sensors if sensor.name not in silent]:
                column = round(self.number * speed_px) if sensor.name in moving else 0
                frame = Frame(sensor.name, self.look(sensor, column), at_ns, self.number, pose=self.pose(pose))
                self.senses.receive(Mail(sensor.name, (Heard(at_ns, at_ns, self.number),), frame))
            states.append({name: health.state for name, health in self.senses.view(at_ns).health.items()})
            self.number += 1
        return states

    def look(self, sensor, column: int) -> np.ndarray:
        pixels = SCENE[sensor.name][:, column : column + GRID[1]].copy()
        if sensor.name in self.noise:
            noise = self.random.normal(0, np.array(sensor.std) * 0.15, pixels.shape)
            pixels = np.clip(pixels + noise, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
        return pixels

    def pose(self, known: bool) -> Pose | None:
        return Pose(500_000 + self.number * 0.15, 4_000_000, 0.0, 0.1, 32632) if known else None


def of(states, sensor: str) -> set[str]:
    return {state[sensor] for state in states}


@pytest.mark.parametrize("noise", [(), ("heat",), ("ndsm",), ("heat", "ndsm")], ids=str)
def test_hovering_camera_is_ok_however_noisy_the_others(noise) -> None:
    states = Flight(RGB, NDSM, HEAT, noise=noise).fly(300)
    assert all(state == {"rgb": "ok", "ndsm": "ok", "heat": "ok"} for state in states)


@pytest.mark.parametrize("noise", [(), ("rgb", "ndsm", "heat")], ids=["clean", "noisy"])
@pytest.mark.parametrize(("stuck", "moving"), [("rgb", "heat"), ("heat", "rgb"), ("rgb", "ndsm")])
def test_camera_that_stands_still_while_another_picture_moves_is_stuck(stuck, moving, noise) -> None:
    sensors = {"rgb": RGB, "ndsm": NDSM, "heat": HEAT}
    flight = Flight(sensors[stuck], sensors[moving], noise=tuple(name for name in noise if name == moving))
    states = flight.fly(40, moving=(moving,))
    assert "stuck" in of(states[: int(WITNESSED_WINDOW) + 1], stuck)
    assert of(states[int(WITNESSED_WINDOW) :], stuck) == {"stuck"}
    assert of(states, moving) == {"ok"}
    reason = flight.senses.judges[stuck].health(flight.number * PERIOD_MS * MS - 1).reason
    assert reason.endswith(f"are the same, yet the picture of {moving} moves")


def test_few_roofs_on_a_plain_are_witness_enough() -> None:
    flight, plain = Flight(RGB, NDSM), np.zeros((64, 400, 1), np.float32)
    for place in range(0, 400, 13):
        plain[(7 * place) % 56 :][:8, place : place + 5] = 9.0
    flight.look = lambda sensor, column: (
        SCENE["rgb"][:, :96] if sensor is flight.sensors[0] else plain[:, column:][:, :96]
    )
    states = flight.fly(40, moving=("ndsm",), speed_px=3.3)
    assert of(states[int(WITNESSED_WINDOW) :], "rgb") == {"stuck"}


def test_pose_that_moves_names_all_cameras_that_stand_still_but_no_height() -> None:
    flight = Flight(RGB, NDSM, HEAT)
    states = flight.fly(30, pose=True)
    assert of(states[int(WITNESSED_WINDOW) :], "rgb") == of(states[int(WITNESSED_WINDOW) :], "heat") == {"stuck"}
    assert of(states, "ndsm") == {"ok"}
    assert "the pose moves" in flight.senses.judges["rgb"].health(29 * PERIOD_MS * MS).reason


def test_all_standing_still_without_a_pose_is_a_hover() -> None:
    assert of(Flight(RGB, HEAT).fly(50), "rgb") == {"ok"}


def test_camera_that_moves_again_is_ok_at_once_and_hovers_unaccused_thereafter() -> None:
    flight = Flight(RGB, HEAT)
    assert of(flight.fly(30, moving=("heat",))[-5:], "rgb") == {"stuck"}
    assert of(flight.fly(30, moving=("rgb", "heat")), "rgb") == {"ok"}
    assert of(flight.fly(60), "rgb") <= {"ok"}


def test_drifting_position_of_a_long_hover_is_no_evidence() -> None:
    flight = Flight(RGB, HEAT)
    flight.pose = lambda known: Pose(500_000 + flight.number * 0.0005, 0, 0.0, 0.1, 32632)
    assert of(flight.fly(1500, pose=True), "rgb") == {"ok"}


def test_garbage_of_another_sensor_is_no_evidence() -> None:
    flight = Flight(RGB, HEAT)
    flight.look = lambda sensor, column: (
        SCENE["rgb"][:, :96].copy()
        if sensor.name == "rgb"
        else flight.random.integers(1, 60000, (*GRID, 1)).astype(np.uint16)
    )
    states = flight.fly(40)
    assert of(states, "rgb") == {"ok"}
    assert of(states, "heat") == {"garbage"}


def test_old_picture_of_a_sensor_that_was_off_is_no_evidence() -> None:
    flight = Flight(RGB, HEAT)
    flight.fly(30, moving=("rgb", "heat"))
    flight.fly(20, moving=("rgb",), silent=("heat",))
    assert of(flight.fly(6, silent=("heat",)), "heat") == {"off"}
    assert of(flight.fly(60), "rgb") == {"ok"}


def test_likeness_is_blind_to_light_and_never_fails() -> None:
    picture = SCENE["rgb"].astype(np.float64).transpose(2, 0, 1)
    assert likeness(picture, picture * 0.3 + 20) == pytest.approx(1)
    assert likeness(picture, np.zeros_like(picture)) == 1
    assert likeness(picture, -picture) == pytest.approx(-1)
