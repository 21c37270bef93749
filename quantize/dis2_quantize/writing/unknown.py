"""What the exporter cannot write, told by name: the operator, and the module that calls it.

Every operator of the networks that come with dis2-edge is exported in the tests. One that the exporter does not know
therefore comes from a network of the user's own, who can mend it: that is a UserError, in one line. Whatever else goes
wrong while exporting stays our fault, with its trace.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.onnx.errors import UnsupportedOperatorError

from dis2_edge.errors import ExportError

_OPERATOR = re.compile(r"operator '?([\w:.]+)'?|namespace ([\w:.]+?)\.? ")
_NETWORK = "network"
"""Where the export wrapper holds the network."""


@contextlib.contextmanager
def unknown_operators(model: nn.Module) -> Iterator[None]:
    """Around the export of `model`: an operator that the exporter does not know becomes an ExportError.

    The exporter prints the whole graph that it failed on, thousands of lines; here it is kept and looked into instead.
    """
    exporter: Any = torch._C
    kept: list[Any] = []
    log = exporter._jit_onnx_log

    def keep(*parts: Any) -> None:
        kept.extend(parts)

    exporter._jit_onnx_log = keep
    try:
        yield
    except UnsupportedOperatorError as cause:
        raise _told(cause, kept, model) from cause
    finally:
        exporter._jit_onnx_log = log


def _told(cause: UnsupportedOperatorError, logged: list[Any], model: nn.Module) -> ExportError:
    operator = _operator(str(cause))
    found = [node for graph in logged for node in _nodes(graph) if node.kind() == operator]
    modules = sorted({path for node in found for path in _paths(node, model)})
    where = f" in {', '.join(modules)}" if modules else ""
    return ExportError(
        f"the network uses the operator {operator}{where}, which cannot be written to ONNX",
        mend="write that part of the network with operators that ONNX has",
    )


def _operator(message: str) -> str:
    found = _OPERATOR.search(message)
    return next(filter(None, found.groups())) if found else message


def _nodes(graph: Any) -> list[Any]:
    """The nodes of a graph and of the graphs within them; of what is no graph, none."""
    if not hasattr(graph, "nodes"):
        return []
    own = list(graph.nodes())
    return own + [inner for node in own for block in node.blocks() for inner in _nodes(block)]


def _paths(node: Any, model: nn.Module) -> list[str]:
    """Paths of the modules that a node may come from.

    Its scope is `package.Type::name/package.Type::name`, from the outside in, less containers that are never called.
    """
    kind, _, name = str(node.scopeName()).split("/")[-1].partition("::")
    if name == _NETWORK:
        return ["its own forward"]
    alike = [path for path, module in model.named_modules() if type(module).__name__ == kind.split(".")[-1]]
    return [path.removeprefix(f"{_NETWORK}.") for path in alike if path.split(".")[-1] == name.split(".")[-1]]
