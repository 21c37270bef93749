"""`dis2-edge deploy --fleet` and `--archive`: which words go together, and what a roll-out is told of them."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from pathlib import Path

import pytest

from dis2_boards.fleet.roll_out import roll_out
from dis2_boards.verbs import deploy_fleet
from dis2_edge.cli import main
from tests.boards.fleet.a_fleet import FAKE, AFleet

pytestmark = pytest.mark.usefixtures("fake_ansible")


@pytest.fixture(autouse=True)
def _with_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy_fleet, "roll_out", functools.partial(roll_out, command=FAKE))


def test_words_for_every_board_reach_every_board(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=2)
    place = tmp_path / "fleet.toml"
    place.write_text(place.read_text() + 'service = "none"\n')
    words = ["--service", "process", "--wait", "7", "--ssh-config", str(tmp_path / "a b"), "--wheels", str(tmp_path)]
    assert main(["deploy", str(bundle), "--fleet", str(place), "--board", "host", *words]) == 0
    told = json.loads((tmp_path / "b1" / "words").read_text())[2:]
    assert [told[n + 1] for n, word in enumerate(told) if word == "--service"] == ["process", "none"], "the last counts"
    assert ("--wait", "7.0") in set(itertools.pairwise(told))
    assert told.count("--ssh-config") == 2, "deploy takes it twice, status once"
    assert "--board" not in told
    assert fleet.flies() == {"b0": "new", "b1": "new"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fleet", "FLEET", "--archive", "x.tar"], "--fleet and --archive; expected one of the two"),
        (["--fleet", "FLEET", "--target", "ssh://a"], "--target with --fleet"),
        (["--archive", "x.tar", "--target", "ssh://a"], "--target with --archive"),
        (["--fleet", "FLEET", "--root", "/r"], "--root with --fleet"),
        (["--fleet", "FLEET", "--rig", "r.toml"], "--rig with --fleet"),
        (["--fleet", "FLEET", "--record", "r.json"], "--record with --fleet"),
        (["--archive", "x.tar", "--service", "none"], "--service without --target"),
        (["--archive", "FLEET"], "exists already and is not empty"),
        (["--fleet", "gone.toml"], "gone.toml does not exist"),
        (["--fleet", "FLEET", "--wait", "-1"], "--wait is -1; expected 0 to 86400 seconds"),
        (["--fleet", "FLEET", "--board", "orin-nx-16gb"], "is a bundle for host, and --board says orin-nx-16gb"),
    ],
)
def test_words_that_do_not_go_together_reach_no_board(
    tmp_path: Path, bundle: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=2)
    placed = [word.replace("FLEET", str(tmp_path / "fleet.toml")) for word in words]
    assert main(["deploy", str(bundle), *placed]) == 2
    assert said in capsys.readouterr().err
    assert fleet.diary() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no board is named"),
        (["--board", "orin-nx-16gb", "--wheels", "EMPTY"], "--tags cp310-aarch64"),
    ],
)
def test_a_run_is_packed_for_what_is_named(
    tmp_path: Path, bundle: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    AFleet.made(tmp_path, bundle, count=2)
    (tmp_path / "qrun").mkdir()
    placed = [word.replace("EMPTY", str(tmp_path / "qrun")) for word in words]
    assert main(["deploy", str(tmp_path / "qrun"), "--fleet", str(tmp_path / "fleet.toml"), *placed]) == 2
    assert said in capsys.readouterr().err


def test_an_archive_is_written_of_a_bundle_that_locks_packages(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(bundle), "--archive", str(tmp_path / "a.tar"), "--wheels", str(tmp_path)]) == 2
    assert "locks no packages" in capsys.readouterr().err
    assert not (tmp_path / "a.tar").exists()


def test_a_missing_ansible_is_told_before_anything_is_packed(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    AFleet.made(tmp_path, bundle, count=2)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert shutil.which("ansible-playbook") is None
    assert main(["deploy", str(tmp_path / "nowhere"), "--fleet", str(tmp_path / "fleet.toml")]) == 2
    assert "pip install 'dis2-edge[fleet]'" in capsys.readouterr().err
