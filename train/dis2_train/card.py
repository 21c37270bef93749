"""The model card of a published model: what it is for, its data and their terms, commands, figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from dis2_edge import __version__
from dis2_edge.timing import describe_machine
from dis2_train.checkpoint import Checkpoint
from dis2_train.evaluate import table_rows


@dataclass(frozen=True)
class Origin:
    """How a synthetic data set was drawn."""

    kind: str
    """aerial or thermal."""
    count: int
    """Scenes of all splits together."""
    size: int
    """Side in pixels."""
    seed: int
    """Seed of the scenes."""

    @property
    def command(self) -> str:
        """The command that draws it again."""
        words = f"--kind {self.kind} --count {self.count} --size {self.size} --seed {self.seed}"
        return f"dis2-edge data synth --out out/{self.kind} {words}"


def card(model: Checkpoint, origin: Origin, before: Mapping[str, float | None], seconds: float | None) -> str:
    """The text of README.md. `before`: mIoU of each scenario in float32; `seconds`: how long the training took."""
    name, recipe, task = model.path.name, model.recipe, model.task
    sensors = " and ".join(f"{s.name} ({s.kind}, {s.channels} x {s.dtype}, {s.unit})" for s in task.sensors)
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    about = f"""{recipe.network}, preset {recipe.preset}, width {recipe.width:g}, {parameters / 1e6:.2f} million
    parameters, weights in half precision. It reads {sensors} at {task.grid[0]}x{task.grid[1]} pixels and tells apart:
    {", ".join(task.classes)}. It answers in each of the scenarios {", ".join(task.scenarios)}."""
    trained = f"""Seed {recipe.seed}, {recipe.epochs} epochs in batches of {recipe.batch}; all of the recipe is in
    `recipe.toml`. {_took(seconds)}Another version of the code, of torch or of the machine gives weights that are close,
    not equal."""
    return f"""# {name}

{_filled(about)}

## What it is for, and what not

To try every later stage without training first (`quantize`, `deploy`, `run`, `predict`, `eval` take this folder as they
take a run), and to start a training on your own data from something better than noise (`train --init`).

It has seen drawn scenes only. Do not map real ground with it, do not fly on its masks, and do not take its figures for
those of real data: drawn scenes are more alike than real ones.

## Data and their terms

{origin.count} scenes of {origin.size}x{origin.size} pixels, kind `{origin.kind}`, drawn by the generator of dis2-edge
(`dis2_train.synth`) from seed {origin.seed}; 15 % each are held back for validation and for the test. No photograph and
no measurement is in them, and no weights of others were the start. The terms are those of this repository.

Licence of the weights: Apache-2.0, as of the code.

## Commands

```
{origin.command}
dis2-edge train models/{name}/recipe.toml --data out/{origin.kind} --out out/{name}
python -m dis2_train.publish out/{name} --data out/{origin.kind} --out models/{name}
```

{_filled(trained)}

## Figures

{_figures(model, before)}
"""


def _took(seconds: float | None) -> str:
    return "" if seconds is None else f"By its log the training took {seconds / 60:.0f} minutes. "


def _figures(model: Checkpoint, before: Mapping[str, float | None]) -> str:
    """The table of scores, what rounding cost, and where it was measured."""
    columns, rows = table_rows(model.metrics, model.task)
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    costs = [_points(before[name], row["miou"]) for name, row in model.metrics["scenarios"].items()]
    machine = describe_machine(("torch", "numpy"))
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    split, images = model.metrics["split"], model.metrics["images"]
    measured = f"""Per cent, split `{split}`, n = {images} images, seed {model.recipe.seed} (one training), measured
    with the rounded weights that stand here:"""
    cost = f"""Rounding to half precision moved no scenario's mIoU by more than {max(costs):.3f} points. Measured with
    dis2-edge {__version__}, {versions}, Python {machine.python}, on {machine.cpu}, {machine.os}. Confusion counts:
    `metrics.json`."""
    return f"{_filled(measured)}\n\n{shown}\n\n{_filled(cost)}"


def _filled(text: str) -> str:
    """`text` in lines of 120 characters."""
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _points(before: float | None, after: float | None) -> float:
    """Points of mIoU between two values; 0 where either is not defined."""
    return 0.0 if before is None or after is None else 100 * abs(before - after)
