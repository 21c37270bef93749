"""The pins that ship are those of constraints.txt, byte by byte, and serve every Python and machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dis2_boards.packing.pins import ALWAYS, GROUPS, TAGS, Pin, Wheel, check_tag, fits, pinned, pins
from dis2_boards.packing.repin import CARRIED, rows_of
from dis2_edge.errors import BoardError, WheelError
from dis2_edge.files import parse_toml

ROOT = Path(__file__).resolve().parents[3]
MEGABYTES = 60
"""Most that base and host may weigh as wheels; installed they are some three times as much."""


def test_the_pins_are_those_of_the_constraints() -> None:
    wanted = rows_of((ROOT / "constraints.txt").read_text("utf-8"))
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for pin in pins():
        found.setdefault(pin.name, []).append((pin.version, pin.tags))
    assert found == wanted, "raised a version? python -m dis2_boards.packing.repin constraints.txt"


def test_what_the_project_asks_for_is_carried_and_no_more() -> None:
    project = parse_toml((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = {"base": project["dependencies"], **{group: extras[group] for group in GROUPS if group != "base"}}
    for group, rows in asked.items():
        names = {re.split(r"[ <>=;]", row)[0] for row in rows} - {"pycuda"}  # sources only: docs/bundle.md
        assert names <= set(CARRIED[group]), group
        assert {pin.name for pin in pins() if pin.group == group} == set(CARRIED[group])


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_has_one_wheel_of_each_package(tag: str) -> None:
    found = pinned(tag, GROUPS)
    names = [wheel.name for wheel in found]
    assert len(names) == len(set(names))
    assert ("tomli" in names) == tag.startswith("cp310")
    assert all(fits(wheel.filename, tag) and re.fullmatch("[0-9a-f]{64}", wheel.sha256) for wheel in found)
    assert sum(wheel.bytes for wheel in pinned(tag)) < MEGABYTES * 1e6
    assert {"numpy", "pillow", "rich", "onnxruntime"} <= {wheel.name for wheel in pinned(tag)}


def test_what_only_converts_models_stays_off_the_board() -> None:
    assert not {"sympy", "mpmath", "protobuf", "coloredlogs"} & {
        wheel.name for wheel in pinned("cp310-aarch64", GROUPS)
    }


def test_jetpack_6_gets_the_bindings_of_cuda_12() -> None:
    versions = {tag: {w.name: w.version for w in pinned(tag, ["jetson"])}["cuda_bindings"] for tag in TAGS}
    assert versions["cp310-aarch64"].startswith("12.")
    assert versions["cp312-aarch64"].startswith("13.")


@pytest.mark.parametrize("tag", ["cp39-aarch64", "cp314-aarch64", "cp310-armv7l", "cp310", ""])
def test_a_tag_that_is_not_served_is_refused(tag: str) -> None:
    with pytest.raises(BoardError, match=r"Python 3\.10 to 3\.13"):
        check_tag(tag)


@pytest.mark.parametrize(
    ("filename", "tag", "is_for"),
    [
        ("a-1-py3-none-any.whl", "cp310-aarch64", True),
        ("a-1-py2.py3-none-any.whl", "cp313-x86_64", True),
        ("a-1-py2-none-any.whl", "cp310-aarch64", False),
        ("a-1-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "cp310-aarch64", True),
        ("a-1-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "cp310-x86_64", False),
        ("a-1-cp310-cp310-manylinux_2_17_aarch64.whl", "cp311-aarch64", False),
        ("a-1-cp37-abi3-manylinux_2_28_aarch64.whl", "cp310-aarch64", True),  # 3.7 is before 3.10
        ("a-1-cp311-abi3-manylinux_2_28_aarch64.whl", "cp310-aarch64", False),
        ("a-1-cp310-cp310-linux_aarch64.whl", "cp310-aarch64", True),
        ("a-1-cp310-cp310-manylinux_2_28_notaarch64.whl", "cp310-aarch64", False),
        ("a-1-py3-none-any.zip", "cp310-aarch64", False),
        ("a.whl", "cp310-aarch64", False),
    ],
)
def test_what_a_wheel_fits(filename: str, tag: str, is_for: bool) -> None:
    assert fits(filename, tag) == is_for


def test_a_group_that_is_not_pinned_names_the_nearest() -> None:
    with pytest.raises(WheelError, match="did you mean 'stream'"):
        pinned("cp310-aarch64", ["streem"])


def test_a_pin_without_a_wheel_for_a_tag_says_so() -> None:
    wheel = Wheel("a-1-cp310-cp310-manylinux_2_28_x86_64.whl", "0" * 64, 1)
    with pytest.raises(WheelError, match="0 wheels of a 1 for cp310-aarch64"):
        Pin("a", "1", ALWAYS[0], (wheel,)).wheel("cp310-aarch64")
    with pytest.raises(WheelError, match="bse"):
        Pin("a", "1", "bse", (wheel,))
