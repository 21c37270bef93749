"""Lay a choice beside the files that were made by it: `choice.json`, and a picture of each scenario's front."""

from __future__ import annotations

from pathlib import Path

from dis2_edge.files import write_json, write_text
from dis2_quantize.choosing.choice import FILE, Choice
from dis2_quantize.choosing.plot import front_picture


def record_choice(choice: Choice, folder: Path) -> None:
    """Write `choice` into `folder`; equal choices give equal bytes."""
    write_json(folder / FILE, choice.to_table())
    for scenario in choice.scenarios:
        write_text(folder / f"front-{scenario.scenario}.svg", front_picture(choice, scenario))
