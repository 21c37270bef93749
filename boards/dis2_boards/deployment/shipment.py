"""What travels for one bundle: its files, the wheels of the board's Python, the tiles; each known by its hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dis2_boards.packing.pins import Wheel
from dis2_edge.bundle import MANIFEST, SEAL, Bundle
from dis2_edge.files import sha256
from dis2_edge.signature import SIGNATURE


@dataclass(frozen=True)
class Piece:
    """One file that may have to travel."""

    path: Path
    """Where it lies here."""
    sha256: str
    """Its hash, under which the board keeps it."""
    bytes: int
    """Its size."""


@dataclass(frozen=True)
class Shipment:
    """All that a board needs of us to run a bundle."""

    bundle: Bundle
    """The bundle."""
    files: dict[str, Piece]
    """The bundle's files by their path in it."""
    wheels: tuple[Wheel, ...] = ()
    """What its environment is made of."""
    wheel_paths: dict[str, Path] = field(default_factory=dict)
    """Where the wheels lie here, by hash."""
    tiles: Piece | None = None
    """Labelled tiles, where accuracy is measured on the board."""
    rig: Piece | None = None
    """The aircraft's rig, where it is a new one."""

    def pieces(self) -> dict[str, Piece]:
        """Everything by its hash, each once."""
        all_of = {piece.sha256: piece for piece in self.files.values()}
        all_of |= {row.sha256: Piece(self.wheel_paths[row.sha256], row.sha256, row.bytes) for row in self.wheels}
        return all_of | {piece.sha256: piece for piece in (self.tiles, self.rig) if piece is not None}

    @property
    def total_bytes(self) -> int:
        """Bytes of all pieces."""
        return sum(piece.bytes for piece in self.pieces().values())


def shipment(
    bundle: Bundle,
    wheels: tuple[Wheel, ...],
    wheel_paths: Mapping[str, Path],
    tiles: Path | None = None,
    rig: Path | None = None,
) -> Shipment:
    """What travels for `bundle` with `wheels`."""
    files = {name: Piece(bundle.file(name), row.sha256, row.bytes) for name, row in bundle.manifest.files.items()}
    for name in (MANIFEST, SEAL, SIGNATURE):
        if (bundle.path / name).is_file():
            files[name] = piece_of(bundle.path / name)
    more = [piece_of(path) if path else None for path in (tiles, rig)]
    return Shipment(bundle, files, wheels, dict(wheel_paths), *more)


def piece_of(path: Path) -> Piece:
    """The file at `path`, hashed."""
    return Piece(path, sha256(path), path.stat().st_size)
