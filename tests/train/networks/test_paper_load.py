"""Released checkpoints are read whole, or refused with the reason; nothing in them is executed."""

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_train.networks import load_official
from dis2_train.networks.paper.official import from_official
from tests.train.paper_tasks import released_shapes


def released(classes: int = 4, grid: tuple[int, int] = (32, 32)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = released_shapes(classes, grid)
    state = {name: 0.1 * torch.rand(shape, generator=generator) + 0.01 for name, shape in shapes.items()}
    return {name: torch.tensor(7) if name.endswith("num_batches_tracked") else value for name, value in state.items()}


@pytest.mark.parametrize(
    "form", ["mapping", "wrapped", "parallel", "wrapped parallel", "file", "wrapped file", "safetensors", "half"]
)
def test_every_form_of_a_checkpoint_gives_the_same_network(form: str, tmp_path: Path) -> None:
    state = released()
    file = tmp_path / ("c.safetensors" if form == "safetensors" else "c.pth")
    if form == "safetensors":
        safetensors.torch.save_file(state, file)
    elif "file" in form:
        torch.save({"model_state_dict": state, "epoch": 3} if "wrapped" in form else state, file)
    if form == "half":  # values that half precision holds exactly
        state = {name: value.half().to(value.dtype) for name, value in state.items()}
    parallel = {f"module.{name}": value for name, value in state.items()}
    sources = {
        "mapping": state,
        "wrapped": {"model_state_dict": state},
        "parallel": parallel,
        "wrapped parallel": {"model_state_dict": parallel, "best_loss": 0.4},
        "half": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
    }
    network = load_official(sources.get(form, file))
    assert not network.training
    assert network.task.grid == (32, 32)
    assert len(network.task.classes) == 4
    expected = from_official(state)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    for scenario in network.task.scenarios:
        frames = {s.name: torch.rand(1, s.channels, 32, 32) for s in network.task.used(scenario)}
        with torch.no_grad():
            assert network(frames, scenario).logits.shape == (1, 4, 32, 32)


def test_channels_are_told_by_the_weights() -> None:
    state = released()
    for part in ("rgb_encoder", "rgb_else"):
        state[f"{part}.e1.weight"] = torch.rand(32, 4, 4, 4)
    assert [sensor.channels for sensor in load_official(state).task.sensors] == [4, 1]


def test_an_oblong_image_is_told_by_its_size() -> None:
    state = released(grid=(32, 48))
    assert load_official(state, size=(32, 48)).task.grid == (32, 48)
    with pytest.raises(CheckpointError, match="HEIGHT, WIDTH"):
        load_official(state)


class Evil:
    """Would write a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"model_state_dict": released(), "x": Evil(tmp_path / "ran")}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        load_official(tmp_path / "c.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("bytes_", [b"", b"PK\x03\x04 cut", b"\x80\x04nothing"])
def test_a_damaged_file_is_refused(bytes_: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pth").write_bytes(bytes_)
    with pytest.raises(CheckpointError, match="damaged"):
        load_official(tmp_path / "c.pth")


def test_what_is_absent_or_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_official(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="unknown tensor"):
        load_official({"conv.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="no state dict"):
        load_official({"epoch": 3})
    with pytest.raises(CheckpointError, match="model_state_dict is a int"):
        load_official({"model_state_dict": 3})
    short = released()
    del short["miss_rgb_fuse.unify.bias"]
    with pytest.raises(CheckpointError, match="does not fit"):
        load_official(short)
    del short["full_fuse.rgb_pos"]
    with pytest.raises(CheckpointError, match="rgb_pos"):
        load_official(short)
