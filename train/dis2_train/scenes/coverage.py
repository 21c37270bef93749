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


def scenarios_in(valid: Mapping[str, Mask], served: Sequence[str], order: Sequence[str]) -> dict[str, Mask]:
    """Scenario -> the HxW pixels of a window that it answers; none for pixels at which no sensor has data.

    `valid`: HxW by sensor, true where it has data. Where all of a block is a hole, the sensor is missing there, and
    the fullest of the `served` scenarios that does without it answers.
    """
    any_data = np.logical_or.reduce(list(valid.values()))
    codes = np.zeros(any_data.shape, np.uint8)
    for bit, mask in enumerate(valid.values()):
        codes |= _spread(mask).astype(np.uint8) << np.uint8(bit)
    found: dict[str, Mask] = {}
    for code in np.unique(codes[any_data]).tolist():
        here = [name for bit, name in enumerate(valid) if code >> bit & 1]
        scenario = best_served(here, served, order)
        if scenario != BLIND:
            found[scenario] = found.get(scenario, np.zeros_like(any_data)) | ((codes == code) & any_data)
    return found


def answerable(given: Sequence[str], served: Sequence[str], order: Sequence[str]) -> str:
    """The fullest served scenario of the `given` sensors; `BLIND` when none is."""
    return best_served(given, served, order) if scenario_of(given, order) != BLIND else BLIND


def _spread(mask: Mask) -> Mask:
    """`mask`, with every block in which anything is true made true as a whole."""
    height, width = mask.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padded = np.zeros((rows * BLOCK, columns * BLOCK), bool)
    padded[:height, :width] = mask
    blocks = padded.reshape(rows, BLOCK, columns, BLOCK).any(axis=(1, 3))
    return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]
