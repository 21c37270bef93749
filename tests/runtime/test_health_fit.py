"""Limits learned from a recording: with margins, as a rig holds them, refused when there is too little."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_bundle import HEAT, NDSM, RGB, ground

from dis2_edge.cli import main
from dis2_edge.errors import DataError, RecipeError, SourceError, StorageError
from dis2_edge.images import write_png
from dis2_edge.limits import HealthLimits
from dis2_runtime import rig
from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.content import Inspector
from dis2_runtime.health.judge import Judge
from dis2_runtime.health.learning import Learner
from dis2_runtime.health_fit import Recording, fit, fragment

MS, GRID = 1_000_000, (48, 64)
SCENE = {sensor.name: ground(sensor, (48, 900), np.random.default_rng(3)) for sensor in (RGB, NDSM, HEAT)}


def frames(sensor, count: int, *, moving: bool, noise: float):
    random = np.random.default_rng(1)
    for number in range(count):
        column = number if moving else 0
        pixels = SCENE[sensor.name][:, column : column + GRID[1]]
        values = pixels + random.normal(0, noise, pixels.shape) * np.array(sensor.std)
        yield np.clip(values, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)


def learned(sensor, count=200, *, moving=True, noise=0.0, period_ms=100.0, lag_ms=20.0):
    learner = Learner(sensor)
    for number, pixels in enumerate(frames(sensor, count, moving=moving, noise=noise)):
        time_ns = round(number * period_ms * MS)
        learner.hear(Heard(time_ns + round(lag_ms * MS), time_ns, number))
        learner.see(Frame(sensor.name, pixels, time_ns, number))
    return learner.lesson()


@pytest.mark.parametrize("sensor", [RGB, NDSM, HEAT], ids=lambda sensor: sensor.name)
@pytest.mark.parametrize(
    ("moving", "noise", "never"),
    [(False, 0.05, True), (False, 0.0, False), (True, 0.0, False), (True, 0.05, False)],
    ids=["still and noisy", "still", "moving", "moving and noisy"],
)
def test_only_a_noisy_picture_of_still_ground_teaches_that_frames_never_repeat(sensor, moving, noise, never) -> None:
    assert learned(sensor, moving=moving, noise=noise).limits.never_repeats == never


@pytest.mark.parametrize("sensor", [RGB, NDSM, HEAT], ids=lambda sensor: sensor.name)
def test_what_was_recorded_passes_the_learned_limits(sensor) -> None:
    limits = learned(sensor, noise=0.05).limits
    inspector = Inspector(dataclasses.replace(sensor, health=limits))
    assert all(inspector.inspect(pixels).good for pixels in frames(sensor, 150, moving=True, noise=0.05))


def test_rate_lag_and_gaps_are_learned() -> None:
    lesson = learned(RGB, period_ms=133.0, lag_ms=210.0)
    assert lesson.rate_hz == pytest.approx(1000 / 133, rel=1e-3)
    assert lesson.limits.late_ms == pytest.approx(315, rel=0.01)
    assert any("frames get 343 ms old" in remark for remark in lesson.remarks)
    slow = dataclasses.replace(RGB, rate_hz=lesson.rate_hz, health=lesson.limits)
    judge = Judge(slow)
    for number, pixels in enumerate(frames(RGB, 30, moving=True, noise=0)):
        time_ns = round(number * 133 * MS)
        judge.hear(Heard(time_ns + 210 * MS, time_ns, number))
        judge.see(Frame("rgb", pixels, time_ns, number))
        assert judge.health(time_ns + 300 * MS).state == "ok"


def test_light_of_one_day_binds_no_camera_but_a_thermal_one_is_bound() -> None:
    assert learned(RGB).limits.mean_low is None
    limits = learned(HEAT).limits
    assert 0 < limits.mean_high - limits.mean_low < 60_000


@pytest.mark.parametrize(("count", "period_ms"), [(0, 100), (99, 200), (150, 50)], ids=["none", "few", "short"])
def test_short_recordings_are_refused(count, period_ms) -> None:
    with pytest.raises(DataError, match="expected at least 100 in 10 s"):
        learned(RGB, count, period_ms=period_ms)


def test_broken_frames_teach_nothing() -> None:
    learner = Learner(RGB)
    for number, pixels in enumerate(frames(RGB, 220, moving=True, noise=0)):
        bad = [pixels[..., :2], np.zeros_like(pixels), np.full_like(pixels, 255)]
        sent = bad[number % 3] if number % 10 == 0 else pixels
        learner.hear(Heard(number * 100 * MS, number * 100 * MS, number))
        learner.see(Frame("rgb", sent, 0, number))
    lesson = learner.lesson()
    assert lesson.frames == 198
    assert "22 frames of another form, flat or saturated were left out" in lesson.remarks
    assert lesson.limits.saturated_share == pytest.approx(0.98, abs=0.01)


@pytest.mark.parametrize("trust", [False, True], ids=["doubted", "trusted"])
def test_noise_in_the_middle_teaches_only_when_trusted(trust) -> None:
    learner, random = Learner(RGB, trust=trust), np.random.default_rng(5)
    for number, pixels in enumerate(frames(RGB, 220, moving=True, noise=0)):
        sent = random.integers(0, 256, pixels.shape, np.uint8) if 100 <= number < 140 else pixels
        learner.hear(Heard(number * 100 * MS, number * 100 * MS, number))
        learner.see(Frame("rgb", sent, 0, number))
    lesson = learner.lesson()
    assert lesson.frames == (220 if trust else 180)
    assert (lesson.limits.noise_ratio > 1.9) == trust
    told = [remark for remark in lesson.remarks if "40 frames between 10.0 and 13.9 s look like a fault" in remark]
    assert len(told) == (not trust)
    assert trust or "learn again with --trust" in told[0]


def test_recording_that_looks_like_a_fault_throughout_says_so(two) -> None:
    training = dataclasses.replace(two.manifest.statistics[0], name="heat")
    learner = Learner(HEAT, training)
    for number, pixels in enumerate(frames(HEAT, 220, moving=True, noise=0)):
        learner.hear(Heard(number * 100 * MS, number * 100 * MS, number))
        learner.see(Frame("heat", pixels, 0, number))
    with pytest.raises(DataError, match=r"220 frames between 0.0 and 21.9 s look like a fault .mean .*--trust"):
        learner.lesson()


def test_uneven_frames_and_repeats_are_told() -> None:
    learner, at_ms = Learner(RGB), 0
    pictures = list(frames(RGB, 220, moving=True, noise=0))
    for number in range(220):
        at_ms += 400 if 100 <= number < 120 else 100
        learner.hear(Heard(at_ms * MS, at_ms * MS, number))
        learner.see(Frame("rgb", pictures[min(number, 180)], 0, number))
    remarks = learner.lesson().remarks
    assert any("unevenly" in remark for remark in remarks)
    assert any(remark.startswith("39 frames repeat the one before") for remark in remarks)


def test_fragment_is_a_rig_that_gives_the_limits_back(tmp_path, two) -> None:
    lessons = [learned(RGB, moving=False, noise=0.05), learned(NDSM)]
    (tmp_path / "rig.toml").write_text(fragment(lessons))
    task = rig.load(tmp_path / "rig.toml").task(two.manifest.task)
    for lesson in lessons:
        assert task.sensor(lesson.sensor).health == lesson.limits
        assert task.sensor(lesson.sensor).rate_hz == lesson.rate_hz


def recorded(folder, count=130):
    for number, pixels in enumerate(frames(RGB, count, moving=False, noise=0.05)):
        write_png(folder / f"{number:04}.png", pixels)
    return f"rgb=folder:{folder}"


def test_verb_learns_shows_and_writes(tmp_path, two, capsys) -> None:
    source, out = recorded(tmp_path / "rgb"), tmp_path / "limits.toml"
    assert main(["health", "fit", str(two.path), "--source", source, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "rgb: 130 frames in 13 s" in shown.out
    assert "never_repeats" in shown.out
    assert rig.load(out).task(two.manifest.task).sensor("rgb").health.never_repeats
    assert main(["health", "fit", str(two.path), "--source", source, "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_what_cannot_be_learned_from_is_refused_and_leaves_no_file(tmp_path, two) -> None:
    source = recorded(tmp_path / "rgb", 20).partition("=")[2]
    out = tmp_path / "limits.toml"
    for sources, error, text in (
        ({}, SourceError, "no sensor has a source"),
        ({"rbg": source}, SourceError, "did you mean 'rgb'"),
        ({"rgb": source}, DataError, "20 good frames in 1.9 s"),
        ({"rgb": "folder:nowhere"}, SourceError, "nowhere"),
        ({"rgb": "video:tcp://127.0.0.1:1"}, SourceError, "is a live source"),
        ({"rgb": "python:nowhere:frames"}, SourceError, "is a live source"),
        ({"rgb": "python:nowhere:frames?paced=1"}, SourceError, "nowhere"),
    ):
        with pytest.raises(error, match=text):
            fit(two.path, Recording(sources), out)
        assert not out.exists()
    out.write_text("mine")
    with pytest.raises(StorageError):
        fit(two.path, Recording({"rgb": source}), out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("of_periods = 3", "did you mean 'off_periods'"),
        ("off_periods = 0.5", "expected above 1"),
        ("hole_share = 1.5", "expected above 0, at most 1"),
        ("mean_low = 3\nmean_high = 2", "expected low first"),
        ("gaps = 0", "expected 1 or more"),
        ("late_ms = nan", "expected a finite number"),
        ('never_repeats = "yes"', "never_repeats is 'yes'"),
    ],
)
def test_wrong_limits_are_refused_when_the_rig_is_read(tmp_path, text, message) -> None:
    (tmp_path / "rig.toml").write_text(f"[sensors.rgb.health]\n{text}\n")
    with pytest.raises(RecipeError, match=message):
        rig.load(tmp_path / "rig.toml")


def test_rig_changes_single_limits_and_keeps_the_bundles_others(two) -> None:
    sensor = dataclasses.replace(RGB, health=HealthLimits(gaps=7, never_repeats=True))
    task = dataclasses.replace(two.manifest.task, sensors=(sensor, NDSM))
    changed = rig.Rig({"rgb": rig.RigSensor(health={"off_periods": 4, "never_repeats": False})}).task(task)
    assert changed.sensor("rgb").health == HealthLimits(gaps=7, off_periods=4.0)
    assert changed.sensor("ndsm") == NDSM
