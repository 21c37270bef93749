"""Signatures: only a trusted key's own over this very manifest is right, on a board as on a workstation."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_bundle import NDSM, RGB, make_bundle, task_of

from dis2_boards.agent import ed25519
from dis2_boards.trust import keys
from dis2_boards.trust.keys import PrivateKey, PublicKey, public_of
from dis2_boards.trust.signing import sign, signature_of, told, verify
from dis2_boards.trust.trusted import trusted
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import BundleError, KeyFileError
from dis2_edge.signature import SIGNATURE, parse_signature

FUZZ = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PrivateKey:
    return keys.new(tmp_path_factory.mktemp("keys") / "ann.pem")


@pytest.fixture
def ann(key: PrivateKey) -> PublicKey:
    return public_of(key, "ann")


@pytest.fixture
def bob(tmp_path: Path) -> PublicKey:
    return public_of(keys.new(tmp_path / "bob.pem"), "bob")


def trust(root: Path, key: PublicKey) -> None:
    (root / "trusted").mkdir(parents=True, exist_ok=True)
    (root / "trusted" / f"{key.name}.pub").write_text(key.line())


@pytest.fixture
def signed(tmp_path: Path, key: PrivateKey) -> Bundle:
    made = make_bundle(tmp_path / "bundle", task_of(RGB, NDSM))
    return sign(made.path, key)


def test_the_line_is_that_of_the_format(signed: Bundle, ann: PublicKey) -> None:
    kind, key_id, value = (signed.path / SIGNATURE).read_text().removesuffix("\n").split(" ")
    assert (kind, key_id, len(base64.b64decode(value))) == ("ed25519", ann.id, 64)
    assert SIGNATURE not in signed.manifest.files
    assert verify(signed, [ann]) == ann


def test_signing_changes_no_id_and_is_done_alike_each_time(signed: Bundle, key: PrivateKey) -> None:
    before = (signed.path / SIGNATURE).read_bytes()
    assert sign(signed.path, key) == signed
    assert (signed.path / SIGNATURE).read_bytes() == before


def test_an_unsigned_one_is_refused_and_one_of_another_key(signed: Bundle, ann: PublicKey, bob: PublicKey) -> None:
    with pytest.raises(BundleError, match=rf"is signed by key {ann.id}; expected a trusted key: bob {bob.id}; trust"):
        verify(signed, [bob])
    with pytest.raises(BundleError, match="expected a trusted key: none is at hand"):
        verify(signed, [])
    (signed.path / SIGNATURE).unlink()
    with pytest.raises(BundleError, match="is not signed"):
        verify(bundles.read(signed.path), [ann])


def test_a_changed_manifest_takes_more_than_a_new_seal(signed: Bundle, ann: PublicKey) -> None:
    path = signed.path / bundles.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "forged"}))
    (signed.path / bundles.SEAL).write_text(bundles._seal_of(path.read_bytes()))
    with pytest.raises(BundleError, match=r"manifest\.sig .* is no signature of manifest\.json by"):
        verify(bundles.read(signed.path), [ann])


def test_sealing_again_drops_the_signature_of_the_manifest_before(signed: Bundle) -> None:
    assert bundles.write(signed.path, signed.manifest).signature is None


@FUZZ
@given(data=st.data())
def test_any_flipped_bit_of_a_signature_is_refused_with_the_file_named(
    signed: Bundle, ann: PublicKey, data: st.DataObject
) -> None:
    before = signed.signature
    assert before is not None
    text = bytearray(before.line().encode())
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (signed.path / SIGNATURE).write_bytes(text)
    with pytest.raises(BundleError, match=r"manifest\.sig|is signed by key"):
        verify(bundles.read(signed.path), [ann])


@given(st.binary(max_size=250))
def test_no_bytes_are_more_than_a_bundle_error(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.sig is no signature"):
        parse_signature(text)


@pytest.mark.parametrize("change", ["", "\n", " "])
def test_there_is_one_spelling(key: PrivateKey, change: str) -> None:
    line = signature_of(b"words", key).line().removesuffix("\n")
    assert parse_signature(f"{line}\n".encode())
    with pytest.raises(BundleError):
        parse_signature(f"{line}{change}".encode() if change != "\n" else f"{line}\n\n".encode())


@given(st.binary(max_size=300))
def test_a_board_without_packages_judges_as_cryptography_does(key: PrivateKey, words: bytes) -> None:
    value = key.sign(words)
    raw = public_of(key).raw
    assert ed25519.verify(raw, words, value)
    assert not ed25519.verify(raw, words + b"x", value)


def test_who_signed_is_told_and_what_was_not_checked(signed: Bundle, ann: PublicKey, bob: PublicKey) -> None:
    assert told(signed, [ann]) == f"signed by ann ({ann.id}), trusted here; the signature is right"
    assert told(signed, [bob]).endswith("which is not trusted here: that signature was not checked")
    (signed.path / SIGNATURE).unlink()
    assert told(bundles.read(signed.path), []).startswith("signed by nobody")


def test_the_keys_of_a_root_are_read_as_the_board_reads_them(tmp_path: Path, ann: PublicKey, bob: PublicKey) -> None:
    assert trusted(tmp_path) == ()
    trust(tmp_path, ann)
    trust(tmp_path, bob)
    assert trusted(tmp_path) == (ann, bob)
    (tmp_path / "trusted" / "eve.pub").write_text("no key")
    with pytest.raises(KeyFileError, match=r"eve\.pub is no key"):
        trusted(tmp_path)


def test_the_verb_makes_shows_trusts_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pem, root = str(tmp_path / "k" / "eve.pem"), str(tmp_path / "root")
    assert main(["key", "list", "--root", root]) == 0
    assert "EVERY bundle is taken" in capsys.readouterr().out
    assert main(["key", "new", pem]) == 0
    assert main(["key", "show", pem]) == 0
    assert main(["key", "trust", pem.replace(".pem", ".pub"), "--root", root]) == 0
    capsys.readouterr()
    assert main(["key", "list", "--root", root]) == 0
    eve = keys.load_public(tmp_path / "k" / "eve.pub")
    assert f"eve   {eve.id}" in capsys.readouterr().out
    assert main(["key", "new", pem]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["key", "trust", pem, "--root", root]) == 2
    assert Path(pem).read_text().splitlines()[1] not in "".join(capsys.readouterr())


def test_a_name_stands_for_one_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("eve", "bob"):
        keys.new(tmp_path / f"{name}.pem")
    target = ["--target", f"dir:{tmp_path / 'board'}"]
    assert main(["key", "trust", str(tmp_path / "eve.pub"), *target]) == 0
    assert trusted(tmp_path / "board") == (keys.load_public(tmp_path / "eve.pub"),)
    assert main(["key", "trust", str(tmp_path / "bob.pub"), "--name", "eve", *target]) == 2
    assert "another key is trusted as eve" in capsys.readouterr().err
    assert main(["key", "trust", str(tmp_path / "bob.pub"), "--name", "../bob", *target]) == 2


def test_bundle_show_tells_who_signed_and_verify_can_insist(
    signed: Bundle, tmp_path: Path, ann: PublicKey, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(signed.path), "--root", str(tmp_path / "root")]
    assert main(["bundle", "show", *words]) == 0
    assert "not trusted here" in capsys.readouterr().out
    assert main(["bundle", "verify", "--signed", *words]) == 2
    assert "is signed by key" in capsys.readouterr().err
    trust(tmp_path / "root", ann)
    assert main(["bundle", "show", *words]) == 0
    assert "trusted here; the signature is right" in capsys.readouterr().out
