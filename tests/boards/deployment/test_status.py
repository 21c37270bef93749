"""`status` for people: what flies tells of itself, in units, with ages by the board's own clock."""

from __future__ import annotations

import json

import pytest
from fake_board import FakeBoard

from dis2_boards.targets import address
from dis2_boards.verbs.status import live_rows
from dis2_edge.cli import main

LIVE = {
    "bundle": "b" * 12,
    "engine": "tensorrt",
    "precision": "int8",
    "scenario": "rgb+ndsm",
    "blind": False,
    "ticks": 81,
    "answered": 80,
    "rate_hz": 10.034,
    "p50_ms": 6.9341,
    "sensors": {"rgb": "ok", "ndsm": "off"},
    "started_s": 1000.0,
    "written_s": 1089.6,
    "telemetry": {"power_w": 7.123, "power_mode": "15W", "temperatures_c": {"gpu": 51.5}, "why": ""},
    "ended": "",
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    made = FakeBoard()
    monkeypatch.setattr(address, "target_of", lambda _: made)
    return made


def test_live_state_in_units() -> None:
    assert dict(live_rows(LIVE, 1090.0)) == {
        "version": "b" * 12,
        "engine": "tensorrt int8",
        "scenario": "rgb+ndsm",
        "sensors": "rgb ok, ndsm off",
        "ticks": "80 answered of 81",
        "rate": "10 Hz",
        "median tick": "6.93 ms",
        "power": "7.12 W",
        "power mode": "15W",
        "temperatures": "gpu 51.5 °C",
        "started": "2 min ago",
        "told": "0 s ago",
    }


def test_power_that_nobody_measures_is_said_so() -> None:
    unmeasured = {**LIVE, "telemetry": {"power_w": None, "why": "no sensor"}, "blind": True}
    rows = dict(live_rows(unmeasured, 1090.0))
    assert rows["power"] == "not measured (no sensor)"
    assert rows["scenario"] == "blind"
    assert "power" not in dict(live_rows({**LIVE, "telemetry": None}, 1090.0))


def test_a_board_that_is_not_well_ends_with_2_and_the_way_back(board: FakeBoard, capsys: Capture) -> None:
    told = {"current": "b" * 12, "healthy": False, "why": "it last told of itself 40 s ago", "live": LIVE}
    board.faults["status"] = {"answer": {**told, "versions": [], "previous": None}}
    assert main(["status"]) == 2
    assert "rollback" not in capsys.readouterr().err
    told["previous"] = "a" * 12
    board.faults["status"] = {"answer": {**told, "versions": [], "service": {"kind": "process"}, "pending": "c" * 12}}
    assert main(["status"]) == 2
    said = capsys.readouterr()
    assert "health: not healthy: it last told of itself 40 s ago" in said.out
    assert f"a switch to {'c' * 12} is not settled" in said.out
    assert "dis2-edge rollback --target ssh://pilot@drone" in said.err


def test_json_is_the_agents_answer(board: FakeBoard, capsys: Capture) -> None:
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["current"] == "a" * 12
    assert board.verbs == ["status"]


@pytest.mark.parametrize(
    ("words", "ask", "answer", "told"),
    [
        (["rollback"], {"to": None}, {"before": "a" * 12, "current": "b" * 12}, "runs bbbbbbbbbbbb; before it was aaa"),
        (["rollback", "c" * 12], {"to": "c" * 12}, {"before": None, "current": "c" * 12}, "before it was nothing"),
        (["prune"], {"keep": 2}, {"removed": [], "freed_bytes": 0}, "removed no version; 0 kB are free again"),
        (["prune", "--keep", "0"], {"keep": 0}, {"removed": ["d" * 12], "freed_bytes": 158_000_000}, "158 MB are free"),
    ],
)
def test_rollback_and_prune_hold_the_lock(
    board: FakeBoard, words: list[str], ask: dict[str, object], answer: dict[str, object], told: str, capsys: Capture
) -> None:
    board.faults[words[0]] = {"answer": answer}
    assert main([*words, "--wait", "5"]) == 0
    assert told in capsys.readouterr().out
    assert board.asked[0]["ask"] == "lock"
    assert board.asked[0]["wait_s"] == 5
    assert "@" in board.asked[0]["who"]
    assert board.asked[1] == {"ask": words[0], **ask}


@pytest.mark.parametrize("verb", ["rollback", "prune"])
def test_nothing_is_changed_where_nothing_was_deployed(verb: str, board: FakeBoard, capsys: Capture) -> None:
    board.hello["deployed"] = False
    assert main([verb]) == 2
    assert "nothing was ever deployed to" in capsys.readouterr().err
    assert board.asked == []


def test_rollback_takes_ids_alone(board: FakeBoard, capsys: Capture) -> None:
    assert main(["rollback", "v2"]) == 2
    assert "'v2' is no version's id; expected 12 hexadecimal digits" in capsys.readouterr().err
    assert board.asked == []


def test_status_of_an_empty_board_draws_no_empty_table(board: FakeBoard, capsys: Capture) -> None:
    board.faults["status"] = {"answer": {"versions": [], "healthy": None, "why": "nothing flies"}}
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "no version is on" in said
    assert "chosen" not in said


def test_prune_keeps_no_negative_number(capsys: Capture) -> None:
    assert main(["prune", "--keep", "-1"]) == 2
    assert "--keep is -1; expected 0 or more" in capsys.readouterr().err


def test_a_key_is_trusted_from_afar(board: FakeBoard, tmp_path: object, capsys: Capture) -> None:
    pem = f"{tmp_path}/ann.pem"
    assert main(["key", "new", pem]) == 0
    target = ["--target", "ssh://pilot@drone"]
    assert main(["key", "trust", pem.replace(".pem", ".pub"), *target]) == 0
    assert board.asked[-1]["ask"] == "trust"
    assert board.asked[-1]["name"] == "ann"
    assert len(board.asked[-1]["key"]) == 44
    board.faults["trusted"] = {"answer": {"trusted": [], "ids": {}}}
    assert main(["key", "list", *target]) == 0
    assert "change that: dis2-edge key trust FILE --target ssh://pilot@drone" in capsys.readouterr().out
