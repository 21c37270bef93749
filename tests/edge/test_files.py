"""dis2_edge.files: whole or not at all, also when the disk is full, and clear words for what cannot be read."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge import files
from dis2_edge.errors import BundleError, RecipeError, StorageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def fail_with(code: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "metrics.json"
    files.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", fail_with(code))
    with pytest.raises(StorageError, match=r"no space left while writing .*metrics\.json; free some space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_a_full_disk_leaves_no_part_of_a_new_folder(tmp_path: Path) -> None:
    def fill() -> None:
        with files.new_folder(tmp_path / "run") as folder:
            (folder / "weights").write_bytes(b"half")
            fail_with(errno.ENOSPC)()

    with pytest.raises(StorageError, match="no space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_folder_is_not_there_and_the_old_one_is(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    files.write_text(tmp_path / "run" / "a", "old")

    def fill() -> None:
        with files.new_folder(tmp_path / "run", replace=True) as folder:
            (folder / "a").write_text("new")
            raise interruption

    with pytest.raises(interruption):
        fill()
    assert (tmp_path / "run" / "a").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_swap_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_text(tmp_path / "run" / "a", "old")
    replace, calls = os.replace, []

    def second_fails(source: str, target: str) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.EIO, "broken")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)

    def fill() -> None:
        with files.new_folder(tmp_path / "run", replace=True) as folder:
            (folder / "a").write_text("new")

    with pytest.raises(OSError, match="broken"):
        fill()
    assert (tmp_path / "run" / "a").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_folder_with_files_is_refused_unless_it_may_go(tmp_path: Path) -> None:
    files.write_text(tmp_path / "run" / "a", "old")

    def fill() -> None:
        with files.new_folder(tmp_path / "run"):
            pytest.fail("the body must not run")

    with pytest.raises(StorageError, match="exists already and is not empty"):
        fill()
    with files.new_folder(tmp_path / "run", replace=True) as folder:
        (folder / "b").write_text("new")
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["b"]


@pytest.mark.parametrize("spot", ["file/below", "file/deep/below"])
def test_a_file_where_a_folder_should_be_is_the_users_to_mend(tmp_path: Path, spot: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        files.write_text(tmp_path / spot, "x")

    def fill() -> None:
        with files.new_folder(tmp_path / spot):
            pytest.fail("the body must not run")

    with pytest.raises(StorageError, match="cannot be written"):
        fill()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only where there is /proc")
def test_a_place_that_takes_no_folders_is_the_users_to_mend() -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        files.write_text(Path("/proc/absent/file"), "x")


def test_writing_over_a_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        files.write_text(tmp_path, "x")


def test_a_file_elsewhere_that_cannot_be_read_is_not_taken_for_a_failed_write(tmp_path: Path) -> None:
    def fill() -> None:
        with files.new_folder(tmp_path / "out" / "run"):
            raise PermissionError(errno.EACCES, "no", str(tmp_path / "data" / "image"))

    with pytest.raises(PermissionError):
        fill()


@pytest.mark.parametrize("text", ["{", "\xff", '{"a": NaN', "[" * 100_000])
def test_broken_json_is_raised_as_the_callers_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"x\.json is not readable JSON"):
        files.read_json(tmp_path / "x.json", BundleError)


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "\xff"])
def test_broken_toml_is_raised_as_the_callers_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RecipeError, match=r"x\.toml is not readable TOML"):
        files.read_toml(tmp_path / "x.toml", RecipeError)


@pytest.mark.parametrize("read", [files.read_json, files.read_toml])
def test_a_missing_file_is_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(RecipeError, match="gone does not exist"):
        read(tmp_path / "gone", RecipeError)
    with pytest.raises(RecipeError, match="not readable"):
        read(tmp_path, RecipeError)


@given(JSON)
def test_json_comes_back_equal_and_equal_values_give_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("json")
    files.write_json(folder / "a", value)
    files.write_json(folder / "b", json.loads(json.dumps(value)))
    assert files.read_json(folder / "a", BundleError) == value
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_written_files_may_be_read_by_others(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "x")
    with files.new_folder(tmp_path / "run"):
        pass
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
