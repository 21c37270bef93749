"""What a deploy came to: told in a table, kept in a record for a fleet, measured on tiles, or found done already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from fake_board import CutError, FakeBoard
from proven_bundle import make_data

from dis2_boards.deployment import recorded
from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.summary import show
from dis2_boards.deployment.telling import Spoken
from dis2_boards.fleet import outcome
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError, DataError, RolledBackError
from dis2_edge.tiles_file import read_tiles

Capture = pytest.CaptureFixture[str]
WELL = {"answer": {"healthy": True, "pending": None, "free_bytes": 10**11}}


def test_the_table_says_agreement_and_never_accuracy(order: Order, bundle: Bundle, capsys: Capture) -> None:
    show(deploy(order, Spoken()), order)
    said = capsys.readouterr().out
    assert "agreement with goldens" in said
    assert "accuracy" not in said
    line = next(line for line in said.splitlines() if line.startswith("rgb "))
    assert line.split() == ["rgb", "onnxruntime", "int8", "0.9987", "4.25", "5.00", "-", "flies"]
    assert f"runs tiny {bundle.id}, onnxruntime int8, before it {'a' * 12}: 7 ticks in 1 s" in said
    assert "next:\n  dis2-edge status --target ssh://pilot@drone\n  dis2-edge rollback --target" in said
    assert "install" in said


def test_what_flies_already_and_is_well_is_not_touched(order: Order, board: FakeBoard, bundle: Bundle) -> None:
    board.hello["current"] = bundle.id
    board.faults["status"] = WELL
    done = deploy(order, Spoken())
    assert (done.already, done.before, done.sent_bytes) == (True, bundle.id, 0)
    assert not {"lock", "put", "place", "switch"} & set(board.verbs)
    assert recorded.outcome_of(done).state == "flew already"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"service": "process"}, {}),
        ({"engine": "onnxruntime"}, {}),
        ({}, {"healthy": False}),
        ({}, {"healthy": None}),
        ({}, {"pending": "c" * 12}),
    ],
)
def test_what_flies_already_is_done_again_where_more_is_asked_or_it_is_not_well(
    order: Order, board: FakeBoard, bundle: Bundle, change: dict[str, Any], state: dict[str, Any]
) -> None:
    board.hello["current"] = bundle.id
    board.faults["status"] = {"answer": {**WELL["answer"], **state}}
    assert not deploy(dataclasses.replace(order, **change), Spoken()).already
    assert "switch" in board.verbs


def test_the_record_of_a_deploy(order: Order, bundle: Bundle, tmp_path: Path) -> None:
    with recorded.kept(tmp_path / "record.json") as record:
        record.done(deploy(order, Spoken()))
    read = outcome.read(tmp_path / "record.json")
    assert (read.state, read.before, read.after, read.engine) == ("kept", "a" * 12, bundle.id, "onnxruntime")
    assert read.seconds > 0


@pytest.mark.parametrize(("error", "state"), [(BoardError("x"), "failed"), (RolledBackError("x"), "rolled back")])
def test_the_record_of_a_failure(error: Exception, state: str, tmp_path: Path) -> None:
    with pytest.raises(BoardError), recorded.kept(tmp_path / "record.json"):
        raise error
    assert outcome.read(tmp_path / "record.json").state == state


def test_the_record_of_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), recorded.kept(tmp_path / "record.json"):
        raise KeyboardInterrupt
    assert outcome.read(tmp_path / "record.json").state == "failed"


def test_labelled_tiles_travel_and_the_report_comes_back(
    order: Order, board: FakeBoard, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr("dis2_boards.deployment.changing.draw", lambda folder: None)
    monkeypatch.setattr(
        "dis2_boards.targets.session.Session.fetch", lambda self, name, out: fetched.append(f"{name} {out.name}")
    )
    data = make_data(tmp_path / "data", bundle.manifest.task)
    asked = dataclasses.replace(order, data=data, tiles=4, report=tmp_path / "report")
    done = deploy(asked, Spoken())
    sha = next(row for row in board.asked if row["ask"] == "prove")["tiles"]
    (tmp_path / "tiles.npz").write_bytes(board.stock[sha])
    assert len(read_tiles(tmp_path / "tiles.npz", bundle.manifest.task).names) == 4
    assert fetched == [f"reports/{bundle.id}/report.json report.json"]
    assert json.loads((tmp_path / "report" / "proof.json").read_text()) == done.proof
    assert board.verbs.index("prove") < board.verbs.index("switch")


def test_data_without_labels_are_refused_before_anything_is_sent(
    order: Order, board: FakeBoard, bundle: Bundle, tmp_path: Path
) -> None:
    data = make_data(tmp_path / "data", bundle.manifest.task, labels=False)
    with pytest.raises(DataError, match="has no labels"):
        deploy(dataclasses.replace(order, data=data), Spoken())
    assert "lock" not in board.verbs


def test_a_board_that_cannot_be_asked_anew_is_told_of_by_what_must_be_so(order: Order, board: FakeBoard) -> None:
    class Gone(FakeBoard):
        def open(self) -> Any:
            if self.opened:
                raise BoardError("no answer")
            return super().open()

    for verb, told in (("install", f"nothing was switched, so .* still runs {'a' * 12}"), ("settle", "whole; see")):
        gone = Gone(hello=dict(board.hello), faults={verb: CutError})
        with pytest.raises(BoardError, match=rf"cannot be asked now; .*{told}.*the same command goes on"):
            deploy(dataclasses.replace(order, target=gone), Spoken())
