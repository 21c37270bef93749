"""The loop: steps, epochs, validation and saving of one training, in one process or in several."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric

from dis2_edge.errors import RecipeError, UserError
from dis2_edge.recipe import Recipe
from dis2_edge.scores import Counts, scores
from dis2_edge.terminal import note, progress, warn
from dis2_train import parallel
from dis2_train.checkpoint import plain
from dis2_train.data.batches import Batch, Sampler, Split
from dis2_train.data.feeding import Feed, waiting
from dis2_train.evaluate import evaluate, mean_miou
from dis2_train.fitting.logs import Log
from dis2_train.fitting.preview import Preview
from dis2_train.fitting.resume import State, read_state, write_state
from dis2_train.fitting.scenarios import Shares
from dis2_train.fitting.schedule import Average, optimizer_for, rate_at
from dis2_train.fitting.stopping import Stop
from dis2_train.networks.seam import Network

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

_STEP_STREAM = 2
"""Keeps the draws of a step apart from those of its batch."""


class Training:
    """The moving parts of one run. Every process has them all; the first one writes."""

    def __init__(self, network: Network, data: DataSet, recipe: Recipe, fabric: Fabric) -> None:
        self.recipe, self.fabric, self.device = recipe, fabric, fabric.device
        self.rank, self.world = fabric.global_rank, fabric.world_size
        if self.device.type == "cpu":
            # Measured: a step of dis2, of the paper preset and of early fusion takes 10-15 % less.
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shares = Shares(recipe, network.training_scenarios)
        self.validation = _validation(network, data, recipe, self.device)
        self._preview: Preview | None = None
        self.sampler = Sampler(Split(data, "train", network.task, self.device, workers=recipe.workers), recipe)
        check_even(len(self.sampler.split) * recipe.crops_per_image, recipe, self.world)
        self.parts = min(recipe.accumulate, self.sampler.steps)
        # As a batch that many times the size would: what is left over at the end of an epoch is dropped.
        self.sampler.steps -= self.sampler.steps % self.parts
        self.epoch_steps = self.sampler.steps // self.parts
        self.steps = self.epoch_steps * recipe.epochs
        self.state = State(network, Average(network, recipe.average_decay), optimizer_for(network, recipe))
        self.learner, self.optimizer = fabric.setup(parallel.learner(network, self.world), self.state.optimizer)

    def resume(self, out: Path) -> None:
        """Take over the state that `out` holds."""
        read_state(out, self.state)
        if self.state.scaler:
            self.fabric.strategy.precision.load_state_dict(self.state.scaler)

    @property
    def is_done(self) -> bool:
        """Whether there is no step left, or no hope of gain by the recipe's patience."""
        return self.state.counters.epoch >= self.recipe.epochs or self.stops_early

    @property
    def stops_early(self) -> bool:
        """Whether the worst scenario has gone without gain for as many looks as the recipe's patience."""
        return 0 < self.recipe.patience <= self.state.counters.looks_without_gain

    def run(self, out: Path, save_every_s: float, stop: Stop) -> None:
        """Take all steps left, until `stop`; at the end of an epoch log, look at the validation split, and save."""
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        counters, begun = self.state.counters, time.monotonic()
        saved, spent = begun, counters.seconds
        first = counters.epoch * self.epoch_steps + counters.step
        with self._feed(first) as feed, self._log(out) as log:
            batches = (batch for _, batch in feed)
            for step in progress(self._steps_left(first), "train", self.steps - first):
                with _memory_errors(self.recipe):
                    self.step(step, batches)
                counters.seconds = spent + time.monotonic() - begun
                if counters.step == 0:
                    figures = self.figures() | self._of_data(feed)
                    if log:
                        log.write(counters.epoch, figures)
                        self._show(log)
                    if self.rank == 0 and time.monotonic() - saved >= save_every_s:
                        self._save(out)
                        saved = time.monotonic()
                if stop.wanted(step) and not self.is_done:
                    self._leave(out)
            self._say_end(feed.waited_s, time.monotonic() - begun)

    def step(self, step: int, batches: Iterator[Batch]) -> None:
        """One step: draw a scenario, add up the losses of its batches, move the weights and their average."""
        recipe, counters = self.recipe, self.state.counters
        random = np.random.default_rng((recipe.seed, _STEP_STREAM, step))
        seed, names = int(random.integers(2**62)), self.shares.scenarios
        scenario = names[int(random.choice(len(names), p=self.shares.now(counters.miou)))]
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate_at(step, self.steps, recipe)
        self.state.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(self.parts):
            torch.manual_seed(seed + part * self.world + self.rank)
            with self.fabric.no_backward_sync(self.learner, enabled=part + 1 < self.parts):
                self._learn(next(batches), scenario, step / self.steps)
        self.optimizer.step()
        self.state.average.follow(step)
        counters.step = (counters.step + 1) % self.epoch_steps
        counters.epoch += counters.step == 0

    def figures(self) -> dict[str, float]:
        """One row of the log: rate, mean of each loss term since the last row, figures of the average, validation.

        Validation when it is time for it. RecipeError when a loss is no number.
        """
        counters, recipe = self.state.counters, self.recipe
        means = {name: float(total) / float(times) for name, (total, times) in self._shared_sums().items()}
        self.state.sums = {}
        for name, value in means.items():
            if not math.isfinite(value):
                raise RecipeError(
                    f"the loss {name!r} became {value} in epoch {counters.epoch}",
                    mend=f"lower the rate: --set learning_rate={recipe.learning_rate / 4:g}",
                )
        row = {"step": counters.epoch * self.epoch_steps, "seconds": counters.seconds}
        row |= {"learning_rate": rate_at(counters.epoch * self.epoch_steps - 1, self.steps, recipe)}
        row |= {f"loss/{name}": value for name, value in means.items()} | self.state.average.network.figures()
        if self.validation and self._looks_now:
            row |= self.validate(self.validation)
        return row | ({"stopped_early": 1.0} if self.stops_early else {})

    def validate(self, split: Split) -> dict[str, float]:
        """mIoU of the average in every scenario; the best average is kept, and gains of the worst are counted."""
        average, counters = self.state.average.network, self.state.counters
        counts = self.evaluate(average, split)
        miou = mean_miou(counts)
        if miou > counters.best_miou:
            counters.best_miou, counters.best_epoch = miou, counters.epoch
            self.state.best = plain(average.state_dict())
        looked = {scenario: scores(matrix).miou for scenario, matrix in counts.items()}
        counters.miou = {scenario: value for scenario, value in looked.items() if not math.isnan(value)}
        worst = min(counters.miou.values(), default=-1.0)
        counters.looks_without_gain = 0 if worst > counters.best_worst_miou else counters.looks_without_gain + 1
        counters.best_worst_miou = max(worst, counters.best_worst_miou)
        return {f"val_miou/{scenario}": value for scenario, value in looked.items()}

    def evaluate(self, network: Network, split: Split, label: str = "") -> dict[str, Counts]:
        """Confusion counts of each scenario over `split`, shared out over the processes and added up."""
        parallel.same_buffers(network)
        counts = evaluate(
            network,
            split,
            network.task.scenarios,
            device=self.device,
            batch=self.recipe.batch,
            label=label,
            rank=self.rank,
            world=self.world,
        )
        return _over_processes(counts, self.device)

    @property
    def _looks_now(self) -> bool:
        """Whether the validation split is looked at after this epoch."""
        epoch = self.state.counters.epoch
        return epoch % self.recipe.evaluate_every == 0 or epoch == self.recipe.epochs

    def _of_data(self, feed: Feed) -> dict[str, float]:
        """What the log says of the data: share of the epoch spent waiting for them, and images met that are damaged."""
        return {"data_wait": feed.wait_share(), "damaged": len(self.sampler.split.damaged)}

    def _show(self, log: Log) -> None:
        """Show what the average sees in a few validation images, where there is a board to show it on."""
        if self.validation and self._looks_now and log.shows_pictures:
            self._preview = self._preview or Preview(self.validation)
            log.show(self.state.counters.epoch, "validation", self._preview.sheet(self.state.average.network))

    def _learn(self, batch: Batch, scenario: str, passed: float) -> None:
        terms: Mapping[str, torch.Tensor] = self.learner(batch.frames, batch.target, scenario, passed)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        self.fabric.backward(loss / self.parts if self.parts > 1 else loss)
        sums = self.state.sums
        for name, term in terms.items():
            value = term.detach().float()
            added = torch.stack([value, torch.ones_like(value)])
            sums[name] = sums[name] + added if name in sums else added

    def _shared_sums(self) -> dict[str, torch.Tensor]:
        """Sums of loss terms, meant over the processes; all of them have drawn the same scenarios, so have the same."""
        if self.world > 1 and self.state.sums:
            stacked = self.fabric.all_reduce(torch.stack(list(self.state.sums.values())), reduce_op="mean")
            self.state.sums = dict(zip(self.state.sums, stacked, strict=True))
        return self.state.sums

    def _steps_left(self, first: int) -> Iterable[int]:
        for step in range(first, self.steps):
            if self.is_done:
                return
            yield step

    def _feed(self, first: int) -> Feed:
        steps = (first * self.parts, self.steps * self.parts)
        return Feed(self.sampler, *steps, self.recipe.workers, self.rank, self.world)

    def _log(self, out: Path) -> contextlib.AbstractContextManager[Log | None]:
        return Log(out, self.state.counters.epoch) if self.rank == 0 else contextlib.nullcontext()

    def _save(self, out: Path) -> None:
        self.state.scaler = dict(self.fabric.strategy.precision.state_dict())
        write_state(out, self.state)

    def _leave(self, out: Path) -> None:
        """Write the state as it is after this step, and end by saying how to go on."""
        self._shared_sums()
        if self.rank == 0:
            self._save(out)
        self.fabric.barrier()
        counters = self.state.counters
        raise UserError(
            f"stopped by SIGTERM after {counters.step} of {self.epoch_steps} steps of epoch {counters.epoch + 1}",
            mend="nothing is lost: go on by the same command with --resume",
        )

    def _say_end(self, waited_s: float, spent_s: float) -> None:
        told, advice = waiting(waited_s, spent_s, self.recipe.workers)
        warn(advice) if advice else note(told)


def _validation(network: Network, data: DataSet, recipe: Recipe, device: torch.device) -> Split | None:
    if "val" in data.splits:
        return Split(data, "val", network.task, device, workers=recipe.workers)
    for key, needs_it in (
        ("patience", recipe.patience > 0),
        ("scenario_sampling", recipe.scenario_sampling == "worst"),
    ):
        if needs_it:
            raise RecipeError(
                f"{key} is {getattr(recipe, key)!r}, and the data have no val split to judge by",
                mend=f"leave {key} out, or add a val split",
            )
    return None


def check_even(crops: int, recipe: Recipe, world: int) -> None:
    """Refuse batches that the processes cannot share evenly: their gradients are averaged as equals."""
    images = min(crops, recipe.batch)
    if images % world:
        raise RecipeError(
            f"a batch of {images} images for {world} processes",
            expected="the same number for each",
            mend=f"--set batch={max(world, recipe.batch // world * world)}, or other --devices",
        )


def _over_processes(counts: dict[str, Counts], device: torch.device) -> dict[str, Counts]:
    if parallel.count() == 1:
        return counts
    stacked = parallel.summed(torch.from_numpy(np.stack(list(counts.values()))).to(device)).cpu().numpy()
    return dict(zip(counts, stacked, strict=True))


@contextlib.contextmanager
def _memory_errors(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as cause:
        smaller = max(1, recipe.batch // 2)
        raise RecipeError(
            f"a batch of {recipe.batch} does not fit in the GPU's memory",
            mend=f"--set batch={smaller} --set accumulate={2 * recipe.accumulate}, or a smaller crop",
        ) from cause
