"""A board that trusts no key takes every bundle and says so; one that does takes only what a trusted key signed."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.boards.agent.bundles import Fake, bundle, send
from tests.boards.agent.pretence import stand_ins
from tests.boards.agent.scenes import Request, upload
from tests.boards.agent.talking import AgentError, Local

OURS, THEIRS = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))


def public(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed(name: str, private: Ed25519PrivateKey = OURS) -> Fake:
    return bundle(name, signed=(public(private), private.sign))


def trusting(talk: Local, name: str = "ours") -> None:
    talk.ask("trust", name=name, key=base64.b64encode(public(OURS)).decode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_a_trusting_board_takes_what_its_key_signed(root: Path) -> None:
    with Local(root) as talk:
        trusting(talk)
        assert send(talk, signed("a")) == {"signed_by": "ours", "warning": ""}
        assert talk.ask("trusted")["trusted"] == ["ours"]
    with Local(root) as talk:
        assert talk.facts["trusted"] == ["ours"]


@pytest.mark.parametrize("how", ["unsigned", "by another", "another's name", "altered", "no signature", "two lines"])
def test_a_trusting_board_refuses_all_else(root: Path, how: str) -> None:
    fake, good = bundle("a"), signed("a").files["manifest.sig"]
    line = {
        "unsigned": None,
        "by another": signed("a", THEIRS).files["manifest.sig"],
        "another's name": good[:24] + signed("a", THEIRS).files["manifest.sig"][24:],
        "altered": signed("b").files["manifest.sig"],
        "no signature": b"ed25519 \n",
        "two lines": good + good,
    }[how]
    if line is not None:
        fake = Fake({**fake.files, "manifest.sig": line})
    with Local(root) as talk:
        trusting(talk)
        with pytest.raises(AgentError, match="sign"):
            send(talk, fake)
        assert talk.ask("status")["versions"] == []


def test_a_version_that_stands_is_judged_again_when_it_comes_unsigned(root: Path) -> None:
    whole = signed("a")
    bare = Fake({path: data for path, data in whole.files.items() if path != "manifest.sig"})
    assert whole.id == bare.id
    with Local(root) as talk:
        send(talk, bare)
        trusting(talk)
        with pytest.raises(AgentError, match="is not signed"):
            send(talk, bare)
        assert send(talk, whole)["signed_by"] == "ours"
        with pytest.raises(AgentError, match="is not signed"):
            send(talk, bare)
    assert (root / "versions" / whole.id / "bundle" / "manifest.sig").read_bytes() == whole.files["manifest.sig"]


def test_neither_switch_nor_rollback_goes_to_what_the_keys_of_today_do_not_allow(root: Path) -> None:
    old, new = bundle("old"), bundle("new")
    with stand_ins(), Local(root) as talk:
        for fake in (old, new):
            ready(talk, fake)
            talk.ask("switch", id=fake.id)
            talk.ask("settle", wait_s=1)
        trusting(talk)
        for verb, keys in (("rollback", {}), ("rollback", {"to": old.id}), ("switch", {"id": old.id})):
            with pytest.raises(AgentError, match="is not signed"):
                talk.ask(verb, **keys)
        with pytest.raises(AgentError, match="is not signed"):
            talk.ask("prove", id=old.id)
        assert talk.ask("status")["current"] == new.id, "what flies is left to fly"


def test_a_board_that_trusts_keys_installs_only_what_the_bundle_lists(root: Path) -> None:
    with stand_ins(), Local(root) as talk:
        trusting(talk)
        fake = signed("a")
        send(talk, fake)
        sha, size = talk.upload(b"wheel")
        with pytest.raises(AgentError, match="lists no wheels"):
            talk.ask("install", id=fake.id, wheels=[["w-1-py3-none-any.whl", sha, size]])


@pytest.mark.parametrize(
    "key", ["", "AAAA", "x" * 44, base64.b64encode(bytes(32)).decode(), base64.b64encode(b"\x01" + bytes(31)).decode()]
)
def test_what_is_no_key_is_not_trusted(root: Path, key: str) -> None:
    with Local(root) as talk:
        with pytest.raises(AgentError, match="key k is"):
            talk.ask("trust", name="k", key=key)
        assert talk.ask("trusted")["trusted"] == []


@pytest.mark.parametrize("name", ["../x", ".x", "", "a b", "x" * 65])
def test_a_key_has_a_plain_name(root: Path, name: str) -> None:
    with Local(root) as talk, pytest.raises(AgentError, match="name"):
        trusting(talk, name)


def test_a_name_stays_with_its_key(root: Path) -> None:
    with Local(root) as talk:
        trusting(talk)
        trusting(talk)
        with pytest.raises(AgentError, match="another key is trusted as ours"):
            talk.ask("trust", name="ours", key=base64.b64encode(public(THEIRS)).decode())


def test_a_key_that_cannot_be_read_makes_all_bundles_refused(root: Path) -> None:
    with Local(root) as talk:
        trusting(talk)
        (root / "trusted" / "torn.pub").write_text("")
        with pytest.raises(AgentError, match=r"torn\.pub is no key"):
            send(talk, signed("a"))


def ready(talk: Local, fake: Fake) -> None:
    """Send, install and prove, by stand-ins."""
    rows = upload(fake)
    for row, data in zip(rows, [*rows[1:], b""], strict=True):
        if isinstance(row, dict):
            keys: Request = {key: value for key, value in row.items() if key != "ask"}
            talk.ask(row["ask"], data if isinstance(data, bytes) and row["ask"] == "put" else b"", **keys)
