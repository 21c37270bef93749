"""Send what a board lacks, by content: what it has stays here, a file that was cut off goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_boards.deployment.shipment import Piece, Shipment
from dis2_boards.targets.session import Session, Tell
from dis2_edge.errors import BoardError, LostError

_LARGE = 1_000_000
"""Bytes from which on a file is worth a name in the progress."""


@dataclass(frozen=True)
class Lacking:
    """What a board lacks of a shipment."""

    pieces: tuple[Piece, ...]
    """Files that it does not have whole."""
    partial: dict[str, int]
    """Bytes that it has of some of them, by hash."""

    @property
    def bytes(self) -> int:
        """Bytes that have to travel."""
        return sum(piece.bytes - self.start(piece) for piece in self.pieces)

    def start(self, piece: Piece) -> int:
        """The byte that sending `piece` begins with."""
        there = self.partial.get(piece.sha256, 0)
        return there if 0 < there <= piece.bytes else 0


def lacking(session: Session, load: Shipment) -> Lacking:
    """Ask what the board lacks."""
    pieces = load.pieces()
    answer = session.ask("have", files=[[piece.sha256, piece.bytes] for piece in pieces.values()])
    return Lacking(tuple(pieces[sha] for sha in answer["missing"]), dict(answer.get("partial", {})))


def send(session: Session, lacks: Lacking, tell: Tell) -> int:
    """Send it, small files first so that a bad link is met early; `tell` hears of all bytes. Returns how many went."""
    total, done = lacks.bytes, 0
    for piece in sorted(lacks.pieces, key=lambda piece: (piece.bytes, piece.sha256)):
        start, before, large = lacks.start(piece), done, piece.bytes >= _LARGE

        def went(
            label: str, position: int, _: int, start: int = start, before: int = before, large: bool = large
        ) -> None:
            tell(label if large else "", before + position - start, total)

        done += _sent(session, piece, start, went)
    return done


def _sent(session: Session, piece: Piece, start: int, tell: Tell) -> int:
    """Send `piece` from byte `start` on; where the beginning that the board kept was damaged, all of it once more."""
    try:
        session.put(piece.path, piece.sha256, offset=start, tell=tell)
        return piece.bytes - start
    except LostError:
        raise
    except BoardError:
        if not start:
            raise
    session.put(piece.path, piece.sha256, tell=tell)
    return 2 * piece.bytes - start
