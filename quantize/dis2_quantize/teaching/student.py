"""Students: the deployable network of each scenario with fake quantisation on, taught by the full-sensor model."""

from __future__ import annotations

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
from dis2_train.data.batches import Split, whole_images
from dis2_train.evaluate import Segmenter
from dis2_train.networks.seam import Frames, Network, Output

LEAST_IMAGES = 2
"""Fewer images than this say nothing about ranges."""


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
    if not any(isinstance(module, QuantConvUnit) for module in placed.modules()):
        found = f"{recipe.network} with preset {recipe.preset!r} has no convolution that folds to an integer one"
        raise RecipeError(found, mend="quantize with --precision fp32, or train the preset 'default'")
    return Student(scenario, taps, placed)


@torch.no_grad()
def calibrate(students: Sequence[Student], split: Split, images: int) -> None:
    """Let every student see the first `images` whole images of `split` at flight size, then fix its ranges."""
    wanted = min(images, len(split))
    if wanted < LEAST_IMAGES:
        raise DataError(f"{wanted} images to calibrate on", expected=f"{LEAST_IMAGES} or more", mend="add images")
    batches = whole_images(split, 1)
    for _, batch in zip(progress(range(wanted), "calibrate"), batches, strict=False):
        for student in students:
            student(batch.frames)
    for student in students:
        placement.freeze(student.network)
        student.network.eval()


def logits_of(students: Sequence[Student]) -> Segmenter:
    """What `dis2_train.evaluate.evaluate` takes: (frames, scenario) to logits."""
    by_scenario = {student.scenario: student for student in students}

    def segment(frames: Frames, scenario: str) -> Tensor:
        return by_scenario[scenario](frames).logits

    return segment
