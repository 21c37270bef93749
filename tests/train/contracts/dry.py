"""Run by test_dry_run.py in a process of its own: our networks through the real torch-tensorrt, all but TensorRT.

The real package exports, decomposes, lowers and parts each network; where it would build a TensorRT engine, the part is
kept as the graph of torch that it is by then, so that the outcome computes. CUDA is talked out of being asked for.
Prints one JSON object a network: engines, operations left to torch, largest difference to the network itself.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / folder) for folder in ("", "train", "tests/runtime")]

TRIED = [
    ("dis2", "default", (64, 64), False),
    ("dis2", "default", (64, 64), True),
    ("dis2", "default", (80, 48), False),  # its deepest map is 5x3: pools that round up have something left over
    ("dis2", "paper", (64, 64), True),
    ("early_fusion", "default", (64, 64), False),
    ("feature_mean", "default", (64, 64), True),
]


class Part(nn.Module):
    """What stands for an engine: the lowered graph, hidden from modules()."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self._hidden = (graph,)

    def forward(self, *tensors: torch.Tensor) -> object:
        return self._hidden[0](*tensors)

    def set_output_tensors_as_unowned(self, unowned: bool) -> None:
        """An engine keeps its output buffers unless told so; a graph has none."""


def pretend() -> None:
    """A CUDA device that is asked for and never used, then the package with engines replaced."""
    card = SimpleNamespace(major=9, minor=0, name="none", total_memory=1 << 36)
    torch._C._CudaDeviceProperties = SimpleNamespace  # type: ignore[attr-defined]
    for name, answer in {
        "get_device_capability": (9, 0),
        "get_device_properties": card,
        "current_device": 0,
        "device_count": 1,
        "mem_get_info": (1 << 36, 1 << 36),
        "empty_cache": None,
        "_lazy_init": None,
    }.items():
        setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    import torch_tensorrt
    from torch_tensorrt.dynamo import _compiler

    _compiler.convert_module = lambda graph, *_, **__: Part(graph)
    _compiler.to_torch_device = lambda _: torch.device("cpu")
    torch_tensorrt.dynamo.runtime.TorchTensorRTModule = Part


def tried(network: str, preset: str, grid: tuple[int, int], half: bool) -> dict[str, object]:
    """One network's full scenario, compiled by our own edge and compared with the network."""
    from tiny_bundle import NDSM, RGB, task_of

    from dis2_edge.recipe import Recipe
    from dis2_train import networks
    from dis2_train.segmenters.run import blank
    from dis2_train.segmenters.tensorrt import answer_of, compile_module

    torch.manual_seed(0)
    task = task_of(RGB, NDSM, grid=grid)
    module = networks.build(Recipe(network=network, preset=preset, width=0.125), task).eval().deployable(task.full)
    inputs = blank(task, task.full, torch.device("cpu"))
    found = compile_module(module, inputs, half, network)
    with torch.inference_mode():
        answer = answer_of(found, [tensor.half() if half else tensor for tensor in inputs], network)
        error = (answer.float() - module(*inputs)).abs().max().item()
    return {"engines": found.engines, "left": found.left, "error": error, "type": str(answer.dtype)}


if __name__ == "__main__":
    pretend()
    for each in TRIED:
        print(json.dumps(tried(*each)), flush=True)
