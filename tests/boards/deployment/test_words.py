"""The words of `dis2-edge deploy`: which go together, what they default to, and how a message repeats them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from proven_bundle import make_run
from shipped import make_shipped

from dis2_boards.packing.packages import tags_in_stock, tags_of_board
from dis2_boards.packing.pins import pinned
from dis2_boards.profile import load
from dis2_boards.verbs.deploy_words import order_of
from dis2_edge import bundle as bundles
from dis2_edge.cli import main, parser_of
from dis2_edge.errors import UserError

Capture = pytest.CaptureFixture[str]
TARGET = ("--target", "ssh://pilot@drone")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "neither --out nor --target"),
        (("--engine", "onnxruntime", "--out", "b"), "--engine without --target"),
        (("--eval", "data", "--out", "b"), "--eval without --target"),
        (("--record", "r.json", "--out", "b"), "--record without --target"),
        ((*TARGET, "--describe", "d.toml"), "--describe without --eval"),
        ((*TARGET, "--report", "r"), "--report without --eval"),
        ((*TARGET, "--tiles", "4"), "--tiles without --eval"),
        ((*TARGET, "--split", "val"), "--split without --eval"),
        ((*TARGET, "--tiles", "0"), "--tiles is 0; expected 1 to 4096 tiles"),
        ((*TARGET, "--wait", "-1"), "--wait is -1; expected 0 to 86400 seconds"),
        ((*TARGET, "--settle", "nan"), "--settle is nan"),
        ((*TARGET, "--max-drop", "101"), "--max-drop is 101"),
        ((*TARGET, "--tags", "cp39-aarch64"), "no packages are pinned for 'cp39-aarch64'"),
        (("--target", "drone"), "did you mean --target ssh://drone?"),
        (TARGET, "has no quantized.json"),
    ],
)
def test_words_that_do_not_go_together(words: tuple[str, ...], told: str, capsys: Capture, tmp_path: Path) -> None:
    assert main(["deploy", str(tmp_path), *words]) == 2
    assert told in capsys.readouterr().err


def test_a_message_repeats_the_words_without_defaults() -> None:
    words = ["a run", *TARGET, "--ssh-config", "my lab", "--key", "k.pem", "--tags", "cp310-aarch64", "--tiles", "8"]
    words += ["--eval", "data", "--wait", "30.0", "--yes-workstation"]
    parser, _ = parser_of("deploy")
    order = order_of(parser.parse_args([*words, "--record", "r.json", "--engine", "auto"]))
    again = shlex.split(order.again("--service", "process"))
    assert again[:2] == ["dis2-edge", "deploy"]
    assert sorted(again[2:]) == sorted([*words, "--service", "process"])
    assert order.ask("status") == "dis2-edge status --target ssh://pilot@drone --ssh-config 'my lab'"


def test_a_word_that_a_message_adds_replaces_what_was_said() -> None:
    parser, _ = parser_of("deploy")
    order = order_of(parser.parse_args(["run", *TARGET, "--service", "systemd", "--limit", "60"]))
    said = order.again("--service", "process").split()
    assert said.count("--service") == 1
    assert said[-2:] == ["--service", "process"]
    assert "--limit 60" in order.again("--yes-workstation")


def test_the_repeated_words_are_the_same_order() -> None:
    parser, _ = parser_of("deploy")
    first = order_of(parser.parse_args(["a run", *TARGET, "--root", "/a b", "--eval", "my data", "--split", "val"]))
    assert order_of(parser.parse_args(shlex.split(" ".join(first.words)))) == first


def test_the_pythons_of_a_board_are_those_of_its_releases() -> None:
    assert tags_of_board(load("orin-nx-16gb")) == ("cp310-aarch64", "cp312-aarch64")
    assert tags_of_board(load("generic-arm64")) == tuple(f"cp3{minor}-aarch64" for minor in (10, 11, 12, 13))


def test_only_what_lies_whole_in_the_stock_is_locked_unasked(tmp_path: Path) -> None:
    board = load("generic-arm64")
    assert tags_in_stock(board, tmp_path / "none") == ()
    for wheel in pinned("cp311-aarch64"):
        (tmp_path / wheel.filename).write_bytes(b"")
    assert tags_in_stock(board, tmp_path) == ("cp311-aarch64",)
    (tmp_path / pinned("cp311-aarch64")[0].filename).unlink()
    assert tags_in_stock(board, tmp_path) == ()


def test_a_bundle_of_another_board_than_named_is_refused(tmp_path: Path, capsys: Capture) -> None:
    bundle = make_shipped(tmp_path / "b", tmp_path / "w")
    words = ["deploy", str(bundle.path), "--target", f"dir:{tmp_path / 'root'}"]
    assert main([*words, "--board", "generic-arm64"]) == 2
    assert "is a bundle for host, and --board says generic-arm64" in capsys.readouterr().err


def test_a_damaged_bundle_is_refused_before_anything_is_sent(tmp_path: Path, capsys: Capture) -> None:
    bundle = make_shipped(tmp_path / "b", tmp_path / "w")
    card = bundle.path / "card.md"
    card.write_bytes(bytes([card.read_bytes()[0] ^ 1]) + card.read_bytes()[1:])
    assert main(["deploy", str(bundle.path), "--target", f"dir:{tmp_path / 'root'}"]) == 2
    assert "card.md was altered" in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_the_same_command_finds_its_bundle_where_it_left_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fake_board import FakeBoard

    from dis2_boards.deployment import packed
    from dis2_boards.deployment.order import Order
    from dis2_boards.packing import pack

    monkeypatch.setattr(pack, "verify", lambda *_: None)
    monkeypatch.setattr(pack, "gather", lambda *_: {})
    run = make_run(tmp_path / "qrun")
    order = Order(run, FakeBoard(), out=tmp_path / "kept")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, board = packed.packed(order, tmp_path / "one", "host", ("cp311-x86_64",))
    again, _ = packed.packed(order, tmp_path / "two", "host", ("cp311-x86_64",))
    assert first.path == again.path == tmp_path / "kept"
    assert board is not None
    assert board.name == "host"
    other = make_shipped(tmp_path / "other", tmp_path / "w")
    (tmp_path / "three").mkdir()
    with pytest.raises(UserError, match=f"holds another bundle \\({other.id}\\)"):
        packed.packed(Order(run, FakeBoard(), out=other.path), tmp_path / "three", "host", ("cp311-x86_64",))
    bundles.verify_hashes(bundles.read(tmp_path / "kept"))


@pytest.mark.parametrize(("flag", "told"), [("--rig", "does not exist"), ("--key", "cannot be read"), ("--eval", "")])
def test_what_is_not_here_is_said_before_anybody_is_connected_to(
    flag: str, told: str, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_shipped(tmp_path / "b", tmp_path / "w")
    assert main(["deploy", str(bundle.path), *TARGET, flag, str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert str(tmp_path / "none") in said
    assert "greeting" not in said
