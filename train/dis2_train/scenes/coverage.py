"""Which sensors have data where, and so which scenario answers which pixels of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dis2_edge.scenario import BLIND, best_served, scenario_of

Mask = npt.NDArray[np.bool_]
BLOCK = 16
"""Side in pixels of a hole that counts as a missing sensor: what one position of the coarsest level sees.

Smaller holes are filled, as they were in training: for a speckled height model the neighbours are worth more than
another scenario.
"""


def scenarios_in(
    valid: Mapping[str, Mask], served: Sequence[str], order: Sequence[str], *, specks: bool = False
) -> dict[str, Mask]:
    """Scenario -> the HxW pixels of a window that it answers.

    `valid`: HxW by sensor, true where it has data. Where a whole block of it is a hole, and in what of that hole
    reaches into the blocks around, the sensor is missing, and the fullest of the `served` scenarios that does without
    it answers. Pixels at which no sensor has data are not answered; `specks` answers those of them at which a sensor
    is not missing but has a small hole.
    """
    there = {name: ~_missing(mask) for name, mask in valid.items()}
    wanted = np.logical_or.reduce(list((there if specks else valid).values()))
    codes = np.zeros(wanted.shape, np.uint8)
    for bit, mask in enumerate(there.values()):
        codes |= mask.astype(np.uint8) << np.uint8(bit)
    found: dict[str, Mask] = {}
    for code in np.unique(codes[wanted]).tolist():
        here = [name for bit, name in enumerate(there) if code >> bit & 1]
        scenario = best_served(here, served, order)
        if scenario != BLIND:
            found[scenario] = found.get(scenario, np.zeros_like(wanted)) | ((codes == code) & wanted)
    return found


def answerable(given: Sequence[str], served: Sequence[str], order: Sequence[str]) -> str:
    """The fullest served scenario of the `given` sensors; `BLIND` when none is."""
    return best_served(given, served, order) if scenario_of(given, order) != BLIND else BLIND


def _missing(valid: Mask) -> Mask:
    """The holes that count as a missing sensor: whole blocks, and what of their holes reaches into the next block."""
    if valid.all():
        return np.zeros_like(valid)
    height, width = valid.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padded = np.zeros((rows * BLOCK, columns * BLOCK), np.bool_)
    padded[:height, :width] = valid
    whole = ~padded.reshape(rows, BLOCK, columns, BLOCK).any(axis=(1, 3))
    framed = np.pad(whole, 1)
    near = np.zeros_like(whole)
    for down in range(3):
        for across in range(3):
            near |= framed[down : down + rows, across : across + columns]
    return ~valid & near.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]
