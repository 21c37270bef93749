"""A bundle from whoever wishes us ill: twins, doubles, bombs, hidden words; and one of a format before this one."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.bundle_paths import check_twins, safe_path
from dis2_edge.errors import BundleError
from dis2_edge.manifest import parse
from dis2_edge.signature import SIGNATURE
from dis2_edge.strict_json import check_plain


def load(name: str) -> Any:
    """A module beside this file, which pytest's import mode does not put on the path."""
    spec = importlib.util.spec_from_file_location(f"edge_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = load("test_bundle")


@pytest.fixture
def sealed(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    made = samples.fill(tmp_path / "bundle")
    assert isinstance(made, Bundle)
    return made


def reseal(folder: Path, text: bytes) -> None:
    """Another manifest, with the seal that belongs to it."""
    (folder / bundles.MANIFEST).write_bytes(text)
    (folder / bundles.SEAL).write_text(bundles._seal_of(text))


def text_of(sealed: Bundle) -> str:
    return (sealed.path / bundles.MANIFEST).read_text("utf-8")


def test_a_bundle_of_format_1_is_refused_with_the_mend(sealed: Bundle) -> None:
    reseal(sealed.path, text_of(sealed).replace('"format": 2', '"format": 1').encode())
    with pytest.raises(BundleError, match=r"bundle format 1; expected 2; make the bundle again .*dis2-edge deploy"):
        bundles.read(sealed.path)


@pytest.mark.parametrize("key", ["format", "files", "name"])
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(sealed: Bundle, key: str) -> None:
    value = json.dumps(json.loads(text_of(sealed))[key])
    reseal(sealed.path, text_of(sealed).replace("{", f'{{"{key}": {value},', 1).encode())
    with pytest.raises(BundleError, match=f"the key '{key}' stands twice"):
        bundles.read(sealed.path)


def test_a_file_that_is_listed_twice_is_refused(sealed: Bundle) -> None:
    row = json.dumps({"bytes": 1, "sha256": "0" * 64})
    reseal(sealed.path, text_of(sealed).replace('"files": {', f'"files": {{"card.md": {row},').encode())
    with pytest.raises(BundleError, match=r"'card\.md' stands twice"):
        bundles.read(sealed.path)


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\x1b[2J", "\r", "\n", "\x00", "\u2028", "\ue000", "\u00ad"],
)
@pytest.mark.parametrize("place", ["name", "class", "provenance"])
def test_text_that_does_not_show_is_refused(sealed: Bundle, hidden: str, place: str) -> None:
    table = json.loads(text_of(sealed))
    if place == "class":
        table["task"]["classes"][0] += hidden
    elif place == "name":
        table["name"] += hidden
    else:
        table["provenance"][f"da{hidden}ta"] = "x"
    reseal(sealed.path, json.dumps(table).encode())
    with pytest.raises(BundleError, match=r"hidden text in .*U\+") as caught:
        bundles.read(sealed.path)
    assert str(caught.value).isprintable()


def test_half_a_character_is_refused(sealed: Bundle) -> None:
    reseal(sealed.path, text_of(sealed).replace('"small"', '"\\ud800"').encode())
    with pytest.raises(BundleError, match="hidden text"):
        bundles.read(sealed.path)


@pytest.mark.parametrize("name", ["Wälder", "水", "Ναός", "ع", "Forêt & prés, 2 m", "🌲"])
def test_words_of_any_language_pass(name: str) -> None:
    assert check_plain(name) == name


@given(st.text(max_size=20))
def test_what_passes_can_be_seen(text: str) -> None:
    hides = any(ord(character) < 32 or 0x202A <= ord(character) <= 0x202E for character in text)
    try:
        assert check_plain(text) == text
    except ValueError:
        return
    assert not hides


@pytest.mark.parametrize(
    "paths",
    [
        ("card.md", "Card.md"),
        ("models/a.onnx", "Models/b.onnx"),
        ("models/a", "models/a/b"),
        ("models/A", "models/a/b"),
    ],
)
def test_twins_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(BundleError, match="are one file on some systems"):
        check_twins(paths)
    check_twins([paths[0], "other/x"])


def test_twins_in_a_listing_are_refused_though_both_lie_there(sealed: Bundle) -> None:
    (sealed.path / "Card.md").write_bytes((sealed.path / "card.md").read_bytes())
    if len(list(sealed.path.glob("[Cc]ard.md"))) < 2:
        pytest.skip("this file system holds one of two twins alone")
    table = json.loads(text_of(sealed))
    table["files"]["Card.md"] = table["files"]["card.md"]
    reseal(sealed.path, json.dumps(table).encode())
    with pytest.raises(BundleError, match=r"card\.md and Card\.md are one file"):
        bundles.read(sealed.path)


@pytest.mark.parametrize("path", ["con", "NUL.txt", "models/com1", "a.", "models./a", "é", "a\u0301", "ﬁle", "a b"])
def test_names_that_are_others_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(BundleError, match="unsafe path"):
        safe_path(path)


@given(st.text(max_size=30))
def test_no_text_leaves_the_folder(path: str) -> None:
    try:
        safe_path(path)
    except BundleError:
        return
    assert path.isascii()
    assert os.path.normpath(path) == path
    assert not os.path.isabs(path)
    assert not {"", ".", ".."} & set(path.split("/"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"a{n}": {"sha256": "0" * 64, "bytes": 0} for n in range(5000)}, "lists 5004 files"),
        ({"a": {"sha256": "0" * 64, "bytes": 1 << 40}}, "bytes in all"),
        ({"a": {"sha256": "0" * 64, "bytes": -1}}, "bad hash or size"),
        ({SIGNATURE: {"sha256": "0" * 64, "bytes": 1}}, r"manifest\.sig is listed"),
        ({bundles.MANIFEST: {"sha256": "0" * 64, "bytes": 1}}, r"manifest\.json is listed"),
    ],
)
def test_a_listing_of_more_than_a_bundle_is_refused(sealed: Bundle, files: dict[str, Any], message: str) -> None:
    table = json.loads(text_of(sealed))
    table["files"] |= files
    reseal(sealed.path, json.dumps(table).encode())
    with pytest.raises(BundleError, match=message):
        bundles.read(sealed.path)


def test_a_folder_of_countless_files_is_not_walked_to_its_end(sealed: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "ENTRIES_LIMIT", 5)
    for number in range(9):
        (sealed.path / f"empty{number}").mkdir()
    with pytest.raises(BundleError, match="holds more than 5 files and folders"):
        bundles.read(sealed.path)


@pytest.mark.parametrize("digits", ["9" * 5000, f"1.{'0' * 5000}", "1e999", "-1e999"])
def test_endless_numbers_are_refused(sealed: Bundle, digits: str) -> None:
    text = text_of(sealed).replace('"rate_hz": 5.0', f'"rate_hz": {digits}')
    with pytest.raises(BundleError):
        parse(text.encode())


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"", b"null"])
def test_json_that_is_a_trap_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        parse(text)


@pytest.mark.parametrize("size", [0, 201, 1 << 20])
def test_a_signature_of_another_size_is_refused_by_name(sealed: Bundle, size: int) -> None:
    (sealed.path / SIGNATURE).write_bytes(b"x" * size)
    with pytest.raises(BundleError, match=r"manifest\.sig"):
        bundles.read(sealed.path)


def test_a_signature_that_is_a_link_is_refused(sealed: Bundle, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (sealed.path / SIGNATURE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"manifest\.sig is a link"):
        bundles.read(sealed.path)
