"""Read a checkpoint in the released format: classes, channels and input size stand in its tensors."""

from __future__ import annotations

import dataclasses
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
_PARALLEL = "module."
"""What torch's DataParallel and DistributedDataParallel put before the name of every tensor."""
COLOURS = ("#c8c4bc", "#d1495b", "#a6c957", "#2d6a4f", "#f9c74f", "#5b616b", "#1f6feb", "#b5651d")


def load_official(source: Mapping[str, Any] | Path | str, size: tuple[int, int] = (0, 0)) -> PaperDis2:
    """The `paper` network with the weights of a released checkpoint, in eval mode, sensors named rgb and ndsm.

    `source`: its state dict or its file (of torch or safetensors), plain or wrapped in `model_state_dict`, with or
    without the `module.` that training on several GPUs puts before each name. `size`: height and width in pixels that
    it was trained on; (0, 0) takes a square. Nothing in a file is executed. Raises CheckpointError for a file
    that is damaged or holds more than tensors, tensors of another model, or a `size` that does not fit the weights.
    """
    state = _unwrapped(source if isinstance(source, Mapping) else _read(Path(source)))
    ours = from_official(state)
    with torch.device("meta"):  # no weights are drawn, only to be thrown away
        network = PaperDis2(Recipe(preset="paper"), _task(state, size)).eval()
    try:
        network.load_state_dict({name: _own(tensor) for name, tensor in ours.items()}, assign=True)
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
    if not isinstance(state, Mapping):
        raise CheckpointError(f"the checkpoint's model_state_dict is a {type(state).__name__}", expected="a state dict")
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) != len(state):
        raise CheckpointError("the checkpoint is no state dict of tensors", expected="names with a tensor each")
    if all(name.startswith(_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _own(tensor: Tensor) -> Tensor:
    """A copy on the CPU that nobody else holds, in full precision."""
    kept = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
    return kept.contiguous()


def _task(state: Mapping[str, Tensor], size: tuple[int, int]) -> Task:
    """The task that the tensors' shapes tell of."""
    try:
        classes = state["full_classwise_attention.class_queries"].shape[-2]
        places = state["full_fuse.rgb_pos"].shape[-2]
        channels = [state[f"{sensor.name}_encoder.e1.weight"].shape[1] for sensor in (RGB, NDSM)]
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
    sensors = tuple(map(_seeing, (RGB, NDSM), channels))
    return Task(sensors, names, colours, (height, width))


def _seeing(sensor: Sensor, channels: int) -> Sensor:
    """`sensor` with that many channels, raw as ever."""
    return dataclasses.replace(sensor, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
