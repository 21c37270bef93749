"""A roll-out under a stand-in for ansible: order, stops, going on, what is told. The real one: test_with_ansible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dis2_boards.fleet import playbook
from dis2_edge import bundle as bundles
from dis2_edge.errors import BoardError, BundleError, MissingExtraError
from tests.boards.fleet.a_fleet import AFleet

pytestmark = pytest.mark.usefixtures("fake_ansible")


def test_every_board_takes_the_bundle(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = AFleet.made(tmp_path, bundle, head="wave_size = 2")
    assert fleet.roll_out("--wait", "5") == 0
    assert fleet.flies() == dict.fromkeys(("b0", "b1", "b2", "b3"), "new")
    assert fleet.diary()[:2] == ["begin b0", "end b0"], "the canary is done before anyone else begins"
    assert set(fleet.diary()[2:6]) == {"begin b1", "end b1", "begin b2", "end b2"}
    words = json.loads((tmp_path / "b1" / "words").read_text())
    assert words[:6] == ["deploy", str(bundle), "--wait", "5", "--target", f"dir:{tmp_path / 'b1'}"]
    assert "--unless-flying" in json.loads((tmp_path / "b1" / "asked").read_text())
    record = fleet.record()
    assert record["bundle"] == bundles.read(bundle).id
    assert record["all_fly"] is True
    assert record["boards"][3] | {"seconds": 0} == {
        "name": "b3",
        "wave": "wave 2",
        "target": f"dir:{tmp_path / 'b3'}",
        "state": "kept",
        "before": "old",
        "after": "new",
        "engine": "onnxruntime",
        "precision": "int8",
        "p50_ms": 12.5,
        "why": "",
        "seconds": 0,
    }
    told = capsys.readouterr()
    assert "b0     canary  kept   old     new    onnxruntime int8  12.5" in told.out
    assert "every board flies bundle" in told.out
    assert "wave 1: b1: kept, old -> new, onnxruntime int8" in told.err


@pytest.mark.parametrize(
    ("mode", "state", "why"),
    [
        ("roll back", "rolled back", "no tick within 10 s"),
        ("refuse", "failed", "dis2-edge: too little space; expected 100 MB; free some"),
        ("die", "failed", "it ended with -9 and said nothing"),
    ],
)
def test_a_canary_that_fails_stops_all(
    tmp_path: Path, bundle: Path, mode: str, state: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = AFleet.made(tmp_path, bundle, head="at_most_failed = 3")
    fleet.mode("b0", mode)
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == [state, "not tried", "not tried", "not tried"]
    canary = fleet.record()["boards"][0]
    assert (canary["why"], canary["before"], canary["after"]) == (why, "old", "old")
    assert set(fleet.flies().values()) == {"old"}
    assert "stopped after canary, which failed; the same command again goes on" in capsys.readouterr().err


def test_a_wave_ends_and_the_next_does_not_begin(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, head='waves = [["b1", "b2"], ["b3"]]')
    fleet.mode("b1", "roll back")
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == ["kept", "rolled back", "kept", "not tried"]
    assert fleet.record()["stopped"] == "stopped after wave 1, which failed"
    assert fleet.flies() == {"b0": "new", "b1": "old", "b2": "new", "b3": "old"}


def test_some_may_fail_and_still_nobody_calls_it_done(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, head='at_most_failed = 1\nwaves = [["b1", "b2"], ["b3"]]')
    fleet.mode("b2", "refuse")
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == ["kept", "kept", "failed", "kept"]
    assert fleet.record()["stopped"] == ""


def test_a_wave_of_which_nobody_is_left_stops_whatever_may_fail(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, head='at_most_failed = 2\nwaves = [["b1", "b2"], ["b3"]]')
    fleet.mode("b1", "refuse")
    fleet.mode("b2", "refuse")
    assert fleet.roll_out() == 2
    assert [row[2] for row in fleet.states()] == ["kept", "failed", "failed", "not tried"]


def test_the_same_command_goes_on(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, head="wave_size = 2")
    fleet.mode("b2", "roll back")
    assert fleet.roll_out() == 2
    fleet.mode("b2", "keep")
    assert fleet.roll_out() == 0
    assert [row[2] for row in fleet.states()] == ["flew already", "flew already", "kept", "kept"]


def test_a_wave_works_side_by_side_and_at_once_bounds_it(tmp_path: Path, bundle: Path) -> None:
    """b1 waits for a file that b2 makes when it begins: both end only if they are at work together."""
    fleet = AFleet.made(tmp_path, bundle, count=3)
    fleet.mode("b1", "wait")
    (tmp_path / "b1" / "go on").symlink_to(tmp_path / "b2" / "words")
    assert fleet.roll_out() == 0
    serial = AFleet.made(tmp_path / "serial", bundle, count=4, head="at_once = 1")
    assert serial.roll_out() == 0
    assert serial.diary() == [f"{what} b{n}" for n in range(4) for what in ("begin", "end")]


def test_a_bundle_that_was_altered_reaches_no_board(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle)
    card = bundle / "card.md"
    kept = card.read_bytes()
    try:
        card.write_bytes(kept.replace(b"A", b"B", 1))
        with pytest.raises(BundleError, match=r"card\.md was altered"):
            fleet.roll_out()
    finally:
        card.write_bytes(kept)
    assert fleet.diary() == []


def test_without_ansible_there_is_the_pip_line(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(MissingExtraError, match=r"pip install 'dis2-edge\[fleet\]'"):
        AFleet.made(tmp_path, bundle).roll_out()


def test_a_fault_of_ansible_itself_is_told_with_its_words(tmp_path: Path, bundle: Path, fake_ansible: Path) -> None:
    fake_ansible.write_text("#!/bin/sh\necho 'ERROR! no such strategy' >&2\nexit 4\n")
    fleet = AFleet.made(tmp_path, bundle)
    with pytest.raises(BoardError, match="ansible-playbook ended with 4: ERROR! no such strategy"):
        fleet.roll_out()
    assert {row[2] for row in fleet.states()} == {"not tried"}


def test_a_users_settings_for_ansible_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    environment = playbook._environment(tmp_path, [])
    assert "ANSIBLE_STRATEGY" not in environment
    assert environment["ANSIBLE_CONFIG"] == str(tmp_path / "ansible.cfg")
