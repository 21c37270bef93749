"""The list of blows: which moments are chosen, what is counted, and what the tables say of it."""

import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dis2_boards.agent import carrying
from tests.boards.emulated import table
from tests.boards.emulated.blows import KINDS, Kind, flip, kill_agent, moments_of
from tests.boards.emulated.cases import FLIES, INSTALLED, TURN, Rehearsal, cases
from tests.boards.emulated.chaos import Row, _shuffled
from tests.boards.emulated.flow import Done
from tests.boards.emulated.tapped import MODULE, tap

VERBS = ("hello", "lock", "have", "place", "install", "prove", "service", "switch", "settle")
MOMENTS = [f"{verb} 1 {when}" for verb in VERBS for when in ("before", "amid 1", "amid 2", "amid 3", "after")]
MOMENTS += [f"put {number} {when}" for number in range(1, 8) for when in ("before", "amid", "after")]
WRITE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from dis2_boards.agent import disk
disk.write_whole(pathlib.Path(sys.argv[2]), b"")
"""
CHANGES = ["mkdir versions", "create .pending.json.new", "rename pending.json", "symlink .current.next"]
CHANGES += ["rename current", *["link model.onnx"] * 50, "unlink pending.json"]
EARLY = Rehearsal(tuple(MOMENTS), tuple(CHANGES))
LATE = Rehearsal(tuple(MOMENTS), tuple(CHANGES))
ENDS = {"the deploy is killed", "the board's agent is killed", "the board's power is cut"}
ROW = Row("the power is cut", "put 1 amid", 2, "old", "old", "", "", (), False, 12.0, "0123456789ab")


def test_of_many_files_one_in_the_middle_and_the_last_are_struck() -> None:
    kind = Kind("any", kill_agent, ("put",), ("before", "amid"))
    found = moments_of(kind, MOMENTS)
    assert found == ["put 4 before", "put 4 amid", "put 7 before", "put 7 amid"]


def test_of_many_words_of_progress_the_middle_one_is_struck() -> None:
    assert moments_of(Kind("any", kill_agent, ("install",), ("amid",)), MOMENTS) == ["install 1 amid 2"]


def test_a_request_that_was_not_made_is_not_struck() -> None:
    assert moments_of(Kind("any", kill_agent, ("rollback",)), MOMENTS) == []


def test_every_request_is_struck_by_each_end_of_a_process_and_every_case_is_another() -> None:
    found = cases(EARLY, LATE)
    for name in (*ENDS, "the cable is pulled"):
        struck = {case.moment.split()[0] for case in found if case.blow == name}
        assert struck >= {"put", *VERBS}
    assert len({(case.blow, case.moment) for case in found}) == len(found)
    assert {kind.name for kind in KINDS} <= {case.blow for case in found}


def test_every_change_that_a_switch_turns_on_is_struck() -> None:
    moments = [case.moment for case in cases(EARLY, LATE) if case.start == INSTALLED and "change" in case.moment]
    for change in CHANGES:
        if any(change.endswith(name) for name in ("pending.json", ".pending.json.new", *TURN)):
            assert any(moment.endswith(change) for moment in moments), change
    assert len(moments) == 2 * 5, "what turns, killed and frozen"


def test_changes_of_a_whole_deploy_are_struck_evenly_from_the_first_to_near_the_last() -> None:
    found = [case.moment for case in cases(EARLY, LATE) if case.start == FLIES and "change" in case.moment]
    numbers = sorted({int(moment.split()[2]) for moment in found})
    assert numbers[0] == 1
    assert numbers[-1] > len(CHANGES) - len(CHANGES) / 6
    assert len(numbers) <= 14


def test_blows_after_install_begin_with_it_done() -> None:
    starts = {case.moment.split()[0]: case.start for case in cases(EARLY, LATE) if "change" not in case.moment}
    assert starts["install"] == starts["put"] == FLIES
    assert starts["prove"] == starts["settle"] == INSTALLED


def test_the_quick_ones_are_few_and_of_every_end_of_a_process() -> None:
    quick = [case for case in cases(EARLY, LATE) if case.quick]
    assert len(quick) <= 12
    assert {case.blow for case in quick} >= ENDS


def test_each_kind_is_struck_once_before_any_is_struck_twice() -> None:
    found = cases(EARLY, LATE)
    order = _shuffled(found)
    kinds = {case.blow for case in found}
    assert {case.blow for case in order[: len(kinds)]} == kinds
    assert sorted(case.moment for case in order) == sorted(case.moment for case in found)


@pytest.mark.parametrize(("how", "at", "lines", "code"), [("count", 2, 5, 0), ("kill", 3, 3, -9)])
def test_the_tapped_agent_counts_and_ends_where_it_was_told(
    tmp_path: Path, how: str, at: int, lines: int, code: int
) -> None:
    counted, archive = tmp_path / "counted", tmp_path / "agent.zip"
    archive.write_bytes(tap(carrying._archive(), how, at, str(counted)))
    done = subprocess.run([sys.executable, "-I", "-c", WRITE, str(archive), str(tmp_path / "new")])
    assert done.returncode == code
    assert len(counted.read_text().splitlines()) == lines


def test_the_tapped_agent_is_the_agent_but_for_one_module() -> None:
    real = carrying._archive()
    with zipfile.ZipFile(io.BytesIO(real)) as old, zipfile.ZipFile(io.BytesIO(tap(real, "kill", 1))) as new:
        assert old.namelist() == new.namelist()
        assert [name for name in old.namelist() if old.read(name) != new.read(name)] == [MODULE]


def test_one_bit_is_flipped(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    flip(tmp_path / "file")
    assert sum(byte.bit_count() for byte in (tmp_path / "file").read_bytes()) == 1


def test_a_row_is_bad_where_anything_was_found() -> None:
    assert not ROW.bad
    assert not replace(ROW, next="-").bad
    assert replace(ROW, faults=("it runs nothing",)).bad
    assert replace(ROW, proven="exit 2").bad
    assert replace(ROW, next="exit 2").bad


def test_the_tables_go_between_their_marks_and_nothing_else_changes() -> None:
    marks = ["before", "<!-- chaos: written by make board -->", "old text", "<!-- chaos: end -->", "after"]
    text = table.filled("\n".join(marks), "chaos", table.chaos_table([ROW], 9))
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "old text" not in text
    assert "1 of 9 listed blows were struck; 0 of them left a board that was neither" in text
    assert "| the power is cut | put 1 amid | 1 | old | old | whole, proven" in text
    with pytest.raises(AssertionError, match="no marks of flow"):
        table.filled(text, "flow", "")


def test_a_cell_holds_no_bar_and_no_newline() -> None:
    assert "| a / b c | d |" in table.flow_table([Done("a | b\nc", "d", 1.0)])
