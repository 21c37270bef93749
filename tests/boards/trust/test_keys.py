"""Key files: a private one is its owner's alone and never written over; whatever is no key says so at once."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_boards.trust import keys
from dis2_boards.trust.keys import load_private, load_public, public_of, public_path
from dis2_edge.errors import KeyFileError, StorageError

FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    keys.new(tmp_path / "ann.pem")
    return tmp_path / "ann.pem"


def test_a_new_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    code = (
        "import os; os.umask(0); from pathlib import Path; from dis2_boards.trust import keys; keys.new(Path('a.pem'))"
    )
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], cwd=tmp_path, check=True)
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a.pub").stat().st_mode) == 0o644


def test_what_is_made_is_loaded_and_its_halves_belong_together(pem: Path) -> None:
    key, public = load_private(pem), load_public(public_path(pem))
    assert public_of(key, "ann") == public
    assert (public.name, len(public.id), len(public.raw)) == ("ann", 16, 32)
    ed25519.Ed25519PublicKey.from_public_bytes(public.raw).verify(key.sign(b"words"), b"words")


@pytest.mark.parametrize("taken", ["ann.pem", "ann.pub"])
def test_no_key_is_written_over(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(StorageError, match=f"{taken} exists already"):
        keys.new(tmp_path / "ann.pem")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "precious")]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "ann.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        keys.new(tmp_path / "ann.pem")
    assert not (tmp_path / "elsewhere").exists()


def test_a_passphrase_locks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.new(tmp_path / "ann.pem", "open sesame")
    assert b"ENCRYPTED" in (tmp_path / "ann.pem").read_bytes()
    assert public_of(load_private(tmp_path / "ann.pem", "open sesame")) == public_of(made)
    with pytest.raises(KeyFileError, match="and its passphrase if it has one"):
        load_private(tmp_path / "ann.pem", "sesame")
    monkeypatch.setattr(keys.sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(KeyFileError, match="there is no terminal to ask for it"):
        load_private(tmp_path / "ann.pem")
    monkeypatch.setattr(keys.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(keys.getpass, "getpass", lambda _: "open sesame")
    assert public_of(load_private(tmp_path / "ann.pem")) == public_of(made)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_private_key_that_others_may_read_is_refused(pem: Path, mode: int) -> None:
    pem.chmod(mode)
    with pytest.raises(KeyFileError, match=f"others may read the private key .*chmod 600 {pem}"):
        load_private(pem)


def test_its_secret_shows_in_no_representation_and_no_message(pem: Path) -> None:
    secret = pem.read_text().splitlines()[1]
    assert secret not in repr(load_private(pem))
    assert "PrivateKey()" in repr(load_private(pem))
    pem.write_text(pem.read_text().replace("-----END", "-----FIN"))
    with pytest.raises(KeyFileError) as caught:
        load_private(pem)
    assert secret not in f"{caught.value} {caught.value.__cause__}"


def test_a_key_of_another_kind_is_named_so(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "a.pem").write_bytes(other)
    (tmp_path / "a.pem").chmod(0o600)
    with pytest.raises(KeyFileError, match=r"a\.pem holds a key of another kind"):
        load_private(tmp_path / "a.pem")


@FUZZ
@given(text=st.binary(max_size=200))
def test_no_bytes_are_more_than_a_key_file_error(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(text)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"x\.pem"):
        load_private(file)
    with pytest.raises(KeyFileError, match=r"x\.pem"):
        load_public(file)


def test_a_private_key_for_a_public_one_names_the_right_file(pem: Path) -> None:
    with pytest.raises(KeyFileError, match=rf"is a private key; expected a public one; use {public_path(pem)}"):
        load_public(pem)


@pytest.mark.parametrize("load", [load_private, load_public])
def test_a_missing_or_a_huge_file_is_named(tmp_path: Path, load: object) -> None:
    assert callable(load)
    with pytest.raises(KeyFileError, match=r"no\.pem cannot be read"):
        load(tmp_path / "no.pem")
    (tmp_path / "big.pem").write_bytes(b"x" * 5000)
    with pytest.raises(KeyFileError, match="too large"):
        load(tmp_path / "big.pem")
