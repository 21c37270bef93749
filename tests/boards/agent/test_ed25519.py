"""Our verification agrees with RFC 8032 and with `cryptography`, and is strict where the RFC leaves a choice."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from dis2_boards.agent import ed25519

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655"
        "141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00"
        "d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc02"
        "7beceea1ec40a",
    ),
]
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    assert ed25519.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
    assert not ed25519.verify(bytes.fromhex(key), bytes.fromhex(message) + b"!", bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 8 * 96 - 1))
def test_it_agrees_with_cryptography_on_whole_and_on_damaged_signatures(seed: bytes, message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = private.sign(message)
    assert ed25519.is_key(key)
    assert ed25519.verify(key, message, signature)
    damaged = bytearray(key + signature)
    damaged[bit // 8] ^= 1 << bit % 8
    theirs = judged_by_cryptography(bytes(damaged[:32]), message, bytes(damaged[32:]))
    assert ed25519.verify(bytes(damaged[:32]), message, bytes(damaged[32:])) == theirs


@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=70))
def test_no_bytes_make_it_fail(key: bytes, message: bytes, signature: bytes) -> None:
    assert not ed25519.verify(key, message, signature)


def test_a_second_form_of_the_same_signature_is_refused() -> None:
    """S + L satisfies the equation as S does: who takes it lets anyone make another signature of one."""
    key, message, signature = (bytes.fromhex(word) for word in VECTORS[1])
    scalar = int.from_bytes(signature[32:], "little") + L
    assert not ed25519.verify(key, message, signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "y",
    [0, 1, P - 1, P, P + 1, 2**255 - 1, 1 | 1 << 255, (P - 1) | 1 << 255, 2, 2**256 - 1],
    ids=["order 4", "neutral", "order 2", "p", "p + 1", "largest", "-0", "-0 of order 2", "no point", "all ones"],
)
def test_what_is_no_key_or_of_small_order_is_refused(y: int) -> None:
    """Under a key of small order, signatures can be made that fit many messages."""
    assert not ed25519.is_key(y.to_bytes(32, "little"))
    assert not ed25519.verify(y.to_bytes(32, "little"), b"", bytes(64))


def judged_by_cryptography(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
