"""The loop: steps, epochs, validation and saving of one training."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scores import scores
from dis2_edge.terminal import progress
from dis2_train.batches import Sampler, Split
from dis2_train.checkpoint import plain
from dis2_train.evaluate import evaluate, mean_miou
from dis2_train.logs import Log
from dis2_train.networks.seam import Network
from dis2_train.resume import State, write_state
from dis2_train.schedule import Average, optimizer_for, rate_at

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

_STEP_STREAM = 2
"""Keeps the draws of a step apart from those of its batch."""


class Training:
    """The moving parts of one run."""

    def __init__(self, network: Network, data: DataSet, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        if device.type == "cpu":  # measured: a step of dis2, of the paper preset and of early fusion takes 10-15 % less
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sampler = Sampler(Split(data, "train", network.task, device), recipe)
        self.validation = Split(data, "val", network.task, device) if "val" in data.splits else None
        self.scenarios = network.training_scenarios
        self.shares = _shares(recipe, self.scenarios)
        self.steps = self.sampler.steps * recipe.epochs
        self.state = State(network, Average(network, recipe.average_decay), optimizer_for(network, recipe))
        self.sums: dict[str, torch.Tensor] = {}
        self.times: dict[str, int] = {}

    def run(self, out: Path, save_every_s: float) -> None:
        """Take all steps that are left; at the end of each epoch log, look at the validation split, and save."""
        first = self.state.counters.epoch * self.sampler.steps
        begun = saved = time.monotonic()
        spent = self.state.counters.seconds
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        with Log(out, self.state.counters.epoch) as log:
            for step in progress(range(first, self.steps), "train", self.steps - first):
                with _memory_errors(self.recipe):
                    self.step(step)
                if (step + 1) % self.sampler.steps:
                    continue
                self.state.counters.epoch += 1
                self.state.counters.seconds = spent + time.monotonic() - begun
                log.write(self.state.counters.epoch, self.figures())
                if time.monotonic() - saved >= save_every_s:
                    write_state(out, self.state)
                    saved = time.monotonic()

    def step(self, step: int) -> None:
        """One step: draw batch and scenario, add up the losses, move the weights and their average."""
        recipe, network, optimizer = self.recipe, self.state.network, self.state.optimizer
        random = np.random.default_rng((recipe.seed, _STEP_STREAM, step))
        torch.manual_seed(int(random.integers(2**62)))
        scenario = self.scenarios[int(random.choice(len(self.scenarios), p=self.shares))]
        batch = self.sampler.batch(*divmod(step, self.sampler.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, self.steps, recipe)
        network.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            terms = network.losses(batch.frames, batch.target, scenario, step / self.steps)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()
        self.state.average.follow(step)
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + term.detach().float()
            self.times[name] = self.times.get(name, 0) + 1

    def figures(self) -> dict[str, float]:
        """One row of the log: rate, mean of each loss term since the last row, and, when it is time, validation."""
        counters, recipe = self.state.counters, self.recipe
        means = {name: float(total) / self.times[name] for name, total in self.sums.items()}
        self.sums, self.times = {}, {}
        for name, value in means.items():
            if not math.isfinite(value):
                raise RecipeError(
                    f"the loss {name!r} became {value} in epoch {counters.epoch}",
                    mend=f"lower the rate: --set learning_rate={recipe.learning_rate / 4:g}",
                )
        row = {"step": counters.epoch * self.sampler.steps, "seconds": counters.seconds}
        row |= {"learning_rate": rate_at(counters.epoch * self.sampler.steps - 1, self.steps, recipe)}
        row |= {f"loss/{name}": value for name, value in means.items()}
        if self.validation and (counters.epoch % recipe.evaluate_every == 0 or counters.epoch == recipe.epochs):
            row |= self.validate(self.validation)
        return row

    def validate(self, split: Split) -> dict[str, float]:
        """mIoU of the average in every scenario; the best average is kept."""
        average, counters = self.state.average.network, self.state.counters
        counts = evaluate(average, split, average.task.scenarios, device=self.device, batch=self.recipe.batch)
        miou = mean_miou(counts)
        if miou > counters.best_miou:
            counters.best_miou, counters.best_epoch = miou, counters.epoch
            self.state.best = plain(average.state_dict())
        return {f"val_miou/{scenario}": scores(matrix).miou for scenario, matrix in counts.items()}


@contextlib.contextmanager
def _memory_errors(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as cause:
        raise RecipeError(
            f"a batch of {recipe.batch} does not fit in the GPU's memory",
            mend=f"--set batch={max(1, recipe.batch // 2)}, or a smaller crop",
        ) from cause


def _shares(recipe: Recipe, scenarios: Sequence[str]) -> list[float]:
    shares = recipe.scenario_share or (1.0,) * len(scenarios)
    if len(shares) != len(scenarios):
        raise RecipeError(
            f"scenario_share has {len(shares)} values", expected=f"{len(scenarios)}, one for each of {list(scenarios)}"
        )
    return [share / sum(shares) for share in shares]
