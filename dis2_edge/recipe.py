"""A recipe: one flat TOML file that says what is trained and quantised, and how. Every key can be set by `--set`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml, toml_value
from dis2_edge.settings import from_table, nearest

_ABOVE_ZERO = (
    "width",
    "epochs",
    "batch",
    "accumulate",
    "crops_per_image",
    "learning_rate",
    "evaluate_every",
    "temperature",
    "calibration_images",
    "contrast_temperature",
    "contrast_share",
    "contrast_bank",
)
_NOT_BELOW_ZERO = (
    "seed",
    "crop",
    "scale",
    "rotate",
    "weight_decay",
    "threads",
    "patience",
    "workers",
    "disentangle_weight",
    "distill_weight",
    "distill_features",
    "exchange_threshold",
    "exchange_pressure",
    "texture_weight",
    "contrast_weight",
    "quantize_epochs",
    "quantize_learning_rate",
)


@dataclass(frozen=True)
class Recipe:
    """All that can be chosen about a run. The resolved recipe is written beside whatever it produced."""

    network: Literal["dis2", "csknet", "early_fusion", "feature_mean", "single", "deeplabv3"] = "dis2"
    """dis2; csknet: shared convolutions, feature exchange and an optical teacher, for optical and infrared;
    early_fusion: one U-Net over all sensors, zeros for the missing one, sensor dropout in training;
    feature_mean: shared and specific features, their mean for the missing sensor, sensor dropout; single: DIS2's
    parts on one sensor, at equal operations; or deeplabv3 on one sensor: csknet's teacher and its baseline."""
    preset: Literal["default", "paper"] = "default"
    """Of dis2: default is made for integers; paper is the released model exactly, faults included."""
    width: float = 1.0
    """Factor on every channel count; 1.0 gives 32-64-128-256."""
    sensors: tuple[str, ...] = ()
    """Names of the data set's sensors in the order of scenarios; empty takes all of them."""
    grid: tuple[int, int] = (0, 0)
    """Height and width in pixels of the deployed network; (0, 0) takes the data set's."""

    seed: int = 0
    """Seed of weights, batches, crops and augmentation."""
    epochs: int = 60
    """Passes over the training split."""
    batch: int = 8
    """Images drawn at once, over all processes together; they divide it evenly."""
    accumulate: int = 1
    """Batches that make one step of the optimiser: the gradients of this many are averaged."""
    crop: int = 0
    """Side in pixels of the random square crop; 0 trains on the whole grid."""
    crops_per_image: int = 1
    """Random crops of each image in one epoch."""
    augment: bool = True
    """Flips, quarter turns, noise, and brightness and contrast of sensors that are optical or give digital numbers."""
    scale: float = 0.0
    """With augment: largest relative change of scale, 0.25 for 0.8 to 1.25 times the size; heights stay as they are."""
    rotate: float = 0.0
    """With augment: largest angle in degrees that a crop is turned by, either way."""
    impulses: float = 0.0
    """With augment: largest share of values that salt, pepper and normal noise spoil, in a quarter of the frames."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """adamw, or sgd with Nesterov momentum 0.99 as the paper uses."""
    learning_rate: float = 2e-3
    """Peak rate; it rises over the first twentieth of the steps and falls along a cosine."""
    weight_decay: float = 1e-2
    """Decoupled weight decay; 0 for norms and biases."""
    scenario_share: tuple[float, ...] = ()
    """Share of steps for each of the network's training scenarios; empty shares equally."""
    scenario_sampling: Literal["fixed", "worst"] = "fixed"
    """fixed keeps scenario_share; worst multiplies it by each scenario's error, 1 - mIoU, at the last validation."""
    average_decay: float = 0.99
    """Decay of the running average of weights that is evaluated and saved; 0 keeps the last weights."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast of the training step; fp16, with scaled gradients, on a GPU only."""
    threads: int = 0
    """Torch threads; 0 leaves torch's own choice."""
    workers: int = 0
    """Threads that read and prepare the next batches; the batches are the same with any number."""
    evaluate_every: int = 5
    """Epochs between two looks at the validation split."""
    patience: int = 0
    """Looks in a row without a gain in the worst scenario's mIoU after which training stops early; 0 never does."""

    shared: Literal["nothing", "encoders", "branch"] = "nothing"
    """Of dis2, default preset: what the scenarios of one sensor share with the full one: nothing; encoders of the
    sensors; branch: also the convolutions of fusion and decoder, norms apart."""
    every_scenario: bool = True
    """Of dis2, default preset, and csknet: each step trains every scenario; else the full one and one that is drawn."""
    classwise: bool = True
    """Of dis2, default preset, and single: class-wise attention and decoding; false puts a plain decoder there."""
    hierarchical: bool = True
    """Of dis2, default preset: hierarchical fusion; false mixes each level by a 1x1 convolution, without attention."""
    disentangle_weight: float = 1.0
    """Of dis2: weight of the disentanglement loss."""
    distill_weight: float = -1.0
    """Of dis2: weight of the distillation losses; -1 takes the preset's: 1 in paper, 0 in default, where it cost
    points."""
    distill_balance: bool = True
    """Of dis2, default preset: the teacher is heard class by class, as the labels are; false hears pixel by pixel."""
    distill_features: float = 0.0
    """Of dis2, default preset: weight of the teacher's feature maps beside its logits."""
    distill_after: float = 0.1
    """Of dis2: share of the epochs that pass before distillation starts."""
    temperature: float = 2.0
    """Temperature of logits in distillation, in training and in quantisation."""

    output_stride: Literal[8, 16] = 8
    """Of csknet and deeplabv3: input pixels to one position of the encoder's last map; 8 dilates where 16 halves."""
    pyramid_rates: tuple[int, ...] = (3, 6, 9)
    """Of csknet and deeplabv3: dilation of the parallel 3x3 convolutions of the decoder's pyramid."""
    optical: str = ""
    """Of csknet: the sensor whose texture and classes the teacher knows; empty takes the one of kind optical."""
    shared_convs: bool = True
    """Of csknet: both sensors share the encoder's convolutions but the first; batch norms are apart."""
    shared_stem: bool = False
    """Of csknet: they share the first convolution as well; a sensor of one channel is read as if it were repeated."""
    norms: Literal["scenario", "sensor", "shared"] = "scenario"
    """Of csknet: batch norms apart for each sensor and, behind an exchange, for alone and both; for each sensor, and
    trained side by side alone, as published; or one for both sensors."""
    channel_exchange: tuple[int, ...] = (3, 4)
    """Of csknet: stages of the encoder, 3 or 4, in whose blocks channels of a small batch norm scale are exchanged."""
    exchange_threshold: float = 0.02
    """Of csknet: size of a batch norm's scale below which the channel carries the other sensor's."""
    exchange_pressure: float = 1e-3
    """Of csknet: weight of the L1 pressure on the scales of channels that may be given up."""
    strip_exchange: tuple[int, ...] = (2,)
    """Of csknet: stages of the encoder, 2 or 3, behind which every other column is exchanged."""
    gated_fusion: bool = True
    """Of csknet: the gated spectral unit joins both decoders' maps; false takes their mean."""
    begin_with: Literal["random", "teacher"] = "random"
    """Of csknet: the weights that both branches begin with: drawn at random, or the optical teacher's."""
    texture_weight: float = 0.5
    """Of csknet: weight of the distillation of the optical teacher's texture; 0 trains without it."""
    texture: Literal["highpass", "gradient"] = "highpass"
    """Of csknet: what texture is: a map less its mean over 3x3, or its gradient."""
    texture_into: Literal["optical", "both"] = "optical"
    """Of csknet: whose early maps learn texture: the optical branch's, or the infrared one's as well."""
    contrast_weight: float = 0.1
    """Of csknet: weight of the contrastive loss between the sensors' embeddings; 0 trains without it."""
    contrast_temperature: float = 0.1
    """Of csknet: temperature of that loss."""
    contrast_share: float = 0.1
    """Of csknet: share of negatives, nearest first, and of positives, farthest first, that an anchor meets from the
    middle of the training on; it falls to this from 1."""
    contrast_trusts: Literal["teacher", "labels"] = "teacher"
    """Of csknet: contrast takes the labels that the optical teacher agrees with, or all of them."""
    contrast_bank: int = 256
    """Of csknet: embeddings of each class that are remembered from earlier steps."""

    tune_above: float = 0.1
    """Points of validation mIoU that calibration alone may cost a scenario; a student that lost more is tuned."""
    quantize_epochs: int = 4
    """Passes over the training split in that tuning, with fake quantisation on."""
    quantize_learning_rate: float = 1e-5
    """Peak rate of that tuning."""
    calibration_images: int = 32
    """Images of the training split that ranges are taken from; below 8, or below this if it is less, is refused."""
    observer: Literal["minmax", "percentile", "mse", "entropy"] = "mse"
    """How a range is chosen from what was seen: its largest value; 99.99 % of it; the least squared error of rounding
    and clipping; the least KL divergence of its histogram from the rounded one."""
    quantize_lesson: Literal["labels", "distillation"] = "distillation"
    """What tuning teaches: labels alone, or also what the FP32 network says with all its sensors, and its taps in the
    student's own scenario."""
    learned_scales: bool = False
    """In tuning, ranges of activations and steps of weights are trained with the weights."""
    quantize_freeze_norms: float = 0.5
    """Share of tuning after which batch norms' statistics no longer move; 0 folds the norms before tuning."""
    keep_float: tuple[str, ...] = ()
    """Blocks left in floating point by quantisation: `BLOCK` wherever a scenario has it, `SCENARIO:BLOCK` in one."""

    def __post_init__(self) -> None:
        if self.distill_weight == -1:
            object.__setattr__(self, "distill_weight", 1.0 if self.preset == "paper" else 0.0)
        for key in _ABOVE_ZERO:
            if not 0 < getattr(self, key) < math.inf:
                raise RecipeError(f"{key} is {getattr(self, key)}", expected="above 0")
        for key in _NOT_BELOW_ZERO:
            if not 0 <= getattr(self, key) < math.inf:
                raise RecipeError(f"{key} is {getattr(self, key)}", expected="0 or more")
        if not 0 <= self.average_decay < 1:
            raise RecipeError(f"average_decay is {self.average_decay}", expected="0 or more and below 1")
        for key, stages in (("channel_exchange", (3, 4)), ("strip_exchange", (2, 3))):
            asked = getattr(self, key)
            if not set(asked) <= set(stages) or len(set(asked)) != len(asked):
                raise RecipeError(f"{key} is {list(asked)}", expected=f"some of {list(stages)}, each once")
        if not self.pyramid_rates or min(self.pyramid_rates) < 1:
            raise RecipeError(f"pyramid_rates is {list(self.pyramid_rates)}", expected="one rate or more, each above 0")
        if self.contrast_share > 1:
            raise RecipeError(f"contrast_share is {self.contrast_share}", expected="above 0 and at most 1")
        if not 0 <= self.impulses <= 1:
            raise RecipeError(f"impulses is {self.impulses}", expected="0..1")
        if not 0 <= self.distill_after <= 1:
            raise RecipeError(f"distill_after is {self.distill_after}", expected="0..1")
        if not 0 <= self.quantize_freeze_norms <= 1:
            raise RecipeError(f"quantize_freeze_norms is {self.quantize_freeze_norms}", expected="0..1")
        if self.crop % 16:
            raise RecipeError(f"crop is {self.crop}", expected="0 or a multiple of 16")
        if min(self.grid) < 0 or min(self.grid) == 0 < max(self.grid):
            raise RecipeError(f"grid is {list(self.grid)}", expected="height and width above 0, or [0, 0]")
        if len(set(self.sensors)) != len(self.sensors):
            raise RecipeError(f"sensors are {list(self.sensors)}", expected="each name once")
        if len(set(self.keep_float)) != len(self.keep_float):
            raise RecipeError(f"keep_float is {list(self.keep_float)}", expected="each entry once")
        shares = self.scenario_share
        if not all(0 <= share < math.inf for share in shares) or (shares and not sum(shares)):
            raise RecipeError(f"scenario_share is {self.scenario_share}", expected="shares of 0 or more, not all 0")

    def to_toml(self) -> str:
        """The recipe as a TOML file that `load` reads back to an equal recipe."""
        lines = [f"{key} = {_toml(value)}" for key, value in dataclasses.asdict(self).items()]
        return "\n".join(lines) + "\n"


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe at `path`, then apply overrides `key=value` (`--set`), the last one winning."""
    table = read_toml(path, RecipeError)
    known = {field.name for field in dataclasses.fields(Recipe)}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"--set {override!r}", expected="key=value")
        if key.strip() not in known:
            raise RecipeError(f"--set: unknown key {key.strip()!r}", mend=nearest(key.strip(), known))
        table[key.strip()] = toml_value(value.strip())
    return from_table(Recipe, table, where=str(path))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's too, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
