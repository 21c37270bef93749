"""Power modes by name, from the board's own files: ids differ between configurations of one and the same module."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dis2_boards.detection.tree import Tree, whole_number

CONF, STATUS = "/etc/nvpmodel.conf", "/var/lib/nvpmodel/status"
_MODEL = re.compile(r"^\s*<\s*POWER_MODEL\s+([^>]*)>")
_DEFAULT = re.compile(r"^\s*<\s*PM_CONFIG\s[^>]*\bDEFAULT\s*=\s*(\d{1,6})\b")
_PAIR = re.compile(r"\b(ID|NAME)\s*=\s*(\S+)")
_STATUS = re.compile(r"\bpmode:\s*(\d{1,6})\b")
_MOST_LINES = 20_000


@dataclass(frozen=True)
class Mode:
    """One power mode as /etc/nvpmodel.conf defines it."""

    id: int
    """Its number in this file; in another board's file the same number may be another mode."""
    name: str
    """Its name."""
    gpu_max_mhz: float | None = None
    """Highest clock of the GPU in it; None when the file sets no limit."""
    processors: int | None = None
    """Processor cores online in it; None when the file does not say."""
    gpu_mask: int | None = None
    """Which parts of the GPU are switched off (bits of TPC_PG_MASK); None when the file does not say."""

    def limits(self) -> dict[str, float | int | None]:
        """What it caps, by name."""
        return {"gpu_max_mhz": self.gpu_max_mhz, "processors": self.processors, "gpu_mask": self.gpu_mask}


@dataclass(frozen=True)
class PowerModes:
    """The modes of a board, and which of them is set."""

    modes: tuple[Mode, ...] = ()
    """In the file's order."""
    current: str = ""
    """Name of the mode that is set; empty when unknown."""
    default: str = ""
    """Name of the mode in which the board starts."""

    @property
    def current_mode(self) -> Mode | None:
        """The mode that is set, with its limits."""
        return next((mode for mode in self.modes if mode.name == self.current), None)


def read_power_modes(tree: Tree) -> PowerModes:
    """The modes of /etc/nvpmodel.conf, with the status file's id turned into a name by that very file."""
    modes, default = parse_conf(tree.text(CONF))
    return PowerModes(modes, current_name(tree, modes), next((mode.name for mode in modes if mode.id == default), ""))


def current_name(tree: Tree, modes: tuple[Mode, ...]) -> str:
    """Name of the mode that is set, out of `modes`; empty when the status is gone or means none of them."""
    status = _STATUS.search(tree.text(STATUS, 4096))
    return next((mode.name for mode in modes if status and mode.id == int(status.group(1))), "")


def parse_conf(text: str) -> tuple[tuple[Mode, ...], int | None]:
    """The modes of an nvpmodel.conf and the id of the default one; lines that are none of its own are passed over."""
    modes: list[Mode] = []
    default: int | None = None
    for line in text.split("\n")[:_MOST_LINES]:
        if head := _MODEL.match(line):
            values = dict(_PAIR.findall(head.group(1)))
            if values.get("ID", "").isdecimal() and len(values["ID"]) < 7 and values.get("NAME"):
                modes.append(Mode(int(values["ID"]), values["NAME"]))
        elif config := _DEFAULT.match(line):
            default = int(config.group(1))
        elif modes and not line.lstrip().startswith(("#", "<")):
            modes[-1] = _with_limits(modes[-1], line.split()[:3])
    return tuple(modes), default


def _with_limits(mode: Mode, words: list[str]) -> Mode:
    """`mode` after one more line of its body, such as `GPU MAX_FREQ 408000000`."""
    value = whole_number(words[2]) if len(words) == 3 else None
    if value is None:
        return mode
    knob, part = words[0], words[1]
    if knob == "GPU" and part == "MAX_FREQ" and value > 0:
        return replace(mode, gpu_max_mhz=value / 1e6)
    if knob == "CPU_ONLINE" and value in (0, 1):
        return replace(mode, processors=(mode.processors or 0) + value)
    if part == "TPC_PG_MASK" and value >= 0:
        return replace(mode, gpu_mask=value)
    return mode
