"""Which torch device a name means: where a network trains, and where a run answers."""

from __future__ import annotations

import torch

from dis2_edge.errors import RecipeError


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu or cuda; auto takes CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise RecipeError("torch finds no CUDA device here", mend="use --device cpu, or install a CUDA build of torch")
    return torch.device(name)
