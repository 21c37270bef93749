"""What the boards of one chip share, said once in `chips/NAME.toml`; a board file names its chip, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dis2_boards.figures import UNVERIFIED, Figure, Roofline, Software
from dis2_edge.errors import BoardError
from dis2_edge.files import read_toml
from dis2_edge.settings import from_table, nearest

_ROOM = Path(__file__).parent / "chips"
_NEEDED = {"multiprocessors": "SMs", "clock": "MHz", "bandwidth": "GB/s"}


@dataclass(frozen=True)
class Chip:
    """A system on a chip, or a graphics processor, of which there are several boards."""

    name: str
    """Its name for `chip` in a board file."""
    summary: str
    """The chip in one line."""
    hardware: dict[str, Figure]
    """What all its boards have alike: the compute capability."""
    operations: dict[str, Figure]
    """Most operations a clock of one multiprocessor, by number format: dense, of the GPU alone."""
    efficiency: dict[str, Figure]
    """Share of that peak which layers attain, by number format."""
    bandwidth_efficiency: Figure
    """Share of the memory's bandwidth which layers attain."""
    overhead: Figure
    """Added to every layer, in us."""
    software: tuple[Software, ...]
    """The releases of its boards' system software, oldest first."""
    call: Figure | None = None
    """Added to every image, in ms; None where it is not known."""
    error: Figure | None = None
    """How far predictions were off on a board of this chip; None where they were never held against one."""

    def roofline(self, hardware: dict[str, Figure], where: str) -> Roofline:
        """The roofline of a board of this chip; `where` names its file in a BoardError on a lacking figure."""
        for name, unit in _NEEDED.items():
            if name not in hardware or hardware[name].unit != unit:
                raise BoardError(f"{where}: no [hardware.{name}] in {unit}, which a board of a chip must give")
        return Roofline(
            peaks={name: _peak(figure, hardware, name) for name, figure in self.operations.items()},
            efficiency=self.efficiency,
            bandwidth=hardware["bandwidth"],
            bandwidth_efficiency=self.bandwidth_efficiency,
            overhead=self.overhead,
            call=self.call,
            error=self.error,
        )


def known_chips() -> tuple[str, ...]:
    """Names of the chips that dis2-edge knows, in alphabetical order."""
    return tuple(sorted(path.stem for path in _ROOM.glob("*.toml")))


def load_chip(name: str) -> Chip:
    """The chip called `name`."""
    if name not in known_chips():
        raise BoardError(f"unknown chip {name!r}", mend=nearest(name, known_chips()))
    path = _ROOM / f"{name}.toml"
    return from_table(Chip, read_toml(path, BoardError), where=str(path), error=BoardError)


def _peak(operations: Figure, hardware: dict[str, Figure], format_name: str) -> Figure:
    """Operations a second of all multiprocessors at the board's clock, with where each factor comes from."""
    parts = {name: hardware[name] for name in ("multiprocessors", "clock")}
    count, clock = parts["multiprocessors"].value, parts["clock"].value
    weak = [name for name, figure in {"operations a clock": operations, **parts}.items() if is_unverified(figure)]
    doubt = f"; {' and '.join(weak)} {UNVERIFIED}" if weak else ""
    return Figure(
        value=count * operations.value * clock / 1000,
        unit="GOP/s",
        meaning=f"dense {format_name} at the highest clock; no sparsity, no DLA",
        source=f"derived: {count:g} SMs x {operations.value:g} operations a clock x {clock:g} MHz{doubt}",
    )


def is_unverified(figure: Figure) -> bool:
    """Whether nobody vouches for the number."""
    return figure.source.startswith(UNVERIFIED)
