"""The edge to torch-tensorrt: whether it can work here, and one module compiled by it. Nothing else imports it.

Written against torch-tensorrt 2.13 and held to its source and to its Python part (tests/train/contracts). It has never
run on a GPU, nor built an engine, for us.
"""

from __future__ import annotations

import copy
import importlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from dis2_edge.errors import EngineError, MissingExtraError

PACKAGES = ("torch", "torch-tensorrt", "tensorrt", "numpy")
"""What the figures of a compiled network depend on."""
_ROUNDS_UP = 4
"""Place of `ceil_mode` among the arguments of aten.avg_pool2d: input, kernel, stride, padding before it."""


@dataclass(frozen=True)
class Compiled:
    """A module that torch-tensorrt compiled."""

    module: nn.Module
    """Takes the tensors that it was compiled for, on the GPU."""
    engines: int
    """TensorRT engines in it."""
    left: int
    """Operations that stayed in torch between and around them; 0 where TensorRT took all."""


def gpu() -> torch.device:
    """The device that engines are built for and run on; EngineError where there is none."""
    if not torch.cuda.is_available():
        raise EngineError(
            "torch finds no CUDA device here",
            expected="an NVIDIA GPU, which torch-tensorrt builds its engines on",
            mend="leave out --engine torch-tensorrt, or evaluate where there is a GPU and a CUDA build of torch",
        )
    return torch.device("cuda", torch.cuda.current_device())


def library() -> Any:
    """The package torch_tensorrt; MissingExtraError where it is not installed, EngineError where it does not load."""
    try:
        return importlib.import_module("torch_tensorrt")
    except ModuleNotFoundError as cause:
        if cause.name == "torch_tensorrt":
            raise MissingExtraError("torch-tensorrt", "tensorrt") from cause
        raise _unloadable(cause) from cause
    except Exception as cause:  # it raises plain Exception or OSError where TensorRT's libraries are not found
        raise _unloadable(cause) from cause


def compile_module(module: nn.Module, inputs: Sequence[Tensor], half: bool, where: str) -> Compiled:
    """A copy of `module` compiled for tensors of the shapes of `inputs`; `where` names it in errors.

    `inputs`: one float32 tensor (1, C, H, W) a sensor, on the GPU. With `half` weights, inputs and all between are
    FP16: networks of TensorRT 11 are strongly typed. Raises EngineError with what torch-tensorrt said.
    """
    trt = library()
    kind = torch.float16 if half else torch.float32
    flown = copy.deepcopy(module).eval().requires_grad_(False).to(kind)
    given = [tensor.to(kind) for tensor in inputs]
    try:
        with torch.no_grad():
            program = _floored(torch.export.export(flown, tuple(given)))
            compiled: nn.Module = trt.dynamo.compile(
                program,
                arg_inputs=given,
                min_block_size=1,  # a short run of operations is worth an engine too: what is left in torch is counted
                attn_bias_is_causal=False,  # its default takes any bias of an attention for a causal mask
            )
    except Exception as cause:  # torch.export, the converters and TensorRT share no base but this
        raise EngineError(
            f"torch-tensorrt cannot compile {where}: {said(cause)}", mend="leave out --engine torch-tensorrt"
        ) from cause
    engines, left = _parts(compiled, trt.dynamo.runtime.TorchTensorRTModule)
    if not engines:
        found = f"torch-tensorrt built no engine of {where}: it left all {left} operations to torch"
        raise EngineError(found, mend="its warnings above say why; leave out --engine torch-tensorrt")
    return Compiled(compiled, engines, left)


def answer_of(compiled: Compiled, inputs: Sequence[Tensor], where: str) -> Tensor:
    """Logits of one frame; EngineError with what was said where it fails while running."""
    try:
        found = compiled.module(*inputs)
    except Exception as cause:  # TensorRT's runtime, CUDA and torch share no base but this
        raise EngineError(f"torch-tensorrt failed in {where}: {said(cause)}") from cause
    return cast(Tensor, found[0] if isinstance(found, (tuple, list)) else found)


def said(error: BaseException) -> str:
    """An error of another's in one line, with its kind."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line[:300]}" if line else type(error).__name__


def _floored(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """`program` with average pools that round up told to round down where nothing is left over: the same numbers.

    Its converter takes no pool that rounds up, and one such pool would part the network into several engines.
    """
    for node in program.graph.find_nodes(op="call_function", target=torch.ops.aten.avg_pool2d.default):
        if len(node.args) < _ROUNDS_UP + 1:
            continue  # it rounds down already
        args: list[Any] = list(node.args)
        tensor, kernel, stride, padding = args[:_ROUNDS_UP]
        spans = zip(tensor.meta["val"].shape[-2:], kernel, stride or kernel, padding, strict=True)
        if all((size + 2 * pad - wide) % step == 0 for size, wide, step, pad in spans):
            args[_ROUNDS_UP] = False
            node.args = tuple(args)
    program.graph_module.recompile()
    return program


def _parts(compiled: nn.Module, engine: type) -> tuple[int, int]:
    """How many engines `compiled` holds, and how many operations of torch."""
    modules = list(compiled.modules())
    graphs = [module.graph for module in modules if isinstance(module, fx.GraphModule)]
    calls = [node for graph in graphs for node in graph.nodes if node.op == "call_function"]
    left = sum(node.target is not operator.getitem for node in calls)
    return sum(isinstance(module, engine) for module in modules), left


def _unloadable(cause: BaseException) -> EngineError:
    return EngineError(
        f"torch-tensorrt is installed but does not load: {said(cause)}",
        expected="torch, CUDA and TensorRT in the versions that it was built with",
        mend="install all of them anew: pip install 'dis2-edge[tensorrt]'",
    )
