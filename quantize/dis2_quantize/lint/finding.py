"""What a rule finds in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Fault(NamedTuple):
    """A place at which a rule does not hold."""

    node: str
    """Name of the node, tensor or entry; empty for the file as a whole."""
    found: str
    """What is there."""


@dataclass(frozen=True)
class Finding:
    """A fault, with the rule that it breaks."""

    rule: str
    """Name of the rule."""
    severity: Severity
    """error: the file is refused, wrong or not what it says; warning: it works, but slower or less safely."""
    node: str
    """Name of the node, tensor or entry; empty for the file as a whole."""
    found: str
    """What is there."""
    mend: str
    """What to do about it."""
