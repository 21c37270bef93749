"""What a record's recipe says of training otherwise than the plan's of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dis2_edge.recipe import Recipe

_NOT_TRAINING = {
    "seed",
    "threads",
    "workers",
    "tune_above",
    "quantize_epochs",
    "quantize_learning_rate",
    "calibration_images",
    "observer",
    "quantize_lesson",
    "learned_scales",
    "quantize_freeze_norms",
}
"""Keys that two recipes of one row may differ in.

Quantisation comes later, threads move the last digits only, workers nothing at all.
"""
OF_DIS2 = {
    "shared",
    "hierarchical",
    "disentangle_weight",
    "distill_weight",
    "distill_balance",
    "distill_features",
    "distill_after",
}
"""Keys that no other network than DIS2 reads: what they say of another one is no difference."""
OF_CSKNET = {
    "optical",
    "shared_convs",
    "shared_stem",
    "norms",
    "channel_exchange",
    "exchange_threshold",
    "exchange_pressure",
    "strip_exchange",
    "gated_fusion",
    "begin_with",
    "texture_weight",
    "texture",
    "texture_into",
    "contrast_weight",
    "contrast_temperature",
    "contrast_share",
    "contrast_bank",
    "contrast_trusts",
}
"""Keys that no other network than CSK-Net reads."""
_READ_BY = [
    (OF_DIS2, {"dis2"}),
    (OF_CSKNET, {"csknet"}),
    ({"every_scenario"}, {"dis2", "csknet"}),
    ({"output_stride", "pyramid_rates"}, {"csknet", "deeplabv3"}),
]
"""Keys, and the networks that read them."""


def differences(found: Mapping[str, Any], wanted: Recipe) -> list[str]:
    """What the recipe table `found` says of training otherwise than `wanted`; a key that it lacks has its default."""
    defaults = recipe_table(Recipe())
    asked = recipe_table(wanted)
    unread = _NOT_TRAINING.union(*(keys for keys, readers in _READ_BY if wanted.network not in readers))
    keys = [key for key in dict.fromkeys([*asked, *found]) if key not in unread]
    pairs = {key: (_listed(found.get(key, defaults.get(key))), asked.get(key)) for key in keys}
    return [f"{key} = {then!r}, not {now!r}" for key, (then, now) in pairs.items() if then != now]


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, tuples as lists, as JSON gives them back."""
    return {key: _listed(getattr(recipe, key)) for key in Recipe.__dataclass_fields__}


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
