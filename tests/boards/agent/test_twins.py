"""The agent has no dis2_edge and says some things again: what the workstation reads as a bundle, the board places."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_boards.agent import judging, placing
from dis2_boards.agent.fault import RefusedError
from dis2_edge import bundle as bundles
from dis2_edge import signature
from dis2_edge.bundle_paths import check_twins, safe_path
from dis2_edge.errors import BundleError
from dis2_edge.signature import Signature, parse_signature

ROW = ("0" * 64, 1)
LINE = Signature("0123456789abcdef", bytes(range(64))).line().encode()


def placeable(*paths: str) -> bool:
    with suppress(RefusedError):
        placing._check_paths(dict.fromkeys((*paths, *bundles.BESIDE), ROW))
        return True
    return False


def test_names_and_ids_are_the_same() -> None:
    assert (judging.MANIFEST, judging.SEAL, judging.SIGNATURE) == bundles.BESIDE
    assert judging.key_id(bytes(32)) == signature.id_of(bytes(32))


@given(st.lists(st.text("aB.-/_ ~é", max_size=12), min_size=1, max_size=3, unique=True))
def test_the_board_places_what_the_workstation_reads(paths: list[str]) -> None:
    try:
        check_twins([safe_path(path) for path in paths])
    except BundleError:
        return
    assert placeable(*paths)


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a//b", "a/./b", ".a", "a.", "a b", "é", "a" * 241, "/".join("abcdefghi")]
)
def test_a_path_that_could_lead_elsewhere_is_refused_by_both(path: str) -> None:
    assert not placeable(path)
    with pytest.raises(BundleError):
        safe_path(path)


@pytest.mark.parametrize(
    "line", [LINE, LINE[:-1], LINE + b"\n", LINE.replace(b"ed25519 0", b"ed25519 G"), LINE.replace(b"==", b"=")]
)
def test_a_signature_is_spelled_in_one_way(line: bytes) -> None:
    taken = judging._SIGNATURE_FORM.fullmatch(line) is not None
    try:
        parse_signature(line)
    except BundleError:
        assert not taken
    else:
        assert taken
