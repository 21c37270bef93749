"""Every verb of the table is there, says what it does, and ends its help with an example that parses."""

import argparse
import shlex

import pytest

from dis2_edge import cli

Capture = pytest.CaptureFixture[str]
VERBS = sorted(cli.VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_with_the_example(verb: str, capsys: Capture) -> None:
    assert cli.main([verb, "--help"]) == 0
    _, module = cli.parser_of(verb)
    assert capsys.readouterr().out.endswith(f"example:\n  {module.EXAMPLE}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_parses(verb: str) -> None:
    parser, module = cli.parser_of(verb)
    program, named, *words = shlex.split(module.EXAMPLE)
    assert (program, named) == ("dis2-edge", verb)
    assert isinstance(parser.parse_args(words), argparse.Namespace)


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_is_explained(verb: str) -> None:
    parser, _ = cli.parser_of(verb)
    for parsed in _with_nested(parser):
        for action in parsed._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), f"{parsed.prog} {action.dest}"


@pytest.mark.parametrize("verb", VERBS)
def test_no_flag_turns_any_word_into_true(verb: str) -> None:
    parser, _ = cli.parser_of(verb)
    assert not [action.dest for parsed in _with_nested(parser) for action in parsed._actions if action.type is bool]


@pytest.mark.parametrize("verb", VERBS)
def test_the_summary_is_one_line_of_help(verb: str) -> None:
    assert len(cli.VERBS[verb].summary) <= 68
    assert cli.VERBS[verb].summary[0].islower()


def _with_nested(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [
        parser,
        *(inner for action in nested for choice in action.choices.values() for inner in _with_nested(choice)),
    ]
