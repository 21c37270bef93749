"""Whether there is enough to calibrate on: images on which every sensor of a scenario shows something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from dis2_edge.errors import DataError
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import note
from dis2_train.networks.seam import Frames

ENOUGH = 8
"""Images below which ranges are not taken, unless the recipe asks for fewer."""
LEAST = 2
"""Fewer images than this say nothing about ranges, whatever the recipe asks for."""


def shows(frames: Frames, scenario: str) -> bool:
    """Whether each sensor of `scenario` shows something."""
    return not any(is_blank(frames[name]) for name in sensors_of(scenario))


def is_blank(x: Tensor) -> bool:
    """Whether frames (B, C, H, W) are one value a channel: no data that was filled, a lens cap, a dead driver."""
    return bool((x.amax(dim=(2, 3)) == x.amin(dim=(2, 3))).all())


def check_enough(seen: Mapping[str, int], blank: Mapping[str, int], looked_at: int, wanted: int, split: str) -> None:
    """DataError where a scenario was `seen` on too few images.

    `blank` counts the frames of each sensor that show nothing among the `looked_at` images; `wanted` is the recipe's
    calibration_images, which lowers the least number where it is below it.
    """
    least = max(LEAST, min(wanted, ENOUGH))
    for scenario, count in seen.items():
        if count >= least:
            continue
        empty = _told((name, blank[name]) for name in sensors_of(scenario) if blank[name])
        why = f", as of {looked_at} images of {split} {empty} show nothing" if empty else f" in {split}"
        raise DataError(
            f"{count} images to calibrate {scenario} on{why}",
            expected=f"{least} or more; the recipe's calibration_images asks for {wanted}",
            mend=_mend(count, wanted, empty),
        )
    few = _told((scenario, count) for scenario, count in seen.items() if count < wanted)
    if few:
        note(f"calibrated on fewer images than the {wanted} asked for: {few}")


def _told(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def _mend(count: int, wanted: int, empty: str) -> str:
    if wanted < LEAST:
        return "ask for more: --set calibration_images=32"
    more = "add images whose sensors show something" if empty else "add images to that split"
    return f"{more}, or make do with them: --set calibration_images={count}" if count >= LEAST else more
