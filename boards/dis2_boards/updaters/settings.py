"""What this board says about itself in /etc/default/dis2-edge, all checked before anything is touched.

DIS2_EDGE_ROOT      ROOT of this board; must be given, as a second one beside the right one would help nobody
DIS2_EDGE_USER      whose ROOT it is; else its owner
DIS2_EDGE_SERVICE   how what flies is started: systemd-user, systemd, process, none; else as the board has it
DIS2_EDGE_ENGINE    auto, onnxruntime or tensorrt; else auto
DIS2_EDGE_WAIT_S    seconds to wait for somebody else's deploy; else 0
DIS2_EDGE_SETTLE_S  seconds in which the new version must show that it is healthy; else 30
DIS2_EDGE_LIMIT_S   seconds that building and proving may take; else 3600
DIS2_EDGE_PYTHON    Python 3.10 or newer; else python3 (read by the scripts)

Nothing of dis2-edge is on the board yet: names and defaults of `deploy` stand here again, held equal by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dis2_boards.updaters.messages import StoppedError

SERVICES = ("systemd-user", "systemd", "process", "none")
ENGINES = ("auto", "onnxruntime", "tensorrt")

_MEND = "set it in /etc/default/dis2-edge"


@dataclass(frozen=True)
class Settings:
    """The settings, each of which can be."""

    root: str
    """ROOT, absolute."""
    user: str
    """Whose it is; empty for its owner."""
    service: str
    """How what flies is started; empty for what the board has."""
    engine: str
    """What is to fly."""
    wait_s: float
    """How long to wait for the lock."""
    settle_s: float
    """How long the new version has to show that it is healthy."""
    limit_s: float
    """How long building and proving may take."""


def read(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; StoppedError names the first that cannot be."""
    given = {key: environment.get(f"DIS2_EDGE_{key}", "") for key in ("ROOT", "USER", "SERVICE", "ENGINE")}
    if not given["ROOT"].startswith("/"):
        raise StoppedError(f"DIS2_EDGE_ROOT is {given['ROOT']!r}", "this board's ROOT, an absolute path", _MEND)
    return Settings(
        given["ROOT"],
        given["USER"],
        _one_of("SERVICE", given["SERVICE"], ("", *SERVICES)),
        _one_of("ENGINE", given["ENGINE"] or "auto", ENGINES),
        _seconds(environment, "WAIT_S", 0),
        _seconds(environment, "SETTLE_S", 30),
        _seconds(environment, "LIMIT_S", 3600),
    )


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise StoppedError(f"DIS2_EDGE_{name} is {value!r}", ", ".join(filter(None, known)), _MEND)
    return value


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(f"DIS2_EDGE_{name}", "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise StoppedError(f"DIS2_EDGE_{name} is {text!r}", "a number of seconds", _MEND)
    return seconds
