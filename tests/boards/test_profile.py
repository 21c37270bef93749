"""Boards are data: unknown names and keys are errors, and every number says where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from dis2_boards.profile import Board, known_boards, load
from dis2_edge.bundle import ModelRow
from dis2_edge.cli import main
from dis2_edge.errors import BoardError

HOST = (Path(__file__).parents[2] / "boards" / "dis2_boards" / "host.toml").read_text()


def test_every_board_that_comes_along_loads_and_is_named_as_its_file() -> None:
    assert "host" in known_boards()
    for name in known_boards():
        board = load(name)
        assert board.name == name
        assert all(figure.source for figure in board.budgets.values())


def test_an_unknown_board_names_the_nearest() -> None:
    with pytest.raises(BoardError, match=r"unknown board 'hosts'; did you mean 'host'\?"):
        load("hosts")


def test_a_users_own_file_works_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(HOST.replace('name = "host"', 'name = "mine"'))
    assert load(str(tmp_path / "mine.toml")).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('summary = "', 'sumary = "', "did you mean 'summary'"),
        ('dialect = "ort"', 'dialect = "onnx"', "'ort' or 'trt'"),
        ('precisions = ["fp32", "int8"]', 'precisions = ["int4"]', "'int4'"),
        ('source = "unverified"', 'source = ""', "no source"),
        ('source = "unverified"', 'suorce = "unverified"', "did you mean 'source'"),
        ('kind = "cpu"', "", "missing kind"),
        ("[budgets.overhead]", "[budgets.overhead", "not readable TOML"),
    ],
)
def test_a_bad_board_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in HOST
    (tmp_path / "mine.toml").write_text(HOST.replace(old, new, 1))
    with pytest.raises(BoardError, match=message) as caught:
        load(str(tmp_path / "mine.toml"))
    assert str(caught.value)


def test_a_missing_board_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"none\.toml does not exist"):
        load(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("precision", "dialect", "io", "runs"),
    [
        ("int8", "ort", "frame", True),
        ("fp16", "ort", "frame", False),
        ("int8", "trt", "frame", False),
        ("int8", "ort", "tensor", False),
    ],
)
def test_a_board_runs_only_files_for_its_engine(precision: str, dialect: str, io: str, runs: bool) -> None:
    row = ModelRow("rgb", precision, dialect, io, "models/x.onnx", 0.99, 0.1)  # type: ignore[arg-type]
    assert load("host").runs(row) is runs


def test_the_verb_lists_boards_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards"]) == 0
    assert "host" in capsys.readouterr().out
    assert main(["boards", "host"]) == 0
    assert "unverified" in capsys.readouterr().out
    assert main(["boards", "hots"]) == 2
    assert "did you mean 'host'?" in capsys.readouterr().err


def test_a_board_is_frozen() -> None:
    with pytest.raises(AttributeError):
        load("host").name = "other"  # type: ignore[misc]
    assert isinstance(load("host"), Board)
