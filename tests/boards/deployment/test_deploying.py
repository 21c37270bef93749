"""One deploy against a made-up board: what is asked in which order, what travels, and what it says when it fails."""

from __future__ import annotations

from typing import Any

import pytest
from fake_board import CutError, FakeBoard

from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.steps import STEPS, Step
from dis2_edge.bundle import Bundle
from dis2_edge.errors import LostError, UserError

OLD = "a" * 12


class Heard:
    """Keeps what is told; `at` is called at the begin of each step."""

    def __init__(self, at: Any = None) -> None:
        self.steps: list[str] = []
        self.remarks: list[str] = []
        self.told: list[tuple[str, int, int]] = []
        self._at = at

    def begins(self, step: Step) -> None:
        self.steps.append(step.name)
        if self._at is not None:
            self._at(step)

    def progress(self, label: str, done: int, total: int) -> None:
        self.told.append((label, done, total))

    def ended(self, step: Step, seconds: float) -> None:
        assert seconds >= 0

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def test_everything_is_asked_in_its_order(order: Order, board: FakeBoard, bundle: Bundle) -> None:
    heard = Heard()
    done = deploy(order, heard)
    asked = [verb for verb in board.verbs if verb not in ("put", "status")]
    assert asked == ["trusted", "lock", "have", "place", "install", "prove", "switch", "settle"]
    assert heard.steps == [step.name for step in STEPS if step.name not in ("tiles", "report", "service")]
    assert (done.bundle.id, done.before, done.engine, done.precision) == (bundle.id, OLD, "onnxruntime", "int8")
    assert board.hello["current"] == bundle.id


def test_all_that_lacks_travels_and_only_that(order: Order, board: FakeBoard, bundle: Bundle) -> None:
    first = deploy(order, Heard())
    assert first.sent_bytes == first.total_bytes == sum(map(len, board.stock.values()))
    placed = next(row for row in board.asked if row["ask"] == "place")["files"]
    assert set(placed) == {*bundle.manifest.files, "manifest.json", "manifest.sha256"}
    assert {sha for sha, _ in placed.values()} <= set(board.stock)
    dropped = sorted(board.stock)[0]
    size = len(board.stock.pop(dropped))
    again = deploy(order, Heard())
    assert (again.sent_bytes, again.total_bytes) == (size, first.total_bytes)


def test_progress_counts_all_bytes_that_travel(order: Order) -> None:
    heard = Heard()
    done = deploy(order, heard)
    assert [total for *_, total in heard.told] == [done.total_bytes] * len(heard.told)
    assert heard.told[-1][1] == done.total_bytes


def test_a_connection_taken_while_sending_goes_on_where_it_stopped(order: Order, board: FakeBoard) -> None:
    board.faults["put"] = CutError
    with pytest.raises(LostError, match=rf"taken, while sending what it lacks.*asked anew: .*runs {OLD}.*same command"):
        deploy(order, Heard())
    kept = sum(map(len, board.parts.values()))
    assert kept > 0
    board.faults.clear()
    done = deploy(order, Heard())
    assert done.sent_bytes == done.total_bytes - kept


def test_a_damaged_beginning_is_sent_whole(order: Order, board: FakeBoard) -> None:
    board.faults["put"] = CutError
    with pytest.raises(LostError):
        deploy(order, Heard())
    board.faults.clear()
    (sha,) = board.parts
    board.parts[sha] = b"x" * len(board.parts[sha])
    deploy(order, Heard())
    assert sha in board.stock


@pytest.mark.parametrize("verb", ["lock", "have", "place", "install", "prove", "switch", "settle"])
def test_taken_at_any_step_the_message_says_what_runs_and_how_to_go_on(
    order: Order, board: FakeBoard, verb: str
) -> None:
    board.faults[verb] = CutError
    with pytest.raises(LostError, match="the same command goes on where it stopped: dis2-edge deploy bundle --target"):
        deploy(order, Heard())
    assert board.opened == 2  # once for the deploy, once to ask what runs


@pytest.mark.parametrize("verb", ["place", "install", "prove"])
def test_a_refusal_before_the_switch_says_what_still_runs(order: Order, board: FakeBoard, verb: str) -> None:
    board.faults[verb] = {"error": {"found": "no space", "expected": "", "mend": "dis2-edge prune"}}
    told = rf"no space; dis2-edge prune --target ssh://pilot@drone; .* still runs {OLD}"
    with pytest.raises(UserError, match=told):
        deploy(order, Heard())
    assert "switch" not in board.verbs


def test_an_engine_that_does_not_prove_is_not_switched_to(order: Order, board: FakeBoard) -> None:
    board.faults["prove"] = {"answer": {"proof": {"rows": [], "chosen": None, "why": "rgb agrees with 0.2"}}}
    with pytest.raises(UserError, match=rf"no engine of .* passed on .*: rgb agrees with 0.2.*still runs {OLD}"):
        deploy(order, Heard())
    assert "switch" not in board.verbs


def test_a_version_that_is_not_healthy_went_back_by_itself(order: Order, board: FakeBoard) -> None:
    board.faults["settle"] = {"answer": {"kept": False, "why": "it ended after 2 s"}}
    with pytest.raises(UserError, match=r"did not keep .*: it ended after 2 s; .*went back by itself: .* runs "):
        deploy(order, Heard())


def test_what_the_board_finds_damaged_in_its_stock_is_sent_anew_once(order: Order, board: FakeBoard) -> None:
    deploy(order, Heard())
    lost = next(iter(board.stock))
    fault = {"error": {"found": "damaged on the disk", "expected": "", "mend": "deploy again"}}
    board.faults["place"] = [fault]
    board.faults["have"] = [{"answer": {"missing": [], "partial": {}}}]
    size = len(board.stock.pop(lost))
    assert deploy(order, Heard()).sent_bytes == size
    assert lost in board.stock


@pytest.mark.parametrize("name", [step.name for step in STEPS if step.name not in ("tiles", "report", "service")])
def test_ctrl_c_at_any_step_says_what_is_left(order: Order, board: FakeBoard, name: str) -> None:
    def interrupt(step: Step) -> None:
        if step.name == name:
            raise KeyboardInterrupt

    heard = Heard(interrupt)
    with pytest.raises(KeyboardInterrupt):
        deploy(order, heard)
    assert any("interrupted while" in text and "the same command goes on" in text for text in heard.remarks)
    after = ("switch", "settle")
    assert any(f"still runs {OLD}" in text for text in heard.remarks) == (name not in ("hello", *after))


def test_a_service_is_set_up_before_the_switch(order: Order, board: FakeBoard) -> None:
    import dataclasses

    deploy(dataclasses.replace(order, service="systemd-user"), Heard())
    asked = [row for row in board.asked if row["ask"] == "service"]
    assert [row["kind"] for row in asked] == ["systemd-user"]
    assert board.verbs.index("service") < board.verbs.index("switch")
