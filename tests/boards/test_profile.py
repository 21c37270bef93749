"""Boards are data: unknown names and keys are errors, and every number says where it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dis2_boards.profile import Board, known_boards, load, only_on
from dis2_edge.bundle import ModelRow
from dis2_edge.cli import main
from dis2_edge.errors import BoardError

HOST_FILE = Path(__file__).parents[2] / "boards" / "dis2_boards" / "host.toml"
HOST = HOST_FILE.read_text()
ORIN_FILE = HOST_FILE.with_name("orin-nx-16gb.toml")


def test_every_board_that_comes_along_loads_and_is_named_as_its_file() -> None:
    assert "host" in known_boards()
    for name in known_boards():
        board = load(name, even_refused=True)
        assert board.name == name
        assert all(figure.source for figure in {**board.budgets, **board.hardware}.values())
        assert board.support == "refused" or board.kind == "cpu" or board.roofline is not None
        assert board.kind == "cpu" or 5 <= board.hardware["compute_capability"].value <= 12


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
    shown = capsys.readouterr().out
    assert "host" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert main(["boards", "host"]) == 0
    assert "unverified" in capsys.readouterr().out
    assert main(["boards", "orin-nx-16gb"]) == 0
    told, _, sources = capsys.readouterr().out.partition("\nSources\n")
    assert "peak int8" in told
    assert {f"[{number}]" for number in re.findall(r"\[(\d+)\]", told)} == set(re.findall(r"^\[\d+\]", sources, re.M))
    assert main(["boards", "hots"]) == 2
    assert "did you mean 'host'?" in capsys.readouterr().err


def test_a_board_is_frozen() -> None:
    with pytest.raises(AttributeError):
        load("host").name = "other"  # type: ignore[misc]
    assert isinstance(load("host"), Board)


def test_every_row_of_the_platforms_is_there() -> None:
    orins = {"orin-nano-4gb", "orin-nano-8gb", "orin-nx-8gb", "orin-nx-16gb", "agx-orin-32gb", "agx-orin-64gb"}
    others = {"nano", "tx2", "xavier-nx", "agx-xavier", "thor-t4000", "thor-t5000"}
    assert set(known_boards()) == orins | others | {"host", "generic-arm64", "workstation-cuda"}
    assert {load(name).chip for name in orins} == {"tegra234"}


@pytest.mark.parametrize("board", ["nano", "tx2"])
def test_a_refused_board_is_refused_with_its_reason_and_shown_all_the_same(
    board: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BoardError, match=rf"'{board}' is listed, but refused: ends at JetPack 4.6.*Python is 3.6"):
        load(board)
    assert main(["deploy", "anything", "--board", board, "--out", "nowhere"]) == 2
    assert "refused: ends at JetPack 4.6" in capsys.readouterr().err
    assert main(["boards", board]) == 0
    assert "support: refused: ends at" in capsys.readouterr().out


def test_best_effort_boards_say_what_does_not_hold() -> None:
    for name in ("xavier-nx", "agx-xavier"):
        board = load(name)
        assert (board.support, board.precisions) == ("best-effort", ("fp16",))
        assert "Python is 3.8 and its TensorRT 8.5" in board.limits[0]


@pytest.mark.parametrize(
    ("board", "int8", "fp16"),
    [
        ("orin-nano-4gb", 10, 5),
        ("orin-nano-8gb", 20, 10),
        ("orin-nx-8gb", 25, 12.5),
        ("orin-nx-16gb", 30, 15),
        ("agx-orin-32gb", 53, 27),
        ("agx-orin-64gb", 85, 42.6),
        ("thor-t5000", None, 258),
    ],
)
def test_peaks_come_of_the_chip_and_meet_the_published_dense_ones(board: str, int8: float | None, fp16: float) -> None:
    roofline = load(board).roofline
    assert roofline is not None
    assert roofline.peaks["fp16"].value / 1000 == pytest.approx(fp16, rel=0.03)
    if int8 is None:
        assert "unverified" in roofline.peaks["int8"].source
    else:
        assert roofline.peaks["int8"].value / 1000 == pytest.approx(int8, rel=0.03)
    assert "derived:" in roofline.peaks["fp16"].source


def test_doubt_in_a_factor_is_doubt_in_the_peak() -> None:
    peaks = load("thor-t4000").roofline.peaks  # type: ignore[union-attr]
    assert peaks["fp16"].source.endswith("clock unverified")
    assert peaks["int8"].source.endswith("operations a clock and clock unverified")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('chip = "tegra234"', 'chip = "tegra2345"', "unknown chip 'tegra2345'; did you mean 'tegra234'"),
        ("[hardware.clock]", "[hardware.clok]", r"no \[hardware.clock\] in MHz"),
        ('support = "first"', 'support = "refused"', "no reason for refusal"),
        ('support = "first"', 'support = "first"\nrefused = "because"', "a reason for refusal"),
        ('name = "10W"', 'name = "15W"', "the power mode '15W' twice"),
        ("gpu_clock = { value = 408.0", "gpu_clok = { value = 408.0", "did you mean 'gpu_clock'"),
        ("gpu_clock = { value = 408.0", "gpu_clock = { value = 0.0", "a number of MHz above 0"),
        ('gpu_clock = { value = 408.0, unit = "MHz"', 'gpu_clock = { value = 4.0, unit = "GHz"', "a number of MHz"),
        ('configuration = "super"', 'configuration = "hyper"', "'any' or 'plain' or 'super'"),
    ],
)
def test_a_bad_file_of_a_chips_board_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = ORIN_FILE.read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(BoardError, match=message):
        load(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(("board", "one"), [("orin-nx-16gb", "orin-nx-16gb"), ("generic-arm64", ""), ("mine", "")])
def test_a_bundle_for_a_gpu_is_for_one_board_alone(board, one):
    assert only_on(board) == one
