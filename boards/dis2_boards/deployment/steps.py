"""The steps of a deploy, as data: their names, what each does, and what a board runs when one of them is cut off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step; whoever listens hears of it before it begins."""

    name: str
    """Its name."""
    sentence: str
    """What it does, for people."""
    switches: bool = False
    """Whether the board may run the new version when this step is cut off; else it runs the old one."""


HELLO = Step("hello", "greeting the board")
PACK = Step("pack", "packing the bundle")
TILES = Step("tiles", "making the labelled tiles")
CHECK = Step("check", "holding the board against what the bundle needs")
LOCK = Step("lock", "taking the board's lock")
HAVE = Step("have", "asking what the board has already")
PUT = Step("put", "sending what it lacks")
PLACE = Step("place", "placing the bundle beside the old one")
INSTALL = Step("install", "installing the runtime into the version's own environment")
PROVE = Step("prove", "building and proving the engines on the board")
REPORT = Step("report", "fetching the report")
SERVICE = Step("service", "setting rig and service, for the new version alone")
SWITCH = Step("switch", "switching to the new version", switches=True)
SETTLE = Step("settle", "watching its health", switches=True)

STEPS = (HELLO, PACK, CHECK, TILES, LOCK, HAVE, PUT, PLACE, INSTALL, PROVE, REPORT, SERVICE, SWITCH, SETTLE)
"""All steps in their order. TILES and REPORT are taken with `--eval` only, SERVICE with `--service` or `--rig` only."""
