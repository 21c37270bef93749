"""Splits made of splits: val kept back, parts by patterns, and what cannot be asked for together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.description import Split
from dis2_edge.errors import DataError
from dis2_edge.splitting import held_back, shared_out


@dataclass(frozen=True)
class Name:
    id: str


def _names(*ids: str) -> tuple[Name, ...]:
    return tuple(map(Name, ids))


def test_frames_of_a_recording_stay_together() -> None:
    ids = [f"bag{bag}_rect_{frame}" for bag in range(10) for frame in range(4)]
    held = held_back(ids, "_rect", 0.2)
    assert len(held) == 8
    assert len({id_.partition("_rect")[0] for id_ in held}) == 2
    assert held == held_back(ids[::-1], "_rect", 0.2)


def test_of_one_recording_the_last_frames_are_held_back() -> None:
    assert held_back([f"a_rect_{frame}" for frame in range(10)], "_rect", 0.3) == {"a_rect_7", "a_rect_8", "a_rect_9"}


def test_a_val_that_is_there_stays() -> None:
    found = {"train": _names("1", "2", "3", "4"), "val": _names("9")}
    assert shared_out(found, Split(val_share=0.5)) == found


def test_too_few_for_a_val_leave_train_whole() -> None:
    found = {"train": _names("a_1", "a_2"), "test": _names("b")}
    assert shared_out(found, Split(val_share=0.1, sequence_end="_")) == found


def test_val_stands_behind_train_and_parts_last() -> None:
    found = {"train": _names(*(f"{number}{'DN'[number % 2]}" for number in range(20))), "test": _names("30D")}
    shared = shared_out(found, Split(val_share=0.25, parts={"day": "*D", "night": "*N"}))
    assert tuple(shared) == ("train", "val", "test", "train_day", "train_night", "val_day", "val_night", "test_day")
    assert len(shared["train"]) == 15
    assert {sample.id for sample in shared["val_night"]} == {s.id for s in shared["val"] if s.id.endswith("N")}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("val_share = 1.0", "val_share 1.0; expected 0 to below 1"),
        ('by = "block"\nblock_px = 8\nleave_out = "_flip"', "leave_out with blocks"),
        ('by = "block"\nblock_px = 8\nparts = { day = "*" }', "parts with blocks"),
        ('parts = ["day"]', "parts is .* expected a table"),
    ],
)
def test_what_cannot_be_asked_for(keys: str, says: str, make_set: Callable[..., Path]) -> None:
    root = make_set()
    with (root / "dataset.toml").open("a") as file:
        file.write(f"\n[split]\n{keys}\n")
    with pytest.raises(DataError, match=says):
        open_dataset(root)


def test_copies_in_a_folder_are_left_out(make_set: Callable[..., Path]) -> None:
    root = make_set(("train",))
    for folder, suffix in (("rgb", "png"), ("ndsm", "tif")):
        (root / "train" / folder / f"000_flip.{suffix}").write_bytes(b"never read")
    with (root / "dataset.toml").open("a") as file:
        file.write('\n[split]\nleave_out = "_flip"\n')
    assert open_dataset(root).ids("train") == ("000", "001", "002")
