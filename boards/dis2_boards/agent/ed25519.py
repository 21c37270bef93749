"""Verify an Ed25519 signature (RFC 8032) with Python's integers alone: a board needs no package to judge a bundle.

Nothing here is secret, so nothing has to take the same time for all inputs. Strict: points and scalars must be written
in their one canonical form (y < p, S < L), points of small order are no keys, and the equation is checked without the
cofactor.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]
"""X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""
_NEUTRAL: Point = (0, 1, 1, 0)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` was made with the private half of `key` (32 bytes)."""
    if len(signature) != 64 or not is_key(key):
        return False
    public, nonce = _point(key), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or nonce is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    return _equal(_times(scalar, _BASE), _add(nonce, _times(challenge, public)))


def is_key(key: bytes) -> bool:
    """Whether `key` is a public key: a point of the curve in canonical form, and none of the eight of small order."""
    point = _point(key)
    return point is not None and not _equal(_times(8, point), _NEUTRAL)


def _point(data: bytes) -> Point | None:
    """RFC 8032, 5.1.3; None where `data` is no point or not its canonical form."""
    if len(data) != 32:
        return None
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    top, bottom = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = top * pow(bottom, 3, _P) * pow(top * pow(bottom, 7, _P), (_P - 5) // 8, _P) % _P
    if (bottom * x * x - top) % _P:
        x = x * _ROOT % _P
    if (bottom * x * x - top) % _P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else _P - x
    return x, y, 1, x * y % _P


def _add(one: Point, two: Point) -> Point:
    """RFC 8032, 5.1.4: complete, so doubling is adding a point to itself."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c, d = 2 * one[3] * two[3] * _D % _P, 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    total = _NEUTRAL
    for digit in bin(scalar)[2:]:
        total = _add(total, total)
        if digit == "1":
            total = _add(total, point)
    return total


def _equal(one: Point, two: Point) -> bool:
    return (one[0] * two[2] - two[0] * one[2]) % _P == 0 and (one[1] * two[2] - two[1] * one[2]) % _P == 0


def _base() -> Point:
    point = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _base()
