"""Names of a released checkpoint's tensors, turned into ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from dis2_edge.errors import CheckpointError

Renaming = tuple[tuple[str, str], ...]
"""Pairs (released prefix, our prefix)."""


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `PaperDis2` that computes what the released model with `state` computes.

    Tensors that the released model holds and never reads (pool queries, a single-class head, a last upward convolution)
    are left out. A name that is neither read nor one of those is a CheckpointError.
    """
    renamed = {}
    for name, tensor in state.items():
        if _unread(name):
            continue
        ours = _renamed(name)
        if ours is None:
            raise CheckpointError(
                f"the checkpoint holds an unknown tensor {name!r}",
                expected="a state dict of the released DIS2 (model DLKD_ver4)",
            )
        renamed[ours] = tensor
    return renamed


def _unread(name: str) -> bool:
    parts = name.split(".")
    return parts[-1] == "query" or (parts[0].endswith("_decoder") and parts[1] in {"seg_d4", "e1_conv_up"})


def _renamed(name: str) -> str | None:
    """Our name, by the first released prefix that fits."""
    for theirs, ours in _PREFIXES:
        if name.startswith(f"{theirs}.") or name == theirs:
            return ours + name[len(theirs) :]
    return None


_ENCODER: Renaming = (("e1", "level1"), ("e2", "level2"), ("e3", "level3"), ("e4", "level4"))
_AUXILIARY: Renaming = (("d5", "up3"), ("d6", "up2"), ("d7", "up1"), ("d8", "up0"))
_MIXER: Renaming = (
    ("self_attn.in_proj_weight", "project.weight"),
    ("self_attn.in_proj_bias", "project.bias"),
    ("self_attn.out_proj", "join"),
    ("linear1", "widen"),
    ("linear2", "narrow"),
    ("norm1", "norm_attention"),
    ("norm2", "norm_forward"),
)
_FUSION: Renaming = (
    ("fusion_token", "deep.token"),
    ("rgb_pos", "deep.place1"),
    ("ndsm_pos", "deep.place2"),
    *((f"conv_fusion_e{level}.fusion_layer", f"fuse{level}") for level in (1, 2, 3)),
    *((f"conv_res{level}", f"descend{level}") for level in (1, 2)),
    ("pool_e3.proj", "deep.project"),
    ("pool_e3.mlp", "deep.pool.score"),
    *(
        (f"transformer.layers.{layer}.{theirs}", f"deep.mixers.{layer}.{ours}")
        for layer in (0, 1)
        for theirs, ours in _MIXER
    ),
    ("unify", "deep.unify"),
)
_DECODER: Renaming = (
    *((f"e{level + 1}_conv_up", f"rise{level}") for level in (3, 2, 1)),
    *((f"e{level}_conv", f"merge{level}") for level in (3, 2, 1)),
    ("class_combine_conv", "combine"),
    ("final_conv", "classify"),
)
_SIDES: Renaming = tuple((f"seg_d{4 - level}_layers", f"levels.{level}.scores") for level in range(4))
_POOLS: Renaming = tuple((f"attn_pools.{level}.mlp", f"levels.{level}.score") for level in range(3))


def _prefixes() -> Iterator[tuple[str, str]]:
    """Every part of the released model that is read; its RGB is our first sensor, its nDSM our second."""
    for place, sensor in enumerate(("rgb", "ndsm")):
        yield from _under(f"{sensor}_encoder", f"encoders.{place}", _ENCODER)
        yield from _under(f"{sensor}_encoder", f"auxiliaries.{place}", _AUXILIARY)
        yield from _under(f"{sensor}_else", f"stand_ins.{place}", _ENCODER)
        yield from _under(f"{sensor}_dist_pool", f"present_pools.{place}", _POOLS)
        yield from _under(f"{sensor}_else_pool", f"stand_in_pools.{place}", _POOLS)
    for place, branch in enumerate(("full", "miss_ndsm", "miss_rgb")):
        yield from _under(f"{branch}_fuse", f"branches.{place}.fusion", _FUSION)
        yield f"{branch}_classwise_attention.class_queries", f"branches.{place}.attention.queries"
        yield from _under(f"{branch}_classwise_decoder", f"branches.{place}.decoder", _DECODER)
        yield from _under(f"{branch}_classwise_decoder", f"side_heads.{place}", _SIDES)
        pool = "full_fusion_pool" if branch == "full" else f"{branch}_fuse_pool"
        yield from _under(pool, f"branch_pools.{place}", _POOLS)


def _under(theirs: str, ours: str, parts: Renaming) -> Iterator[tuple[str, str]]:
    return ((f"{theirs}.{one}", f"{ours}.{other}") for one, other in parts)


_PREFIXES = tuple(_prefixes())
