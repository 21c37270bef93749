"""dis2_edge.cli: what went wrong decides exit code and text; a verb's module loads only when its verb was typed."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from dis2_edge import __version__, cli
from dis2_edge.errors import DataError, InternalError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Put a verb `try` into the table that runs the given function."""

    def add(action: Callable[[], int]) -> None:
        module: Any = ModuleType("dis2_edge_test_verb")
        module.EXAMPLE = "dis2-edge try --count 2"
        module.configure = lambda parser: parser.add_argument("--count", type=int)
        module.run = lambda args: action()
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.VERBS, "try", cli.Verb(module.__name__, "try something", "host", "test"))

    return add


def fails(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


def test_a_users_error_is_one_message_and_exit_2(verb: Any, capsys: Capture) -> None:
    verb(fails(DataError("train/gt is empty", expected="PNG files", mend="look at dataset.toml")))
    assert cli.main(["try"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: train/gt is empty; expected PNG files; look at dataset.toml\n")


@pytest.mark.parametrize("error", [InternalError("broken promise"), ZeroDivisionError("broken promise")])
def test_a_fault_of_ours_shows_its_trace_and_exits_1(verb: Any, capsys: Capture, error: Exception) -> None:
    verb(fails(error))
    assert cli.main(["try"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "broken promise" in err


def test_a_package_that_is_missing_is_answered_with_the_pip_line(verb: Any, capsys: Capture) -> None:
    verb(fails(ModuleNotFoundError("No module named 'jinja2'", name="jinja2.utils")))
    assert cli.main(["try"]) == 2
    assert capsys.readouterr().err == (
        "error: the package 'jinja2' is not installed; pip install 'dis2-edge[report]'\n"
    )


def test_an_unlisted_package_is_sought_in_the_verbs_own_extra(verb: Any, capsys: Capture) -> None:
    verb(fails(ModuleNotFoundError("No module named 'exotic'", name="exotic")))
    assert cli.main(["try"]) == 2
    assert "dis2-edge[host]" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_our_fault(verb: Any, capsys: Capture) -> None:
    verb(fails(ModuleNotFoundError("No module named 'dis2_edge.gone'", name="dis2_edge.gone")))
    assert cli.main(["try"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_verb_whose_stage_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(cli.VERBS, "try", cli.Verb("torch_that_is_not_there.verb", "try", "train", "test"))
    assert cli.main(["try"]) == 2
    assert "pip install 'dis2-edge[train]'" in capsys.readouterr().err


def test_an_interruption_is_quiet_and_exits_130(verb: Any, capsys: Capture) -> None:
    verb(fails(KeyboardInterrupt()))
    assert cli.main(["try"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_verbs_exit_code_is_handed_on(verb: Any) -> None:
    verb(lambda: 7)
    assert cli.main(["try"]) == 7


def test_an_unknown_verb_names_its_neighbour(capsys: Capture) -> None:
    assert cli.main(["profil"]) == 2
    assert capsys.readouterr().err == "error: unknown verb 'profil'; did you mean 'profile'?\n"


@pytest.mark.parametrize("words", [["try", "--count", "two"], ["try", "--cuont", "2"]])
def test_a_wrong_argument_exits_2_with_the_usage(verb: Any, capsys: Capture, words: list[str]) -> None:
    verb(lambda: 0)
    assert cli.main(words) == 2
    assert "usage: dis2-edge try" in capsys.readouterr().err


def test_a_verbs_help_ends_with_its_example(verb: Any, capsys: Capture) -> None:
    verb(lambda: 0)
    assert cli.main(["try", "--help"]) == 0
    assert capsys.readouterr().out.endswith("example:\n  dis2-edge try --count 2\n")


@pytest.mark.parametrize(("chosen", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_chose(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, kept: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    assert cli.main(["--version"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == kept


def test_version(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dis2-edge {__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb_with_its_summary_and_an_example(words: list[str], capsys: Capture) -> None:
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, verb in cli.VERBS.items():
        assert any(line.split()[:1] == [name] and line.endswith(verb.summary) for line in lines), name
    assert lines[-1].strip() == cli.EXAMPLE
    assert max(map(len, lines)) <= 80


def test_verbs_of_one_stage_stand_together() -> None:
    stages = [verb.stage for verb in cli.VERBS.values()]
    starts = [stage for place, stage in enumerate(stages) if place == 0 or stages[place - 1] != stage]
    assert len(starts) == len(set(starts))


def test_a_reader_that_closed_the_pipe_is_no_fault() -> None:
    code = "import sys; from dis2_edge import cli; cli.help_text = lambda: 'x' * 10_000_000; sys.exit(cli.main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == cli.PIPE_CLOSED


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(closed) -> None:
    command = f'"{sys.executable}" -m dis2_edge --version {closed}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=30)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_what_a_terminal_cannot_show_is_shown_by_its_number() -> None:
    code = "import sys; from dis2_edge import cli; cli.help_text = lambda: 'a\u65e5'; sys.exit(cli.main([]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=30)
    assert (shown.returncode, shown.stdout) == (0, b"a\\u65e5\n")


def test_parser_of_gives_what_the_verb_declared(verb: Any) -> None:
    verb(lambda: 0)
    parser, module = cli.parser_of("try")
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.parse_args(module.EXAMPLE.split()[2:]).count == 2


def test_a_verb_that_a_board_does_not_have_names_the_workstation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(name: str) -> None:
        raise ModuleNotFoundError("No module", name=name.partition(".")[0])

    monkeypatch.setattr(cli.importlib, "import_module", nowhere)
    assert cli.main(["train", "--help"]) == cli.USER_ERROR
    assert "what a board installs holds no dis2_train; use this verb on the workstation" in capsys.readouterr().err
