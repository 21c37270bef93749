"""From paths to evaluations: open a model, judge it, and keep what was judged so that nothing is judged twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dis2_edge import bundle as bundles
from dis2_edge import recipe as recipes
from dis2_edge.errors import CheckpointError, DataError, RecipeError
from dis2_edge.files import sha256
from dis2_edge.terminal import progress, warn
from dis2_train.judging.evaluation import FORMAT, Evaluation, evaluate_one, read_evaluation, write_evaluation

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet
    from dis2_train.segmenters import Segmenter

_OF_A_MODEL = ("*.safetensors", "recipe.toml", "task.json", "quantized.json", "models/*.onnx", "*.onnx")
_NOT_OF_A_RECIPE = {"seed": 0, "threads": 0, "workers": 0}
"""Keys that make no other method of a run."""


@dataclass(frozen=True)
class Judge:
    """What all models of one comparison are judged on and by."""

    data: DataSet
    """The data set."""
    split: str
    """The split that is looked at."""
    fingerprint: str
    """Hash of the split's files and of their description."""
    precision: Literal["fp32", "int8"] | None = None
    """Which files of a quantised run or a bundle; None takes INT8, which flies."""
    noise: bool = True
    """Whether noise is judged too."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a run computes."""
    cache: Path | None = None
    """Folder of evaluations that are read where they fit and written where they do not; None keeps none."""

    def evaluate(self, model: Path) -> Evaluation:
        """The evaluation of the run, quantised run, file or bundle at `model`, from the cache where it was kept."""
        weights = model_hash(model)
        kept = self.cache and self.cache / f"{_label(model)}-{self._key(weights)}.json"
        if kept and (found := _kept(kept)):
            return found
        from dis2_train.segmenters import open_segmenter

        precision = self.precision if holds_precisions(model) else None
        found = self.of(open_segmenter(model, precision, device=self.device), model, weights)
        if kept:
            write_evaluation(kept, found)
        return found

    def of(self, segmenter: Segmenter, model: Path, weights: str = "") -> Evaluation:
        """The evaluation of `segmenter`, which was opened from `model`; `weights` is its hash where that is known."""
        return dataclasses.replace(
            evaluate_one(segmenter, self.data, self.split, noise=self.noise),
            recipe=recipe_hash(model, segmenter.precision),
            model=weights or model_hash(model),
            data=self.fingerprint,
        )

    def _key(self, weights: str) -> str:
        return _hash(weights, self.fingerprint, self.split, self.precision, self.noise, FORMAT)[:16]


def data_hash(data: DataSet, split: str) -> str:
    """Hash of all that `split` gives: its ids, the content of their files, and how the description reads them."""
    entries = [data.entry(split, id_) for id_ in data.ids(split)]
    labels = {entry.pair.label for entry in entries if entry.pair.label}
    files = sorted({path for entry in entries for path in entry.pair.frames.values()} | labels)
    told = json.dumps(dataclasses.asdict(data.description), sort_keys=True, default=str)
    digests = [sha256(path) for path in progress(files, f"look over {data.name} {split}")]
    return _hash(told, split, *data.ids(split), *digests)


def model_hash(model: Path) -> str:
    """Hash of a file, or of all that makes a run, a quantised run or a bundle what it is."""
    if model.is_file():
        return sha256(model)
    if not model.is_dir():
        raise CheckpointError(f"{model} does not exist", expected="a run, a quantised run, a bundle or an .onnx file")
    manifest = model / bundles.MANIFEST
    files = [manifest] if manifest.is_file() else sorted({f for form in _OF_A_MODEL for f in model.glob(form)})
    return _hash(*(f"{file.relative_to(model)} {sha256(file)}" for file in files))


def holds_precisions(model: Path) -> bool:
    """Whether `model` is a quantised run or a bundle, of which a number format can be chosen."""
    return (model / bundles.MANIFEST).is_file() or (model / "quantized.json").is_file()


def recipe_hash(model: Path, precision: str) -> str:
    """Hash of how a run was made, but for its seed: recipe, what it was trained for, number format. '' if unknown."""
    try:
        recipe = recipes.load(model / "recipe.toml")
    except RecipeError:
        return ""
    plain = dataclasses.replace(recipe, **_NOT_OF_A_RECIPE)  # type: ignore[arg-type]
    task = model / "task.json"
    return _hash(plain.to_toml(), task.read_text("utf-8") if task.is_file() else "", precision)


def _kept(file: Path) -> Evaluation | None:
    if not file.is_file():
        return None
    try:
        return read_evaluation(file)
    except DataError as cause:
        warn(f"judged again: {cause}")
        return None


def _label(model: Path) -> str:
    return model.stem if model.suffix == ".onnx" else model.resolve().name


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
