"""A torch_tensorrt that computes: its compile takes what the real one takes, and its engine is the exported program.

The signature is the real one's where the wheel was fetched, else the few words of it that were written down here.
"""

import types
from inspect import Parameter, Signature
from typing import Any

import torch
from make_torch_tensorrt import wheel
from torch import fx, nn
from wheel_source import Told, function

COMPILER = "dynamo/_compiler.py"
WRITTEN_DOWN = ("exported_program", "arg_inputs", "min_block_size", "attn_bias_is_causal")
"""Arguments of torch_tensorrt.dynamo.compile that we use, as of 2.13.0, November 2026; all but the first by name."""


def signature_of_compile() -> Told:
    """That of torch_tensorrt.dynamo.compile, real or written down."""
    if found := wheel():
        return function(found, COMPILER, "compile")
    first, *rest = WRITTEN_DOWN
    listed = [Parameter(first, Parameter.POSITIONAL_OR_KEYWORD)]
    return Told(Signature([*listed, *(Parameter(name, Parameter.KEYWORD_ONLY) for name in rest)]), frozenset())


class Fake(types.ModuleType):
    """Put it into sys.modules as torch_tensorrt; it keeps every call of compile."""

    def __init__(self, *, parts: int = 1, left: int = 0, tupled: bool = False) -> None:
        super().__init__("torch_tensorrt")
        self.calls: list[dict[str, Any]] = []
        self.told = signature_of_compile()
        self._parts, self._left, self._tupled = parts, left, tupled
        self.dynamo = types.SimpleNamespace(
            compile=self._compile, runtime=types.SimpleNamespace(TorchTensorRTModule=Engine)
        )

    def _compile(self, *words: Any, **named: Any) -> nn.Module:
        bound = self.told.signature.bind(*words, **named)  # an unknown word is a TypeError here
        assert not self.told.deprecated & set(bound.arguments)
        self.calls.append(dict(bound.arguments))
        program = bound.arguments["exported_program"]
        assert isinstance(program, torch.export.ExportedProgram)
        assert len(program.graph_signature.user_inputs) == len(bound.arguments["arg_inputs"])
        return _graph(program.module(), len(bound.arguments["arg_inputs"]), self._parts, self._left, self._tupled)


class Engine(nn.Module):
    """Stands for a TensorRT engine; like one it takes the shapes and types that it was built for and no others."""

    def __init__(self, program: nn.Module | None) -> None:
        super().__init__()
        self._run = (program,)  # hidden from modules(): what is in an engine is no torch

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._run[0](*inputs) if self._run[0] else inputs[0]


def _graph(program: nn.Module, inputs: int, parts: int, left: int, tupled: bool) -> nn.Module:
    """What compile hands back: a graph of `parts` engines and `left` operations of torch, or the program as it was."""
    if not parts:
        return program
    graph, engines = fx.Graph(), {f"_run_on_acc_{place}": Engine(None) for place in range(parts)}
    engines["_run_on_acc_0"] = Engine(program)
    node = graph.call_module("_run_on_acc_0", tuple(graph.placeholder(f"arg{place}") for place in range(inputs)))
    for name in list(engines)[1:]:
        node = graph.call_module(name, (node,))
    for _ in range(left):
        node = graph.call_function(torch.mul, (node, 1.0))
    graph.output((node,) if tupled else node)
    return fx.GraphModule(nn.ModuleDict(engines), graph)
