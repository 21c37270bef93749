"""The campaign: its list of flights, its judge (who must find what is wrong), its table, its exit code."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tiny_bundle import HEAT, NDSM, RGB, make_bundle, task_of, write_scene

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.cli import main
from dis2_edge.errors import EngineError, SourceError, UserError
from dis2_edge.limits import HealthLimits
from dis2_runtime.campaign import plan_legs, run_campaign
from dis2_runtime.campaign.expect import JITTER, expected
from dis2_runtime.campaign.judge import judge, unanswered
from dis2_runtime.campaign.plan import LEAD_S, Leg
from dis2_runtime.campaign.table import complaints, rows
from dis2_runtime.campaign.witness import Noted, Seen
from dis2_runtime.faults import KINDS, Fault, FaultPlan
from dis2_runtime.fly import Flight
from dis2_runtime.stream import Stream

TASK = task_of(RGB, NDSM)
POLICY = Policy(rate_hz=10, return_after=3, hold_ms=400)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return write_scene(tmp_path_factory.mktemp("flight"), task_of(RGB, NDSM, HEAT))


def flight_over(scene: Path, *sensors: str, **keys) -> Flight:
    return Flight(dict.fromkeys(sensors, f"flight:{scene}"), speed="max", threads=1, **keys)


def test_every_kind_meets_every_sensor_and_all_of_them_in_every_length() -> None:
    legs = plan_legs(TASK.sensors, 3, storms=4, seed=7)
    found = {(leg.kind, leg.target, leg.length_s) for leg in legs if leg.kind != "storm"}
    targets = {kind: {"rgb", "ndsm", "all"} if kind != "nan" else {"ndsm", "all"} for kind in KINDS}
    assert found == {(kind, t, length) for kind in KINDS for t in targets[kind] for length in (0.5, 2.0, 8.0)}
    assert sum(leg.kind == "storm" for leg in legs) == 4
    assert legs == plan_legs(TASK.sensors, 3, storms=4, seed=7)
    assert legs[-1] != plan_legs(TASK.sensors, 3, storms=4, seed=8)[-1]
    for leg in legs:
        assert all(
            fault.start_s >= LEAD_S and fault.start_s + fault.length_s < leg.seconds for fault in leg.faults.fault
        )
        assert all(fault.kind != "nan" or fault.sensor == "ndsm" for fault in leg.faults.fault)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="unknown kind of fault 'of'; did you mean 'off'"):
        plan_legs(TASK.sensors, 3, kinds=["of"])


def noted(seconds: float, seen: dict[str, list[tuple[float, float, str, bool]]], rate_hz: float = 10) -> list[Noted]:
    """Ticks at a fixed rate; `seen` lists for each sensor from when to when it had which state and was used."""
    ticks = []
    for number in range(1, round(seconds * rate_hz) + 1):
        now = number / rate_hz
        sensors = {name: Seen("ok", True) for name in TASK.sensor_names}
        for name, spans in seen.items():
            for start, end, state, used in spans:
                if start <= now < end:
                    sensors[name] = Seen(state, used)
        ticks.append(Noted(now, "fresh", 1.0, sensors))
    return ticks


def leg_of(kind: str, seconds: float = 9.0, length_s: float = 2.0) -> Leg:
    return Leg(kind, "rgb", length_s, seconds, FaultPlan((Fault("rgb", kind, 3.0, length_s),)))


def test_a_flight_as_it_should_be_is_good() -> None:
    told = judge(leg_of("off"), noted(9, {"rgb": [(3.2, 5.0, "off", False), (5.0, 5.3, "ok", False)]}), TASK, POLICY)
    assert told.good
    assert told.delays == [pytest.approx(2.0)]
    assert told.returns == [3]
    assert (told.due, told.answered) == (90, 90)


@pytest.mark.parametrize(
    ("kind", "spans", "complaint"),
    [
        ("off", [(3.2, 5.3, "garbage", False)], "rgb is garbage 0.30 s into off"),
        ("off", [(3.6, 5.3, "off", False)], "rgb is used 0.30 s into off"),
        ("off", [(3.2, 9.1, "off", False)], "not used again in time"),
        ("garbage", [(3.1, 5.3, "garbage", False), (7.0, 7.3, "garbage", False)], "is garbage without a fault"),
        ("delayed", [(3.2, 5.0, "off", False)], "rgb is off 0.90 s into delayed"),
    ],
)
def test_a_wrong_state_is_found(kind: str, spans: list, complaint: str) -> None:
    told = judge(leg_of(kind), noted(9, {"rgb": spans}), TASK, POLICY)
    assert any(complaint in line for line in told.wrong), told.wrong
    assert not told.good


def test_a_false_alarm_on_the_other_sensor_is_found() -> None:
    seen = {"rgb": [(3.2, 5.3, "off", False)], "ndsm": [(4.0, 4.2, "stuck", False)]}
    told = judge(leg_of("off"), noted(9, seen), TASK, POLICY)
    assert told.wrong == ["4.00 s: ndsm is stuck without a fault", "4.10 s: ndsm is stuck without a fault"]


def test_an_intermittent_sensor_must_be_named_once() -> None:
    leg = leg_of("intermittent", 16.0, 8.0)
    assert any("never named" in line for line in judge(leg, noted(16, {}), TASK, POLICY).wrong)
    assert judge(leg, noted(16, {"rgb": [(6.0, 6.1, "intermittent", True)]}), TASK, POLICY).good


def test_gaps_that_are_remembered_are_no_false_alarm() -> None:
    lost = tuple(Fault("rgb", "off", 3.0 + number, 0.4) for number in range(3))
    leg = Leg("storm", "all", 2.4, 12.0, FaultPlan(lost))
    silent = [(fault.start_s + 0.2, fault.start_s + 0.45, "off", False) for fault in lost]
    after = {"rgb": [*silent, (5.8, 6.4, "intermittent", True)]}
    assert judge(leg, noted(12, after), TASK, POLICY).good
    late = {"rgb": [*silent, (10.0, 10.1, "intermittent", True)]}
    assert judge(leg, noted(12, late), TASK, POLICY).wrong == ["10.00 s: rgb is intermittent without a fault"]


def test_nobody_can_tell_a_stuck_camera_from_a_hovering_one_alone() -> None:
    assert not expected(Fault("rgb", "stuck", 1.0), RGB, 3, witness=1.0).usable
    assert expected(Fault("rgb", "stuck", 1.0), RGB, 3, witness=0.0).usable
    noisy = dataclasses.replace(RGB, health=HealthLimits(never_repeats=True))
    assert not expected(Fault("rgb", "stuck", 1.0), noisy, 3, witness=0.0).usable


def test_the_same_heights_again_are_no_fault() -> None:
    assert expected(Fault("ndsm", "stuck", 1.0), NDSM, 3).usable
    assert not expected(Fault("rgb", "stuck", 1.0), RGB, 3).usable
    noisy = dataclasses.replace(NDSM, health=HealthLimits(never_repeats=True))
    assert not expected(Fault("ndsm", "stuck", 1.0), noisy, 3).usable


def test_limits_that_were_learned_move_what_is_expected() -> None:
    patient = dataclasses.replace(RGB, health=HealthLimits(never_repeats=True, stuck_repeats=9, off_periods=4.0))
    assert expected(Fault("rgb", "stuck", 1.0), patient, 3).window == 10 + JITTER
    assert expected(Fault("rgb", "off", 1.0), patient, 3).window == 4 + JITTER


def test_missing_ticks_are_counted_against_the_clock() -> None:
    ticks = noted(9, {})
    assert unanswered(leg_of("off"), ticks, TASK, POLICY) == 0
    assert unanswered(leg_of("off"), ticks[:40] + ticks[43:], TASK, POLICY) == 3
    assert unanswered(leg_of("off"), [], TASK, POLICY) == 90
    assert unanswered(leg_of("off"), [*ticks[:50], ticks[49], *ticks[51:]], TASK, POLICY) == 1


def test_missing_ticks_of_an_anchor_are_counted_by_its_gaps() -> None:
    policy = Policy(anchor="rgb", rate_hz=10, return_after=3, hold_ms=400)
    ticks = noted(9, {})
    assert unanswered(leg_of("off"), ticks, TASK, policy) == 0
    late = [row._replace(time_s=row.time_s + 0.05) for row in ticks[30:]]
    assert unanswered(leg_of("off"), ticks[:30] + late, TASK, policy) == 0
    assert unanswered(leg_of("off"), ticks[:40] + ticks[43:], TASK, policy) == 3
    assert unanswered(leg_of("off"), ticks[:60], TASK, policy) >= 29
    assert unanswered(leg_of("off"), ticks[:-1], TASK, policy) == 0  # its frame may come a little after the end
    assert unanswered(leg_of("off"), ticks[:-2], TASK, policy) == 1
    assert unanswered(leg_of("off"), [], TASK, policy) >= 88


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Three sensors: on 24 x 32 pixels white noise is too small a sample to be told from ground each time."""
    return make_bundle(tmp_path_factory.mktemp("large") / "bundle", task_of(RGB, NDSM, HEAT, grid=(48, 64)))


@pytest.mark.parametrize(
    ("flying", "lengths_s"), [("large", (0.5, 2.0)), ("pair", (2.0,))], indirect=["flying"], ids=["large", "pair"]
)
def test_all_sensors_survive_every_kind_and_a_storm(flying: Bundle, lengths_s: tuple[float, ...], scene: Path) -> None:
    sensors = flying.manifest.task.sensors
    legs = plan_legs(sensors, 3, lengths_s=lengths_s, storms=2)
    campaign = run_campaign(flying, flight_over(scene, *(sensor.name for sensor in sensors)), legs)
    assert campaign.survived
    assert not complaints(campaign)
    for row in rows(campaign):
        if row["fault"] in ("off", "garbage", "nan", "wrong"):  # silence shows after two periods, at the next tick
            assert row["named_periods"][1] <= 2 + JITTER + (row["fault"] == "off")
    assert rows(campaign)[-1]["flights"] == len(legs)


def test_what_the_campaign_says_of_a_crash(two: Bundle, scene: Path, monkeypatch) -> None:
    legs = plan_legs(two.manifest.task.sensors, 3, kinds=["off"], lengths_s=(0.5,), storms=0)
    whole = Stream.run
    left = [2]

    def broken(self, *args):
        left[0] -= 1
        if left[0] == 0:
            raise ZeroDivisionError("in the air")
        return whole(self, *args)

    monkeypatch.setattr(Stream, "run", broken)
    campaign = run_campaign(two, flight_over(scene, "rgb", "ndsm"), legs)
    assert not campaign.survived
    assert [bool(judged.crash) for _, judged in campaign.flown] == [False, True, False]
    assert any("crashed: ZeroDivisionError: in the air" in line for line in complaints(campaign))
    assert rows(campaign)[-1]["crashes"] == 1
    assert rows(campaign)[-1]["unanswered"] > 40


def test_a_failing_engine_is_no_crash_and_every_tick_is_answered(two: Bundle, scene: Path, monkeypatch) -> None:
    from dis2_runtime.engines.onnx_runtime import OnnxEngine

    def fail(*args):
        raise EngineError("no")

    legs = plan_legs(two.manifest.task.sensors, 3, kinds=["wrong"], lengths_s=(0.5,), storms=0)[:1]
    monkeypatch.setattr(OnnxEngine, "infer", fail)
    campaign = run_campaign(two, flight_over(scene, "rgb", "ndsm"), legs)
    assert campaign.survived
    assert "fresh" not in campaign.flown[0][1].masks


def test_in_real_time_too(two: Bundle, scene: Path) -> None:
    legs = plan_legs(two.manifest.task.sensors, 3, kinds=["off"], lengths_s=(0.5,), storms=0)[-1:]
    flight = Flight(dict.fromkeys(("rgb", "ndsm"), f"flight:{scene}"), speed="real", threads=1)
    assert run_campaign(two, flight, legs).survived


def test_what_is_not_there_is_the_users_to_mend(two: Bundle, tmp_path: Path) -> None:
    legs = plan_legs(two.manifest.task.sensors, 3, storms=1)
    with pytest.raises(SourceError, match="no scene"):
        run_campaign(two, flight_over(tmp_path, "rgb", "ndsm"), legs)


def test_the_verb_writes_its_table_and_ends_by_its_verdict(two: Bundle, scene: Path, tmp_path: Path, capsys) -> None:
    words = ["campaign", str(two.path), "--threads", "1", "--storms", "1", "--kinds", "off", "--seconds", "0.5"]
    both = ["--source", f"rgb=flight:{scene}", "--source", f"ndsm=flight:{scene}"]
    assert main([*words, *both, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "storm" in shown
    table = json.loads((tmp_path / "out/campaign.json").read_text())
    assert table["survived"]
    assert len(table["flights"]) == 4
    assert table["rows"][0]["p99_ms"] is None
    assert (tmp_path / "out/campaign.txt").read_text().count("|\n") == 2 + 5
    # a sensor without a source is off, and that is not what a flight without faults looks like
    assert main([*words, "--source", f"rgb=flight:{scene}"]) == 1
    assert "ndsm is off without a fault" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "value"), [("--seconds", "a"), ("--seconds", "0"), ("--storms", "-1"), ("--kinds", "x")]
)
def test_bad_words_are_refused(two: Bundle, scene: Path, capsys, word: str, value: str) -> None:
    assert main(["campaign", str(two.path), "--source", f"rgb=flight:{scene}", word, value]) == 2
    assert value in capsys.readouterr().err
