"""Read a checkpoint in the released format: classes and input size stand in its tensors."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train.networks.paper.encoder import STRIDE
from dis2_train.networks.paper.network import PaperDis2
from dis2_train.networks.paper.official import from_official

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
NDSM = Sensor("ndsm", "height", 1, "float32", "metres", -50, 500, mean=(0.0,), std=(1.0,))
"""As released: raw 0-255 colours and raw metres, nothing is normalised."""
COLOURS = ("#c8c4bc", "#d1495b", "#a6c957", "#2d6a4f", "#f9c74f", "#5b616b", "#1f6feb", "#b5651d")


def load_official(source: Mapping[str, Any] | Path | str, size: tuple[int, int] = (0, 0)) -> PaperDis2:
    """The `paper` network with the weights of a released checkpoint, in eval mode, sensors named rgb and ndsm.

    `source`: its state dict or its file, plain or wrapped in `model_state_dict`. `size`: height and width in pixels
    that it was trained on; (0, 0) takes a square. Nothing in a file is executed. Raises CheckpointError for a file
    that is damaged or holds more than tensors, tensors of another model, or a `size` that does not fit the weights.
    """
    state = _unwrapped(source if isinstance(source, Mapping) else _read(Path(source)))
    ours = from_official(state)
    network = PaperDis2(Recipe(preset="paper"), _task(state, size)).eval()
    try:
        network.load_state_dict(ours)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise CheckpointError(f"the checkpoint does not fit the released DIS2: {' '.join(lines)}") from error
    return network


def _read(file: Path) -> Mapping[str, Any]:
    """Tensors of a file; torch's loader is told to refuse whatever would have to be executed."""
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols: what cannot be read is refused anyway
            found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} does not exist") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file} is damaged or holds more than tensors ({reason})") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{file} holds a {type(found).__name__}", expected="a state dict")
    return found


def _unwrapped(found: Mapping[str, Any]) -> dict[str, Tensor]:
    state = found.get("model_state_dict", found)
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) != len(state):
        raise CheckpointError("the checkpoint is no state dict of tensors", expected="names with a tensor each")
    return tensors


def _task(state: Mapping[str, Tensor], size: tuple[int, int]) -> Task:
    """The task that the tensors' shapes tell of."""
    try:
        classes = state["full_classwise_attention.class_queries"].shape[-2]
        places = state["full_fuse.rgb_pos"].shape[-2]
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"the checkpoint lacks {error}", expected="a released DIS2 (model DLKD_ver4)") from error
    side = math.isqrt(places) * STRIDE
    height, width = size if any(size) else (side, side)
    if height // STRIDE * (width // STRIDE) != places:
        found = (
            f"the checkpoint has {places} places at the deepest level, {height} x {width} pixels have another number"
        )
        raise CheckpointError(found, mend="give the height and width it was trained on: size=(HEIGHT, WIDTH)")
    names = tuple(f"class_{index}" for index in range(classes))
    colours = tuple(COLOURS[index % len(COLOURS)] for index in range(classes))
    return Task((RGB, NDSM), names, colours, (height, width))
