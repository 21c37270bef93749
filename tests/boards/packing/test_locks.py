"""Locks: what a board installs, line by line; whatever is no line, not for it, or not ours is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proven_bundle import make_run

from dis2_boards.packing import pack as packing
from dis2_boards.packing.locks import parse_lock, read_lock, tags_of, write_lock
from dis2_boards.packing.pack import pack
from dis2_boards.packing.pins import Wheel
from dis2_boards.profile import load
from dis2_edge.errors import BoardError, BundleError

TAG = "cp310-aarch64"
OWN = Wheel("dis2_edge-0.1.0+abc-py3-none-any.whl", "a" * 64, 10)
NUMPY = Wheel("numpy-2-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "b" * 64, 20)


def line(wheel: Wheel) -> str:
    return f"{wheel.sha256}  {wheel.bytes}  {wheel.filename}\n"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_lock(tmp_path, TAG, [NUMPY, OWN])
    assert path.read_text() == line(OWN) + line(NUMPY)
    assert parse_lock(path.read_bytes(), "x", TAG) == [OWN, NUMPY]


def test_a_bundle_tells_its_tags_and_their_wheels(tmp_path: Path, stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "verify", lambda *_: None)
    made = pack(make_run(tmp_path / "q"), load("host"), tmp_path / "b", tags=["cp312-x86_64", TAG], wheels=stock)
    assert tags_of(made) == (TAG, "cp312-x86_64")
    found = read_lock(made, TAG)
    assert [wheel.filename for wheel in found if wheel.name == "dis2_edge"]
    assert all((stock / wheel.filename).stat().st_size == wheel.bytes for wheel in found)
    with pytest.raises(BundleError, match=r"no packages for cp313-aarch64.*holds cp310-aarch64, cp312-x86_64"):
        read_lock(made, "cp313-aarch64")
    with pytest.raises(BoardError, match=r"no packages are pinned for '\.\./cp310-aarch64'"):
        read_lock(made, "../cp310-aarch64")


@pytest.mark.parametrize(
    "text",
    [
        "",
        line(OWN)[:-1],  # cut
        line(NUMPY),  # none of ours
        line(NUMPY) + line(OWN),  # not sorted
        line(OWN) * 2,
        line(OWN) + line(NUMPY).replace("aarch64", "x86_64"),
        line(OWN) + line(NUMPY).replace("  20  ", "  -1  "),
        line(OWN) + line(NUMPY).replace("  20  ", "  020  "),
        line(OWN) + line(NUMPY).replace("b" * 64, "B" * 64),
        line(OWN) + line(NUMPY).replace("numpy", "../numpy"),
        line(OWN) + line(NUMPY).replace("numpy", "num\u202epy"),
        line(OWN) + line(NUMPY).replace("\n", "\r\n"),
        line(OWN) + "# a word\n",
        line(OWN) + "x" * (2 << 20) + "\n",
    ],
)
def test_whatever_is_no_lock_is_refused_by_name(text: str) -> None:
    with pytest.raises(BundleError, match=r"wheels/cp310-aarch64\.lock"):
        parse_lock(text.encode(), "wheels/cp310-aarch64.lock", TAG)


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_a_bundle_error(text: bytes) -> None:
    with pytest.raises(BundleError):
        parse_lock(text, "x", TAG)
