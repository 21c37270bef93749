"""What to type after a verdict that failed: tune, keep blocks in floating point, or look closer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from dis2_edge.recipe import Recipe
from dis2_quantize.judging.verdict import Verdict

TUNES_ALL = -100.0
"""A tune_above that every scenario is above, whatever calibration cost it."""


def mends(
    verdict: Verdict, recipe: Recipe, blocks: Sequence[str], words: Sequence[str], qrun: Path
) -> Iterator[tuple[str, str]]:
    """(why, command line) pairs, the cheapest first.

    `words` are the command that made `qrun`, to go on with; `blocks` those of a scenario that failed.
    """
    if any(miss.row.precision == "int8" for miss in verdict.misses()):
        yield _tuned(recipe, words)
        yield "keep in float what costs most, chosen by measuring every block", shlex.join([*words, "--choose", "host"])
        if blocks:
            kept = f"keep_float={json.dumps(list(blocks[-1:]))}"
            yield f"keep blocks of your own choice, of {', '.join(blocks)}", shlex.join([*words, "--set", kept])
    look = ["dis2-edge", "quantize", "--show", str(qrun), "--max-drop", "POINTS", "--max-class-drop", "POINTS"]
    yield "hold this run against other limits, without computing", shlex.join(look)


def _tuned(recipe: Recipe, words: Sequence[str]) -> tuple[str, str]:
    """Tuning for all, or, where all were tuned, a longer one."""
    if recipe.tune_above > TUNES_ALL or not recipe.quantize_epochs:
        epochs = [] if recipe.quantize_epochs else ["--set", "quantize_epochs=4"]
        return "tune every scenario", shlex.join([*words, "--set", f"tune_above={TUNES_ALL:g}", *epochs])
    return "tune longer", shlex.join([*words, "--set", f"quantize_epochs={2 * recipe.quantize_epochs}"])
