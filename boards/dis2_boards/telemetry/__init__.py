"""Power, temperatures, clocks, GPU load and power mode of the machine that flies, read beside the ticks."""

from dis2_boards.telemetry.open import PREFERENCES, NoTelemetry, Prefer, Telemetry, open_telemetry
from dis2_boards.telemetry.reading import Reading
from dis2_boards.telemetry.watch import Watch
from dis2_boards.telemetry.watched import Tally, Watched

__all__ = [
    "PREFERENCES",
    "NoTelemetry",
    "Prefer",
    "Reading",
    "Tally",
    "Telemetry",
    "Watch",
    "Watched",
    "open_telemetry",
]
