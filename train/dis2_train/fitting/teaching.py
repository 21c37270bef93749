"""Training in two steps: which teacher a network gets, where it is kept, and what the user is told of it.

RUN/teacher is a run folder of its own: trained there as step 1, or a copy of the run that `--teacher` names, so that a
run holds all that it is resumed from. Nothing reads it once the run is finished.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.files import new_folder, sha256, storage_errors
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import note
from dis2_train import checkpoint
from dis2_train.checkpoint import WEIGHTS
from dis2_train.fitting.start import INIT
from dis2_train.networks.seam import Network

FOLDER = "teacher"
"""Folder within a run that holds the run of its teacher, where it has one."""
_KEPT = ("recipe.toml", "task.json", "statistics.json", "metrics.json", INIT, "log.csv")
"""What a copy of a teacher's run holds beside its weights."""


def take_given(network: Network, recipe: Recipe, given: Path, out: Path) -> None:
    """Let `network`, built by `recipe`, learn from the finished run `given`; nothing is written.

    RecipeError when it wants no teacher; CheckpointError when `given` is no finished run or teaches something else, or
    when the run `out` was begun with another teacher.
    """
    if network.taught_by() is None:
        raise RecipeError(
            f"--teacher is {given}, and {recipe.network} by this recipe asks nothing of a teacher",
            mend="leave --teacher out",
        )
    network.learn_from(checkpoint.load(given).network)
    own = out / FOLDER
    if not own.exists():
        return
    if not checkpoint.is_finished(own) or sha256(own / WEIGHTS) != sha256(given / WEIGHTS):
        raise CheckpointError(
            f"{out} was begun with another teacher than {given}",
            expected=f"the one in {own}",
            mend="leave --teacher out, or choose another --out",
        )


def take_own(network: Network, out: Path) -> None:
    """Let `network` learn from the finished run in `out`'s folder for it."""
    try:
        network.learn_from(checkpoint.load(out / FOLDER).network)
    except CheckpointError as cause:
        mend = f"remove {out / FOLDER}: --resume then trains its teacher again, or takes the one of --teacher"
        raise CheckpointError(f"{out} cannot go on with its teacher: {cause.found}", mend=mend) from cause


def keep(given: Path, out: Path) -> None:
    """Copy the teacher's run `given` into the run folder `out`, whole or not at all; what is there already stays."""
    if (out / FOLDER).exists():
        return
    with new_folder(out / FOLDER) as scratch, storage_errors(scratch):
        for name in (*_KEPT, WEIGHTS):
            if (given / name).is_file():
                shutil.copyfile(given / name, scratch / name)


def tell_teacher(lesson: Recipe, how: str) -> None:
    """Say that step 1 begins, or how the teacher came to be there."""
    note(f"step 1 of 2: the teacher, {_named(lesson)}{how and ': '}{how}")


def tell_student(recipe: Recipe, network: Network) -> None:
    """Say that step 2 begins."""
    note(f"step 2 of 2: the network that is taught, {recipe.network} on {', '.join(network.task.sensor_names)}")


def _named(lesson: Recipe) -> str:
    return f"{lesson.network} on {', '.join(lesson.sensors)}"
