"""Whatever the files of a machine hold, detection answers: garbage, no UTF-8, no end, no file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_boards.detection import detect
from dis2_boards.detection.power_modes import parse_conf
from dis2_boards.detection.tree import LIMIT, Tree
from tests.boards.detection.trees import ORIN_NX_SUPER, PC, TREES, plant


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("seed", range(8))
def test_flipped_and_cut_files_are_survived(tmp_path: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    files = {}
    for path, content in TREES[name].items():
        data = bytearray(content if isinstance(content, bytes) else content.encode())
        if not data.startswith(b"-> "):
            for _ in range(1 + len(data) // 20):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            data = data[: chance.randrange(len(data) + 1)]
        files[path] = content if data.startswith(b"-> ") else bytes(data)
    table = detect(plant(tmp_path, files)).to_table()
    assert all(
        isinstance(table[key], str) and table[key].replace("\n", " ").isprintable()
        for key in ("model", "why", "power_mode")
    )


@given(st.binary(max_size=400))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_any_file(tmp_path: Path, data: bytes) -> None:
    root = tmp_path / "root"
    if not root.exists():
        plant(root, {**ORIN_NX_SUPER, **PC})
    for path in (file for file in root.rglob("*") if file.is_file() and not file.is_symlink()):
        path.write_bytes(data)
    assert detect(root).why


@given(st.text(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_text_as_nvpmodel_conf(text: str) -> None:
    parse_conf("< POWER_MODEL ID=0 NAME=A >\n" + text + "\n" + "GPU MAX_FREQ " + text)


def test_numbers_without_end_are_no_numbers() -> None:
    text = f"< POWER_MODEL ID={'9' * 9000} NAME=A >\n< POWER_MODEL ID=1 NAME=B >\nGPU MAX_FREQ {'9' * 9000}\n"
    modes, _ = parse_conf(text)
    assert [mode.name for mode in modes] == ["B"]


def test_folders_devices_pipes_and_huge_files(tmp_path: Path) -> None:
    root = plant(tmp_path, {"/etc/nvpmodel.conf": b"< POWER_MODEL ID=0 NAME=15W >\n" + b"x" * (2 * LIMIT)})
    (root / "proc/meminfo").mkdir(parents=True)
    (root / "etc/nv_tegra_release").parent.mkdir(exist_ok=True)
    os.mkfifo(root / "etc/nv_tegra_release")  # reading it would wait for a writer for ever
    with (root / "var").open("wb") as file:
        file.truncate(1)
    found = detect(root)
    assert (found.modes, found.memory_bytes, found.l4t) == (("15W",), 0, "")
    assert len(Tree(root).raw("/etc/nvpmodel.conf")) == LIMIT


def test_escape_sequences_do_not_reach_a_terminal(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {"/proc/device-tree/model": b"evil\x1b[2J\x07\0", "/proc/device-tree/compatible": b"nvidia,tegra234\0"},
    )
    assert detect(root).model == "evil?[2J?"
    assert "\x1b" not in detect(root).why


def test_a_number_is_a_number_or_nothing(tmp_path: Path) -> None:
    root = plant(tmp_path, {"/a": "-256000\n", "/b": "²", "/c": "", "/d": "12 13", "/e": b"\xff7", "/f": "--5"})
    assert [Tree(root).number(f"/{name}") for name in "abcdef"] == [-256000, None, None, None, None, None]
