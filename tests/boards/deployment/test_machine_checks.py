"""What a machine lacks is said before anything is packed or sent: found, expected, mend, with the user's own words."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from fake_board import HELLO, FakeBoard

from dis2_boards.deployment.checks import Case, hold
from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.facts import facts_of
from dis2_boards.deployment.machine_checks import MACHINE_CHECKS, span
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.telling import Spoken
from dis2_edge.errors import BoardError

WORDS = ("runs/a", "--target", "ssh://pilot@drone", "--ssh-config", "lab")


def case_of(*, ahead_s: float = 0.0, ask: dict[str, Any] | None = None, **found: Any) -> Case:
    order = Order(Path("runs/a"), FakeBoard(), words=WORDS, **(ask or {}))
    return Case(order, facts_of({**HELLO, **found}), ahead_s)


def complaint(case: Case) -> str:
    with pytest.raises(BoardError) as raised:
        hold(case, MACHINE_CHECKS)
    assert raised.value.mend
    return str(raised.value)


def test_a_board_with_all_that_is_needed_passes() -> None:
    hold(case_of(), MACHINE_CHECKS)


@pytest.mark.parametrize(("version", "age"), [("3.8.10", "old"), ("3.9.2", "old"), ("3.14.0", "new"), ("", "old")])
def test_a_python_without_wheels(version: str, age: str) -> None:
    told = complaint(case_of(python=version))
    assert f"the Python of ssh://pilot@drone is {version}, too {age}; expected 3.10 to 3.13" in told
    assert "--python python3.10" in told


@pytest.mark.parametrize("version", ["3.10.12", "3.13.0"])
def test_pythons_with_wheels(version: str) -> None:
    hold(case_of(python=version), MACHINE_CHECKS)


def test_no_venv() -> None:
    assert "sudo apt install python3.11-venv" in complaint(case_of(venv=False))


def test_a_folder_that_cannot_be_written() -> None:
    told = complaint(case_of(writable=False))
    assert "pilot cannot write /h/dis2-edge" in told
    assert "sudo install -d -o pilot /h/dis2-edge" in told


@pytest.mark.parametrize(
    ("ahead_s", "told"),
    [(-20_000_000, "231 days behind"), (7300, "2 h ahead of"), (-400, "7 min behind"), (301, "5 min ahead of")],
)
def test_a_clock_far_off(ahead_s: float, told: str) -> None:
    text = complaint(case_of(ahead_s=ahead_s))
    assert f"the clock of ssh://pilot@drone is {told} this computer's; expected at most 5 min" in text
    assert "sudo timedatectl set-ntp true" in text
    assert f"sudo date -u -s '{time.strftime('%Y-')}" in text


def test_a_clock_that_is_near_enough() -> None:
    hold(case_of(ahead_s=-299), MACHINE_CHECKS)


def test_the_clock_is_compared_at_the_greeting(tmp_path: Path) -> None:
    board = FakeBoard()
    (tmp_path / "manifest.json").touch()
    board.hello["clock_s"] = time.time() - 86_400 * 3
    with pytest.raises(BoardError, match="3 days behind"):
        deploy(Order(tmp_path, board), Spoken())
    assert board.verbs == []


def test_spans() -> None:
    assert [span(value) for value in (5, 59, 60, 119, 7199, 7200, 172_800)] == [
        "5 s",
        "59 s",
        "1 min",
        "2 min",
        "120 min",
        "2 h",
        "2 days",
    ]


def test_a_workstation_is_not_taken_for_a_board() -> None:
    told = complaint(case_of(workstation=True))
    assert "ssh://pilot@drone is a workstation (a computer, with a desktop), no board" in told
    assert "dis2-edge deploy runs/a --target ssh://pilot@drone --ssh-config lab --yes-workstation" in told


@pytest.mark.parametrize("ask", [{"workstation": True}, {"board": "workstation-cuda"}])
def test_a_workstation_that_is_meant(ask: dict[str, Any]) -> None:
    hold(case_of(workstation=True, ask=ask), MACHINE_CHECKS)


def test_a_folder_of_this_machine_may_be_on_a_workstation() -> None:
    case = case_of(workstation=True)
    here = dataclasses.replace(case.order, target=FakeBoard(remote=False))
    hold(dataclasses.replace(case, order=here), MACHINE_CHECKS)


def test_no_sudo_for_a_service_of_the_system() -> None:
    told = complaint(case_of(sudo=False, ask={"service": "systemd"}))
    assert "pilot may not use sudo without a password" in told
    assert "dis2-edge deploy runs/a --target ssh://pilot@drone --ssh-config lab --service systemd-user" in told


@pytest.mark.parametrize("kind", ["systemd-user", "process", "none"])
def test_other_services_need_no_sudo(kind: str) -> None:
    hold(case_of(sudo=False, ask={"service": kind}), MACHINE_CHECKS)


def test_the_service_that_the_board_has_counts_too() -> None:
    assert "sudo" in complaint(case_of(sudo=False, service="systemd"))
    hold(case_of(sudo=False, user="root", service="systemd"), MACHINE_CHECKS)


@pytest.mark.parametrize("kind", ["systemd-user", "systemd"])
def test_no_systemd(kind: str) -> None:
    told = complaint(case_of(systemd=False, ask={"service": kind}))
    assert f"has no systemd, which --service {kind} needs" in told
    assert "--service process" in told


@pytest.mark.parametrize("board", ["nano", "tx2"])
def test_a_board_that_is_refused_says_why(board: str) -> None:
    told = complaint(case_of(detected={"board": board, "kind": "jetson"}))
    assert f"is listed and refused: {board}, as " in told


def test_several_complaints_make_one_message() -> None:
    told = complaint_of_many(case_of(python="3.8.10", venv=False, writable=False))
    assert told.startswith("3 things stand in the way on ssh://pilot@drone:\n  1. the Python")
    assert "\n  3. pilot cannot write" in told


def complaint_of_many(case: Case) -> str:
    with pytest.raises(BoardError) as raised:
        hold(case, MACHINE_CHECKS)
    return str(raised.value)


def test_nothing_is_asked_of_a_board_that_does_not_fit(tmp_path: Path) -> None:
    board = FakeBoard()
    board.hello["python"] = "3.8.10"
    (tmp_path / "manifest.json").touch()
    with pytest.raises(BoardError, match="too old"):
        deploy(Order(tmp_path, board), Spoken())
    assert board.verbs == []
    assert board.hello["current"] == "a" * 12
