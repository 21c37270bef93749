"""Power of a board's rails, from the current monitors that its kernel shows below /sys/class/hwmon."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dis2_boards.detection.tree import Tree

HWMON = "/sys/class/hwmon"
MONITORS = ("ina3221", "ina238", "ina226", "ina219")
"""Chips whose readings are a rail's; other sensors of hwmon also show powers, which are none of the board's."""
TOTALS = ("VDD_IN", "VIN", "POM_5V_IN")
"""Rails through which all of a board's power comes, the best known first."""
NOT_COMPARABLE = "the sum of its rails, as it has none for its whole input: not comparable with other boards"
_CHANNEL = re.compile(r"^(?:in|power)(\d{1,2})_input$")


@dataclass(frozen=True)
class Rail:
    """One rail, and how its power is read."""

    name: str
    """The board's own name for it."""
    watts: Callable[[], float | None]
    """Its power now; None where the files are gone or no numbers."""


def find_rails(tree: Tree) -> tuple[Rail, ...]:
    """The rails of every current monitor, in the order of their files; none on a machine that has no monitor."""
    found: dict[str, Rail] = {}
    for folder in (f"{HWMON}/{name}" for name in tree.names(HWMON)):
        chip = tree.line(f"{folder}/name")
        if chip not in MONITORS:
            continue
        for channel in sorted({int(match.group(1)) for name in tree.names(folder) if (match := _CHANNEL.match(name))}):
            rail = _rail(tree, folder, chip, channel)
            if rail is not None and rail.name not in found:
                found[rail.name] = rail
    return tuple(found.values())


def total(rails: dict[str, float], expected: Iterable[str] = ()) -> tuple[float | None, str]:
    """The board's power out of its rails' in watts, and what it is.

    None while one of the rails that are `expected` and needed does not answer: a part is not called the whole.
    """
    names = (*rails, *(name for name in expected if name not in rails))
    if not names:
        return None, "no current monitor is to be read"
    whole = next((name for name in TOTALS if name in names), None)
    missing = [name for name in ((whole,) if whole else names) if name not in rails]
    if missing:
        return None, f"the rail {missing[0]} does not answer"
    if whole:
        return rails[whole], f"the rail {whole}: the board's whole input"
    return sum(rails.values()), f"{NOT_COMPARABLE} ({' + '.join(rails)})"


def _rail(tree: Tree, folder: str, chip: str, channel: int) -> Rail | None:
    """The rail of one channel. A monitor of a single rail without a label stands at the board's input."""
    label = tree.line(f"{folder}/in{channel}_label") or tree.line(f"{folder}/power{channel}_label")
    if not label and chip == "ina3221":
        return None  # a channel that the board does not use
    if "sum of shunt" in label:
        return None  # the monitor's own sum of three shunts, no rail
    power, volts, amperes = (f"{folder}/{kind}{channel}_input" for kind in ("power", "in", "curr"))
    if tree.number(power) is not None:
        return Rail(label or "VIN", lambda: _watts_of(tree.number(power), 1, 1e6))
    if tree.number(volts) is not None and tree.number(amperes) is not None:
        return Rail(label or "VIN", lambda: _watts_of(tree.number(volts), tree.number(amperes), 1e6))
    return None


def _watts_of(first: int | None, second: int | None, scale: float) -> float | None:
    """Microwatts, or millivolts times milliamperes, in watts."""
    return None if first is None or second is None else first * second / scale
