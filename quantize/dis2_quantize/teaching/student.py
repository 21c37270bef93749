"""Students: the deployable network of each scenario with fake quantisation on, taught by the full-sensor model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from dis2_edge.errors import DataError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import progress
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.teaching.enough import check_enough, is_blank, shows
from dis2_train.data.batches import Split, whole_images
from dis2_train.evaluate import Segmenter
from dis2_train.networks.seam import Frames, Network, Output


@dataclass
class Student:
    """One scenario's network, rounded where the engine will round."""

    scenario: str
    """The sensors that it sees."""
    taps: tuple[str, ...]
    """Names of the inner tensors that it answers beside its logits."""
    network: fx.GraphModule
    """Takes one tensor a sensor; answers (logits, *taps)."""

    def __call__(self, frames: Frames) -> Output:
        """Logits and taps for the frames of its scenario; others are not read."""
        logits, *taps = self.network(*(frames[name] for name in sensors_of(self.scenario)))
        return Output(logits, dict(zip(self.taps, taps, strict=True)))


def make_student(network: Network, scenario: str, recipe: Recipe, keep_float: tuple[str, ...] = ()) -> Student:
    """A student of `scenario` with its own copy of the weights; its ranges are not known yet: `calibrate` it.

    Raises RecipeError for a network in which nothing can become an integer, so that no file says int8 and is not.
    """
    taps = network.tap_names(scenario)
    traced = placement.trace(network.deployable(scenario, taps))
    placed = placement.place(traced, recipe.observer, keep_float, network.task.used(scenario))
    kinds = (QuantConvUnit, QuantLinear) if keep_float else QuantConvUnit
    if not any(isinstance(module, kinds) for module in placed.modules()):
        found = f"{recipe.network} with preset {recipe.preset!r} has no convolution that folds to an integer one"
        raise RecipeError(found, mend="quantize with --precision fp32, or train the preset 'default'")
    return Student(scenario, taps, placed)


@torch.no_grad()
def calibrate(students: Sequence[Student], split: Split, images: int) -> None:
    """Let every student see the first `images` whole images of `split` that show its sensors, then fix its ranges.

    Raises DataError where there are too few of them, and where a value is not finite.
    """
    seen = dict.fromkeys((student.scenario for student in students), 0)
    blank = dict.fromkeys(split.task.sensor_names, 0)
    looked_at = 0
    wanting = itertools.takewhile(lambda _: min(seen.values()) < images, whole_images(split, 1))
    for batch in progress(wanting, "calibrate", min(images, len(split))):
        looked_at += 1
        for name in blank:
            blank[name] += is_blank(batch.frames[name])
        for student in students:
            if seen[student.scenario] < images and shows(batch.frames, student.scenario):
                _look(student, batch.frames)
                seen[student.scenario] += 1
    check_enough(seen, blank, looked_at, images, split.name)
    for student in students:
        placement.freeze(student.network)
        student.network.eval()


def logits_of(students: Sequence[Student]) -> Segmenter:
    """What `dis2_train.evaluate.evaluate` takes: (frames, scenario) to logits."""
    by_scenario = {student.scenario: student for student in students}

    def segment(frames: Frames, scenario: str) -> Tensor:
        return by_scenario[scenario](frames).logits

    return segment


def _look(student: Student, frames: Frames) -> None:
    """Let a student see one image; a fault found in a layer is told with its scenario."""
    try:
        student(frames)
    except DataError as error:
        found = f"calibrating {student.scenario}: {error.found}"
        raise DataError(found, expected=error.expected, mend=error.mend) from error
