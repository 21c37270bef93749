"""What torch_tensorrt says of a function in its source, none of which is run: names, defaults, what is deprecated."""

import ast
import re
import zipfile
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path

_TICKED = re.compile(r"`(\w+)`")
_DEPRECATED_LINE = re.compile(r"^\s*(\w+): ?\(.*\): \*\*Deprecated", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """A function as its source has it."""

    signature: Signature
    """Its parameters, without a `**kwargs`: a word that only that takes is swallowed without a sound."""
    deprecated: frozenset[str]
    """Arguments that its warnings or its docstring call deprecated."""


def function(wheel: Path, file: str, name: str) -> Told:
    """The function `name` of `file` in the wheel."""
    found = next(n for n in source(wheel, file).body if isinstance(n, ast.FunctionDef) and n.name == name)
    return Told(_signature(found.args), _deprecated(found))


def source(wheel: Path, file: str) -> ast.Module:
    """A file of the wheel, parsed."""
    with zipfile.ZipFile(wheel) as archive:
        return ast.parse(archive.read(f"torch_tensorrt/{file}"))


def imported(tree: ast.Module) -> set[str]:
    """Every name that a module takes from others, however deep in conditions."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def constants(tree: ast.Module) -> dict[str, object]:
    """NAME = literal, at the top of a module."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found.update({target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)})
    return found


def _signature(args: ast.arguments) -> Signature:
    plain = [*args.posonlyargs, *args.args]
    needed = len(plain) - len(args.defaults)
    listed = [
        Parameter(arg.arg, Parameter.POSITIONAL_OR_KEYWORD, default=Parameter.empty if place < needed else None)
        for place, arg in enumerate(plain)
    ]
    listed += [
        Parameter(arg.arg, Parameter.KEYWORD_ONLY, default=Parameter.empty if default is None else None)
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    return Signature(listed)


def _deprecated(found: ast.FunctionDef) -> frozenset[str]:
    """Names in back-ticks at the start of its DeprecationWarnings, and arguments that its docstring marks so."""
    names = set(_DEPRECATED_LINE.findall(ast.get_docstring(found) or ""))
    for call in (node for node in ast.walk(found) if isinstance(node, ast.Call)):
        words = [arg.id for arg in call.args if isinstance(arg, ast.Name)]
        texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if "DeprecationWarning" in words and texts:
            names.update(_TICKED.findall(texts[0])[:1])
            names.update(re.findall(r'option "(\w+)" is deprecated', texts[0]))
    return frozenset(names)
