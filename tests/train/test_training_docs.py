"""docs/training.md tells every key of a recipe, in its order, with its default and the words of its docstring."""

import ast
import inspect
import itertools
import re
import shlex
from pathlib import Path

from dis2_edge import recipe
from dis2_edge.recipe import Recipe

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def _docstrings():
    body = ast.parse(inspect.getsource(recipe))
    fields = next(node for node in body.body if isinstance(node, ast.ClassDef) and node.name == "Recipe").body
    for field, words in itertools.pairwise(fields):
        if isinstance(field, ast.AnnAssign):
            assert isinstance(words, ast.Expr), f"{field.target.id} has no docstring"
            yield field.target.id, words.value.value


def test_the_table_of_keys_is_that_of_the_recipe():
    defaults = dict(line.split(" = ", 1) for line in Recipe().to_toml().splitlines())
    expected = [f"| `{key}` | `{defaults[key]}` | {' '.join(words.split())} |" for key, words in _docstrings()]
    assert len(expected) == len(defaults)
    found = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert found == expected, "docs/training.md should hold:\n" + "\n".join(expected)


def test_overrides_mean_what_they_say_when_they_are_typed_into_a_shell(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    typed = re.findall(r"`(--set [^`]+)`", PAGE.read_text("utf-8"))
    assert typed
    for words in typed:
        recipe.load(tmp_path / "empty.toml", [word for word in shlex.split(words) if word != "--set"])
