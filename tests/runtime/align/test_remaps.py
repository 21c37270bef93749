"""Remap tables from files: what is no table is refused, whatever its bytes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_edge.errors import RecipeError
from dis2_runtime.align.remaps import read_remap
from dis2_runtime.rig import load


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


TABLE = np.random.default_rng(0).uniform(0, 9, (4, 5, 2)).astype(np.float32)


def test_a_rig_reads_its_table_from_beside_it(tmp_path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "rgb.npz").write_bytes(archive(map=TABLE))
    (tmp_path / "rig.toml").write_text("[sensors.rgb]\nremap = 'maps/rgb.npz'\n[sensors.ndsm]\nfit = 'crop'\n")
    found = load(tmp_path / "rig.toml").remaps()
    assert list(found) == ["rgb"]
    np.testing.assert_array_equal(found["rgb"], TABLE)


def test_remap_stands_alone(tmp_path) -> None:
    (tmp_path / "rig.toml").write_text(
        "[sensors.rgb]\nremap = 'x.npz'\n[sensors.rgb.lens]\nfx = 1\nfy = 1\ncx = 1\ncy = 1\n"
    )
    with pytest.raises(RecipeError, match="remap beside lens or to_grid"):
        load(tmp_path / "rig.toml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read"),
        (b"no archive", "cannot be read"),
        (archive(a=TABLE, b=TABLE), "holds 2 arrays; expected one; write it with"),
        (archive(), "holds 0 arrays"),
        (archive(map=TABLE[..., 0]), "holds 4x5 float32; expected HxWx2"),
        (archive(map=TABLE.astype(np.int32)), "int32"),
        (archive(map=np.array([{"a": 1}], dtype=object)), "cannot be read"),
    ],
)
def test_what_is_no_table(tmp_path, data: bytes, message: str) -> None:
    (tmp_path / "table.npz").write_bytes(data)
    with pytest.raises(RecipeError, match=message):
        read_remap(tmp_path / "table.npz")


def test_a_bare_array_or_nothing(tmp_path) -> None:
    np.save(tmp_path / "table.npy", TABLE)
    for name in ("table.npy", "absent.npz", "."):
        with pytest.raises(RecipeError, match="cannot be read"):
            read_remap(tmp_path / name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_broken_bytes_are_refused_or_read(tmp_path, place: int, byte: int, cut: bool) -> None:
    data = bytearray(archive(map=TABLE))
    data[place % len(data)] = byte
    (tmp_path / "table.npz").write_bytes(data[: place % len(data)] if cut else data)
    with contextlib.suppress(RecipeError):
        assert read_remap(tmp_path / "table.npz").shape[2] == 2
