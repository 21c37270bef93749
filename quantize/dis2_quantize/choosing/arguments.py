"""`dis2-edge quantize --choose` and `--replay`: which blocks stay in floating point, and their table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from dis2_boards.profile import load as board_of
from dis2_edge.dataset import DataSet
from dis2_edge.errors import RecipeError
from dis2_edge.files import check_free, sha256
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import say, table, warn
from dis2_quantize.choosing.choice import BlockRow, Choice, ScenarioChoice, Tried, read_choice
from dis2_quantize.choosing.choose import Limits, choose
from dis2_quantize.choosing.plot import told
from dis2_quantize.run import check
from dis2_train.checkpoint import WEIGHTS, Checkpoint


def choice_of(
    args: argparse.Namespace, trained: Checkpoint, recipe: Recipe, data: DataSet, precisions: Sequence[str]
) -> Choice | None:
    """The choice that `args` ask for, measured or read; None where they ask for none, and keep_float is as given."""
    if not args.choose and not args.replay:
        if args.budget_ms is not None:
            raise RecipeError("--budget-ms without --choose", mend="add --choose BOARD")
        return None
    if recipe.keep_float:
        raise RecipeError("keep_float is given, and a choice would replace it", mend="leave out one of the two")
    if "int8" not in precisions:
        raise RecipeError("a choice without INT8 files", expected="--precision with int8")
    if args.replay:
        return _replayed(args.replay, trained)
    check_free(args.out)
    check(trained, data, precisions, [name.strip() for name in args.dialect.split(",")])
    choice = choose(trained, recipe, data, board_of(args.choose), _limits(args))
    for scenario in choice.scenarios:
        show(choice, scenario)
    return choice


def show(choice: Choice, scenario: ScenarioChoice) -> None:
    """Print what each block costs, the points that were made, and what was chosen."""
    columns = ("block", "alone", "recovery", "mIoU alone", "ms")
    title = f"{scenario.scenario}: damage of each block's INT8 in 1e-6 nats, and ms that it gains on {choice.board}"
    table(title, columns, map(_block_cells, scenario.blocks))
    blocks = [row.block for row in scenario.blocks]
    heads = ("kept in floating point", "ms", "by model", "1e-6 nats", "by model ", "mIoU lost", "")
    made = [(*_made_cells(one, blocks), "chosen" if one.kept == scenario.kept else "") for one in scenario.tried]
    table(f"{scenario.scenario}: points of the front, made and as the additive model has them", heads, made)
    say(f"{scenario.scenario}: kept in floating point: {told(scenario.kept, blocks)}; {scenario.why}")


def _block_cells(row: BlockRow) -> tuple[str, ...]:
    alone, recovery = (f"{1e6 * found.value:.1f}" for found in (row.alone, row.recovery))
    return row.block, alone, recovery, _points(row.drop_alone), f"{row.ms.value:.2f}"


def _made_cells(one: Tried, blocks: Sequence[str]) -> tuple[str, ...]:
    ms = f"{one.ms.value:.2f}", f"{one.modelled.ms:.2f}"
    damage = f"{1e6 * one.damage.value:.1f}", f"{1e6 * one.modelled.damage:.1f}"
    return told(one.kept, blocks), *ms, *damage, _points(one.drop)


def _points(drop: float) -> str:
    return f"{round(drop, 2) + 0.0:.2f}"  # no minus before a zero


def _replayed(file: Path, trained: Checkpoint) -> Choice:
    choice = read_choice(file)
    if choice.weights != sha256(trained.path / WEIGHTS):
        warn(f"{file} was made for other weights than those of {trained.path}: its figures are not of this network")
    return choice


def _limits(args: argparse.Namespace) -> Limits:
    if args.budget_ms is not None and not 0 < args.budget_ms < math.inf:
        raise RecipeError(f"--budget-ms {args.budget_ms}", expected="milliseconds above 0")
    return Limits(budget_ms=args.budget_ms, **({} if args.max_drop is None else {"max_drop": args.max_drop}))
