"""DIS2 as released: four encoders, three branches, two auxiliary decoders, and every loss between them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.settings import nearest
from dis2_edge.task import Task
from dis2_train.networks.paper import losses as terms
from dis2_train.networks.paper.attention import LevelPools
from dis2_train.networks.paper.auxiliary import AuxiliaryDecoder
from dis2_train.networks.paper.decoder import SideHeads
from dis2_train.networks.paper.encoder import STRIDE, Encoder
from dis2_train.networks.paper.flight import TAPS, Branch, BranchAnswer, Flight, FullFlight, LoneFlight, in_slots
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled


class ReleasedAnswer(NamedTuple):
    """All that the released code computes in one inference, used or not."""

    probabilities: Tensor
    """(B, K, H, W), the only part that is used."""
    sides: list[Tensor]
    """Four deep-supervision predictions."""
    auxiliaries: list[Tensor]
    """One single-sensor prediction for each sensor that is there."""


class PaperDis2(Network):
    """The released DIS2 for two sensors: the task's first takes the place of RGB, its second that of nDSM.

    Parts follow the order of `task.sensors` and `task.scenarios` (both, first alone, second alone). Only names, channel
    counts, classes and an oblong grid are freer than in the released code, whose results do not change by that. A width
    other than 1 is the same network made narrower, for comparisons at a small size; no released checkpoint fits it.
    """

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        _check(recipe, task)
        self.recipe, self.task = recipe, task
        classes, channels = len(task.classes), [sensor.channels for sensor in task.sensors]
        widths = scaled(recipe.width)
        size = (task.grid[0] // STRIDE, task.grid[1] // STRIDE)
        self.encoders = nn.ModuleList(Encoder(count, widths) for count in channels)
        self.stand_ins = nn.ModuleList(Encoder(count, widths) for count in channels)
        self.auxiliaries = nn.ModuleList(AuxiliaryDecoder(classes, widths) for _ in channels)
        self.branches = nn.ModuleList(Branch(classes, size, widths) for _ in task.scenarios)
        self.side_heads = nn.ModuleList(SideHeads(classes, widths) for _ in task.scenarios)
        self.branch_pools = nn.ModuleList(LevelPools(widths) for _ in task.scenarios)
        self.present_pools = nn.ModuleList(LevelPools(widths) for _ in channels)
        self.stand_in_pools = nn.ModuleList(LevelPools(widths) for _ in channels)

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Segment `frames` with the sensors of `scenario`, without the parts that only training needs."""
        answer = self._flight(scenario, taps)(*(frames[name] for name in sensors_of(scenario)))
        return Output(answer[0], dict(zip(taps, answer[1:], strict=True))) if taps else Output(answer)

    def forward_as_released(self, frames: Frames, scenario: str) -> ReleasedAnswer:
        """Segment as the released code does: auxiliary decoders and side heads run, and their results are left unused.

        Only benchmarks want this; the probabilities equal the softmax of `forward`'s logits.
        """
        index = self._index(scenario)
        own = {place: self.encoders[place](frames[name]) for place, name in self._places(scenario)}
        auxiliaries = [self.auxiliaries[place](features) for place, features in own.items()]
        if index == 0:
            slots = own[0], own[1]
        else:
            place = index - 1
            slots = in_slots(own[place], self.stand_ins[place](frames[scenario]), place)
        answer: BranchAnswer = self.branches[index](*slots)
        return ReleasedAnswer(answer.logits.softmax(dim=1), self.side_heads[index](answer.stages), auxiliaries)

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Every weighted term of the released code; `scenario` is the one with a single sensor.

        Both sensors always train the full branch, which teaches the branch of `scenario` in the same step.
        """
        index = self._index(scenario)
        if index == 0:
            raise RecipeError(
                f"the paper preset cannot train in scenario {scenario!r}",
                expected=f"one of {', '.join(self.training_scenarios)}: the full branch trains beside it in every step",
            )
        place, truth = index - 1, terms.Truth.of(target, len(self.task.classes), self.task.ignore)
        own = [encoder(frames[name]) for encoder, name in zip(self.encoders, self.task.sensor_names, strict=True)]
        lent = self.stand_ins[place](frames[scenario])
        full: BranchAnswer = self.branches[0](own[0], own[1])
        lone: BranchAnswer = self.branches[index](*in_slots(own[place], lent, place))
        alone = {
            f"auxiliary_{name}": terms.supervised(auxiliary(features), truth)
            for name, auxiliary, features in zip(self.task.sensor_names, self.auxiliaries, own, strict=True)
        }
        apart = terms.overlap(self.stand_in_pools[place](lent), self.present_pools[place](own[place]))
        taught = self.recipe.distill_weight if progress >= self.recipe.distill_after else 0.0
        return {
            "full": terms.supervised(full.logits.softmax(dim=1), truth),
            "missing": terms.supervised(lone.logits.softmax(dim=1), truth),
            **alone,
            "full_sides": terms.supervised_sum(self.side_heads[0](full.stages), truth),
            "missing_sides": terms.supervised_sum(self.side_heads[index](lone.stages), truth),
            "disentangle": self.recipe.disentangle_weight * apart,
            "distill": taught * self._distillation(full, lone, index),
        }

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """The two scenarios with a sensor missing; the paper draws the second sensor alone in 0.6 of its steps."""
        return self.task.scenarios[1:]

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """Encoders, stand-in and branch of `scenario`: no auxiliary decoder, side head or pool of the losses."""
        return self._flight(scenario, taps).train(self.training)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """The four fused levels, the global token and the penultimate features, alike in every scenario."""
        self._index(scenario)
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Encoders, each fused level, the token mixers, class-wise attention and each stage of the decoder."""
        slots = ("first", "second") if self._index(scenario) == 0 else ("present", "stand_in")
        fusion = ("fuse1", "fuse2", "fuse3", "descend1", "descend2", "deep")
        decoder = ("rise3", "merge3", "rise2", "merge2", "rise1", "merge1", "combine", "classify")
        return (
            *slots,
            *(f"branch.fusion.{part}" for part in fusion),
            "branch.attention",
            *(f"branch.decoder.{part}" for part in decoder),
        )

    def _flight(self, scenario: str, taps: tuple[str, ...]) -> Flight:
        index = self._index(scenario)
        for tap in taps:
            if tap not in TAPS:
                raise RecipeError(f"unknown tap {tap!r}", mend=nearest(tap, TAPS))
        branch = self.branches[index]
        if index == 0:
            return FullFlight(self.encoders[0], self.encoders[1], branch, taps)
        return LoneFlight(self.encoders[index - 1], self.stand_ins[index - 1], branch, index - 1, taps)

    def _distillation(self, full: BranchAnswer, lone: BranchAnswer, index: int) -> Tensor:
        """Teacher and student meet in four vectors, in the penultimate map and in the logits.

        Released fault, kept: the teacher's pools get no gradient, so three of the vectors are a fixed random pooling.
        """
        students = [*self.branch_pools[index](lone.fused), lone.token, lone.penultimate]
        teachers = [*self.branch_pools[0](full.fused), full.token, full.penultimate]
        vectors = [terms.feature_distance(ours, theirs) for ours, theirs in zip(students, teachers, strict=True)]
        divergence = terms.logit_divergence(lone.logits, full.logits, self.recipe.temperature)
        return sum(vectors, start=divergence)

    def _index(self, scenario: str) -> int:
        """Place of `scenario` in the task's scenarios: 0 both, 1 the first sensor alone, 2 the second."""
        if scenario not in self.task.scenarios:
            raise RecipeError(f"unknown scenario {scenario!r}", mend=nearest(scenario, self.task.scenarios))
        return self.task.scenarios.index(scenario)

    def _places(self, scenario: str) -> list[tuple[int, str]]:
        return [(self.task.sensor_names.index(name), name) for name in sensors_of(scenario)]


def _check(recipe: Recipe, task: Task) -> None:
    """Refuse what the released network cannot be."""
    if len(task.sensors) != 2:
        raise RecipeError(
            f"{len(task.sensors)} sensors ({', '.join(task.sensor_names)})",
            expected="two: DIS2 is a two-sensor network",
            mend='name two of them with --set \'sensors=["...", "..."]\', or take network = "early_fusion"',
        )
    if any(side % STRIDE for side in task.grid):
        raise RecipeError(f"grid {task.grid}", expected=f"height and width in multiples of {STRIDE}")
    if recipe.crop and task.grid != (recipe.crop, recipe.crop):
        raise RecipeError(
            f"crop is {recipe.crop}, the grid {task.grid}",
            expected="equal sizes: the paper preset's position embeddings fit one input size",
            mend="set crop = 0, or grid to the crop",
        )
