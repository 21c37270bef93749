"""The stock of wheels: nothing is fetched twice, nothing with other bytes is taken, nothing half is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_stock import make_wheel

from dis2_boards.packing import stock as stocks
from dis2_boards.packing.pins import Wheel
from dis2_boards.packing.stock import gather, lay, path_of
from dis2_edge.errors import BoardError, StorageError, WheelError

TAG = "cp310-aarch64"


class Pip:
    """Stands in for pip: hands out files of a folder, and remembers what it was asked for."""

    def __init__(self, shelf: Path) -> None:
        self.shelf, self.asked = shelf, list[list[str]]()

    def __call__(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(list(command))
        got = Path(command[command.index("--dest") + 1])
        got.mkdir()
        for row in Path(command[command.index("-r") + 1]).read_text().splitlines():
            for file in self.shelf.glob(f"{row.partition('==')[0].replace('-', '_')}-*.whl"):
                (got / file.name).write_bytes(file.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(stock: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """A pip whose index is the stock as it was, beside a stock that is empty."""
    shelf = stock.rename(stock.with_name("shelf"))
    made = Pip(shelf)
    monkeypatch.setattr(stocks.subprocess, "run", made)
    return made


def test_a_whole_stock_needs_no_index(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stocks.subprocess, "run", lambda *_, **__: pytest.fail("pip was asked"))
    found = gather([TAG, "cp312-x86_64"], stock)
    names = [wheel.name for wheel in found[TAG]]
    assert names == ["dis2_edge", "Pygments", "markdown_it_py", "mdurl", "numpy", "onnxruntime", "pillow", "rich"]
    assert all(path_of(stock, wheel).is_file() for wheels in found.values() for wheel in wheels)
    assert found[TAG] == gather([TAG], stock)[TAG]


def test_extras_come_on_request(stock: Path) -> None:
    names = {wheel.name for wheel in gather([TAG], stock, ["jetson", "stream"])[TAG]}
    assert {"cuda_bindings", "av"} <= names


def test_what_is_missing_is_fetched_by_its_hash_and_once(pip: Pip, stock: Path) -> None:
    found = gather([TAG, TAG], stock)[TAG]
    command = pip.asked[0]
    assert len(pip.asked) == 1
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=310"} <= set(command)
    assert "--platform=manylinux_2_28_aarch64" in command
    assert not [word for word in command if "x86_64" in word]
    gather([TAG], stock)
    assert len(pip.asked) == 1
    (stock / found[1].filename).unlink()
    gather([TAG], stock)
    assert len(pip.asked) == 2


def test_an_altered_wheel_is_fetched_again(pip: Pip, stock: Path) -> None:
    rich = next(wheel for wheel in gather([TAG], stock)[TAG] if wheel.name == "rich")
    (stock / rich.filename).write_bytes(b"x" * rich.bytes)
    with pytest.raises(WheelError, match=r"rich.* is altered in"):
        path_of(stock, rich)
    gather([TAG], stock)
    assert len(pip.asked) == 2
    assert path_of(stock, rich).stat().st_size == rich.bytes


def test_what_an_index_hands_out_in_its_place_is_not_laid_in(pip: Pip, stock: Path) -> None:
    (pip.shelf / "rich-1.0-py3-none-any.whl").write_bytes(b"other bytes")
    with pytest.raises(WheelError, match=r"pip fetched no rich-1\.0"):
        gather([TAG], stock)
    assert not list(stock.glob("rich-*"))


def test_without_an_index_the_mend_is_told(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retry\nERROR: No matching distribution for rich\n")

    (stock / "rich-1.0-py3-none-any.whl").unlink()
    monkeypatch.setattr(stocks.subprocess, "run", fail)
    with pytest.raises(WheelError) as caught:
        gather([TAG], stock)
    assert "rich-1.0-py3-none-any.whl did not come (No matching distribution for rich)" in str(caught.value)
    assert f"carry {stock} here" in caught.value.mend


def test_a_pip_that_hangs_is_ended(stock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: Sequence[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(list(command), 1)

    (stock / "rich-1.0-py3-none-any.whl").unlink()
    monkeypatch.setattr(stocks.subprocess, "run", hang)
    with pytest.raises(WheelError, match="did not come"):
        gather([TAG], stock)


def test_a_pycuda_that_was_built_on_a_board_goes_along(stock: Path) -> None:
    make_wheel(stock, "pycuda", "2026.1", "cp310-cp310-linux_aarch64")
    assert gather([TAG], stock, ["jetson"])[TAG][-1].name == "pycuda"
    assert "pycuda" not in {wheel.name for wheel in gather([TAG], stock)[TAG]}
    assert "pycuda" not in {wheel.name for wheel in gather(["cp312-x86_64"], stock, ["jetson"])["cp312-x86_64"]}


def test_an_unknown_tag_is_refused_before_anything_is_fetched(pip: Pip, stock: Path) -> None:
    with pytest.raises(BoardError, match="cp39-aarch64"):
        gather([TAG, "cp39-aarch64"], stock)
    assert not pip.asked


def test_a_stock_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        lay(tmp_path / "file" / "wheels", [make_wheel(tmp_path, "a")])


def test_what_is_missing_in_a_stock_names_the_mend(stock: Path) -> None:
    with pytest.raises(WheelError, match=r"b-1-py3-none-any\.whl is missing in .*deploy again"):
        path_of(stock, Wheel("b-1-py3-none-any.whl", "0" * 64, 1))
