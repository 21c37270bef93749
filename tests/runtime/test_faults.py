"""Fault files and what they do to a source."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scripted import ScriptedSource, steady
from tiny_bundle import HEAT, NDSM, RGB

from dis2_edge.cli import main
from dis2_edge.errors import RecipeError
from dis2_runtime.faults import KINDS, Fault, FaultedSource, FaultPlan, load
from dis2_runtime.frames import Delivery

SENSORS = (RGB, NDSM, HEAT)
GRID = (24, 32)


def written(folder: Path, text: str) -> Path:
    file = folder / "faults.toml"
    file.write_text(text)
    return file


def table(**keys) -> str:
    keys = {"sensor": '"rgb"', "kind": '"off"', "start_s": "1", **keys}
    return "[[fault]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no fault"),
        ("[[fault]", "not readable TOML"),
        ("[[falt]]\nsensor = 'rgb'", "unknown key 'falt'; did you mean 'fault'"),
        (table(kind='"of"'), "kind is 'of'"),
        (table(sensr="1"), "unknown key 'sensr'; did you mean 'sensor'"),
        (table(start_s=None), "missing start_s"),
        (table(start_s="-1"), "start_s -1"),
        (table(length_s="0"), "length_s 0"),
        ("seed = -1\n" + table(), "seed is -1; expected 0 or more"),
        (table(start_s="nan"), "start_s nan"),
        (table(delay_ms="inf"), "delay_ms inf"),
        (table(start_s='"soon"'), "start_s is 'soon'"),
        (table(sensor='"rbg"'), "unknown sensor 'rbg'; did you mean 'rgb'"),
        (table(kind='"nan"'), "'rgb' is uint8 and knows no NaN; use kind"),
    ],
)
def test_wrong_file_is_refused_with_its_name(tmp_path, text, message) -> None:
    with pytest.raises(RecipeError, match=f"faults.toml.*{message}"):
        load(written(tmp_path, text), SENSORS)


def test_absent_file_is_refused(tmp_path) -> None:
    with pytest.raises(RecipeError, match="does not exist"):
        load(tmp_path / "none.toml")


def test_verb_checks_a_file(tmp_path, capsys, two) -> None:
    assert main(["faults", str(written(tmp_path, table(length_s="2")))]) == 0
    shown = capsys.readouterr().out
    assert "1 faults" in shown
    assert main(["faults", str(written(tmp_path, table(sensor='"heat"'))), "--bundle", str(two.path)]) == 2
    assert "unknown sensor 'heat'" in capsys.readouterr().err


def test_every_kind_is_told(capsys) -> None:
    assert main(["faults"]) == 0
    shown = capsys.readouterr().out
    for kind, meaning in KINDS.items():
        assert kind in shown
        assert meaning in shown


def suffered(kind: str, sensor=RGB, count: int = 30, **keys) -> tuple[list[Delivery], list[Delivery]]:
    """Deliveries before and after the fault had its way, on from 1 s to 2 s."""
    plan = FaultPlan((Fault(sensor.name, kind, 1.0, 1.0, **keys),), seed=3)
    source = FaultedSource(ScriptedSource(steady(sensor, GRID, count)), sensor, plan)
    source.open()
    return list(steady(sensor, GRID, count)), list(iter(source.next, None))


def inside(deliveries: list[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if 1e9 <= delivery.due_ns < 2e9]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "nan"])
@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_nothing_changes_before_and_long_after_a_fault(kind, sensor) -> None:
    clean, faulty = suffered(kind, sensor, delay_ms=150)
    assert len(faulty) == len(clean)
    for before, after in zip(clean, faulty, strict=True):
        if before.due_ns < 1e9 or before.due_ns >= 2.2e9:
            assert after.due_ns == before.due_ns
            np.testing.assert_array_equal(after.frame.pixels, before.frame.pixels)


def test_off_sends_nothing_and_yet_tells_the_time() -> None:
    _, faulty = suffered("off")
    assert [delivery.frame for delivery in inside(faulty)] == [None] * 10


def test_stuck_sends_new_stamps_of_the_last_good_picture() -> None:
    clean, faulty = suffered("stuck")
    for delivery in inside(faulty):
        np.testing.assert_array_equal(delivery.frame.pixels, clean[9].frame.pixels)
    assert len({delivery.frame.time_ns for delivery in inside(faulty)}) == 10


def test_stuck_from_the_start_stands_on_its_first_picture() -> None:
    plan = FaultPlan((Fault("rgb", "stuck", 0.0),))
    source = FaultedSource(ScriptedSource(steady(RGB, GRID, 5)), RGB, plan)
    pictures = [delivery.frame.pixels for delivery in iter(source.next, None)]
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_garbage_is_noise_of_the_right_form_and_wrong_is_of_another(sensor) -> None:
    for before, after in zip(*map(inside, suffered("garbage", sensor)), strict=True):
        assert after.frame.pixels.dtype == before.frame.pixels.dtype
        assert after.frame.pixels.shape == before.frame.pixels.shape
        assert not np.array_equal(after.frame.pixels, before.frame.pixels)
    for before, after in zip(*map(inside, suffered("wrong", sensor)), strict=True):
        assert after.frame.pixels.shape[2] == before.frame.pixels.shape[2] + 1


def test_nan_is_nan() -> None:
    _, faulty = suffered("nan", NDSM)
    assert all(np.isnan(delivery.frame.pixels).all() for delivery in inside(faulty))


def test_slow_keeps_every_fourth_frame() -> None:
    _, faulty = suffered("slow")
    assert [delivery.frame.sequence for delivery in inside(faulty) if delivery.frame] == [12, 16]


def test_delayed_keeps_stamps_and_order_of_arrival() -> None:
    _, faulty = suffered("delayed", delay_ms=250)
    for delivery in faulty[10:20]:
        assert delivery.due_ns == delivery.frame.time_ns + 250_000_000
    assert all(before.due_ns <= after.due_ns for before, after in itertools.pairwise(faulty))


def test_intermittent_loses_bursts_the_same_ones_every_time() -> None:
    plan = FaultPlan((Fault("rgb", "intermittent", 0.0),), seed=1)

    def lost() -> list[bool]:
        source = FaultedSource(ScriptedSource(steady(RGB, (4, 4), 200)), RGB, plan)
        return [delivery.frame is None for delivery in iter(source.next, None)]

    first = lost()
    assert first == lost()
    assert 0.25 < np.mean(first) < 0.75
    runs = [len(list(group)) for value, group in itertools.groupby(first) if value]
    assert min(runs) >= 3


def test_several_faults_at_once_are_played_together() -> None:
    plan = FaultPlan(
        (Fault("rgb", "delayed", 0.0, delay_ms=100), Fault("rgb", "wrong", 0.0), Fault("ndsm", "off", 0.0))
    )
    source = FaultedSource(ScriptedSource(steady(RGB, GRID, 3)), RGB, plan)
    for delivery in iter(source.next, None):
        assert delivery.due_ns - delivery.frame.time_ns == 100_000_000
        assert delivery.frame.pixels.shape[2] == 4


def test_picture_that_cannot_be_read_keeps_its_reason_under_a_fault() -> None:
    broken = Delivery(0, None, "the file is truncated")
    for kind, problem in (("delayed", broken.problem), ("off", "")):
        source = FaultedSource(ScriptedSource(iter([broken])), RGB, FaultPlan((Fault("rgb", kind, 0.0),)))
        assert source.next() == Delivery(0, None, problem)
