"""Licences out of the wheels themselves: every text once, nothing under the AGPL, no wheel that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_stock import MIT, make_wheel

from dis2_boards.packing.licences import FOLDER, Licence, write_licences
from dis2_boards.packing.pins import Wheel
from dis2_edge import __version__
from dis2_edge.errors import WheelError
from dis2_edge.files import sha256

OSI = "Classifier: License :: OSI Approved ::"


def known(path: Path) -> Wheel:
    return Wheel(path.name, sha256(path), path.stat().st_size)


def licences(tmp_path: Path, *files: Path) -> tuple[Licence, ...]:
    return write_licences(tmp_path / "bundle", map(known, files), tmp_path)


def text_of(tmp_path: Path, name: str) -> str:
    return (tmp_path / "bundle" / FOLDER / name).read_text("utf-8")


def test_our_own_is_always_there(tmp_path: Path) -> None:
    assert [row.name for row in licences(tmp_path)] == ["dis2-edge"]
    assert "Apache License" in text_of(tmp_path, f"dis2-edge-{__version__}.txt")


@pytest.mark.parametrize(
    ("metadata", "stated"),
    [
        ("License-Expression: MIT-CMU\nLicense: x\n", "MIT-CMU"),
        (f"License: BSD\n{OSI} BSD License\n", "BSD"),
        (f"{OSI} BSD License\n{OSI} MIT License\nClassifier: Topic :: Software\n", "BSD License and MIT License"),
        (f"License: {'Copyright 2005 ' * 9}\n{OSI} BSD License\n", "BSD License"),
        ("", "not stated"),
    ],
)
def test_what_a_wheel_states(tmp_path: Path, metadata: str, stated: str) -> None:
    found = licences(tmp_path, make_wheel(tmp_path, "a-b", metadata=metadata))
    assert found[1] == Licence("a-b", "1.0", stated, f"{FOLDER}/a-b-1.0.txt")


def test_texts_of_one_version_are_kept_once_with_the_wheels_that_they_came_in(tmp_path: Path) -> None:
    kinds = [f"cp310-cp310-manylinux_2_28_{machine}" for machine in ("aarch64", "x86_64")]
    texts = [{"a-1.0.dist-info/LICENSE": MIT, "a/NOTICE.txt": f"for {kind}"} for kind in kinds]
    licences(
        tmp_path, *(make_wheel(tmp_path, "a", tag=kind, texts=text) for kind, text in zip(kinds, texts, strict=True))
    )
    page = text_of(tmp_path, "a-1.0.txt")
    assert page.count(MIT) == 1
    for kind in kinds:
        assert f"==== a/NOTICE.txt (of a-1.0-{kind}.whl)\n\nfor {kind}" in page


def test_a_wheel_without_a_text_says_so(tmp_path: Path) -> None:
    licences(tmp_path, make_wheel(tmp_path, "a", texts={}))
    assert "hold no text of their licence" in text_of(tmp_path, "a-1.0.txt")


def test_texts_of_parts_within_are_not_taken_for_the_whole(tmp_path: Path) -> None:
    licences(tmp_path, make_wheel(tmp_path, "a", texts={"a/vendored/LICENSE": "not ours", "a/license.py": "code"}))
    assert "not ours" not in text_of(tmp_path, "a-1.0.txt")
    assert "code" not in text_of(tmp_path, "a-1.0.txt")


@pytest.mark.parametrize(
    ("name", "metadata", "text"),
    [
        ("jetson-stats", "License-Expression: MIT\n", MIT),
        ("a", "License-Expression: AGPL-3.0-or-later\n", MIT),
        ("a", "License: GNU Affero General Public License v3\n", MIT),
        ("a", f"{OSI} GNU Affero General Public License v3\n", MIT),
        ("a", "", "\n   GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3"),
    ],
)
def test_what_is_under_the_agpl_is_never_shipped(tmp_path: Path, name: str, metadata: str, text: str) -> None:
    stem = name.replace("-", "_")
    wheel = make_wheel(tmp_path, name, metadata=metadata, texts={f"{stem}-1.0.dist-info/LICENSE": text})
    with pytest.raises(WheelError, match=rf"{stem}-1\.0.* is under the AGPL.*install it on the board by hand"):
        licences(tmp_path, wheel)


def test_a_gpl_text_that_names_the_agpl_is_not_taken_for_it(tmp_path: Path) -> None:
    text = f"{MIT}{'.' * 400}\n13. Use with the GNU Affero General Public License."
    wheel = make_wheel(tmp_path, "a", metadata=f"License: {MIT}\n", texts={"a-1.0.dist-info/LICENSE": text})
    assert len(licences(tmp_path, wheel)) == 2


def test_a_wheel_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a-1.0-py3-none-any.whl"
    file.write_bytes(b"PK no zip")
    with pytest.raises(WheelError, match=r"a-1\.0-py3-none-any\.whl is no wheel"):
        licences(tmp_path, file)


def test_a_text_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "a", texts={"a-1.0.dist-info/LICENSE": "x" * (9 << 20)})
    with pytest.raises(WheelError, match="larger than"):
        licences(tmp_path, wheel)
