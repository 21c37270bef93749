"""`check`: its exit codes and its JSON; files that are no models, folders without any, and damage of every kind."""

import contextlib
import json
import shutil

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lawful import insert, lawful
from onnx import helper

from dis2_boards.profile import load
from dis2_edge.cli import main
from dis2_edge.errors import CheckpointError
from dis2_quantize.lint.check import check
from dis2_quantize.reading.open import open_model
from dis2_quantize.run import quantize

ORIN = load("orin-nx-16gb")


@pytest.fixture
def good(tmp_path):
    onnx.save(lawful(), tmp_path / "good.onnx")
    return tmp_path / "good.onnx"


def call(*words):
    return main(["check", *map(str, words)])


def test_a_clean_file_exits_0(good, capsys):
    assert call(good, "--board", "orin-nx-16gb") == 0
    assert "nothing found for orin-nx-16gb" in capsys.readouterr().out


def test_warnings_alone_exit_0_and_errors_exit_1_with_their_mend(good, tmp_path, capsys):
    model = lawful()
    next(node for node in model.graph.node if node.name == "sum").input[1] = "stem"
    onnx.save(model, good)
    assert call(good, "--board", "orin-nx-16gb") == 0
    assert "0 errors, 1 warnings" in capsys.readouterr().out
    del model.metadata_props[:]
    onnx.save(model, good)
    assert call(good, "--board", "orin-nx-16gb", "--json", tmp_path / "found.json") == 1
    shown = capsys.readouterr().out
    assert "absent from metadata_props" in shown
    assert "mend metadata: quantize again" in shown
    table = json.loads((tmp_path / "found.json").read_text())
    assert table["board"] == "orin-nx-16gb"
    (row,) = table["files"]
    assert {finding["rule"] for finding in row["findings"]} == {"metadata", "residual"}


def test_many_findings_of_one_rule_are_counted_in_the_table_and_whole_in_the_json(good, tmp_path, capsys):
    model = lawful()
    extra = [helper.make_node("Bernoulli", ["soft"], [f"more{i}"], name=f"odd{i}") for i in range(20)]
    insert(model, "head", *extra)
    onnx.save(model, good)
    assert call(good, "--board", "orin-nx-16gb", "--json", tmp_path / "found.json") == 1
    assert "and 12 more" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "found.json").read_text())["files"][0]["findings"]) == 20


def test_a_quantised_run_is_checked_file_by_file(trained, aerial, tmp_path, capsys):
    run = trained("early_fusion")
    quantize(run, run.recipe, aerial, tmp_path / "q", ["fp32", "int8"])
    assert call(tmp_path / "q") == 0
    assert capsys.readouterr().out.count("nothing found for host") == 6
    assert call(tmp_path / "q", "--board", "orin-nx-16gb") == 2
    assert "has no file in the dialect trt, which orin-nx-16gb takes" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "q" / "models")
    assert call(tmp_path / "q") == 2
    assert "is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not a model at all", "no valid ONNX model"),
        (b"\x08\x0a", "is no ONNX model"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_model_exits_2(tmp_path, capsys, data, message):
    if data is not None:
        (tmp_path / "m.onnx").write_bytes(data)
    assert call(tmp_path / "m.onnx") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_folder_without_models_and_an_unknown_board_exit_2(tmp_path, capsys):
    assert call(tmp_path) == 2
    assert "holds no models; expected an .onnx file, a quantised run or a bundle" in capsys.readouterr().err
    assert call(tmp_path, "--board", "orin-nx-16") == 2
    assert "did you mean 'orin-nx-16gb'?" in capsys.readouterr().err


GOOD = lawful().SerializeToString()


def survives(data, folder):
    """Opened and checked, or refused in one message: anything else is raised."""
    (folder / "m.onnx").write_bytes(data)
    with contextlib.suppress(CheckpointError):
        check(open_model(folder / "m.onnx"), ORIN)


RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RELAXED
@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_short_never_shows_a_trace(tmp_path, length):
    survives(GOOD[:length], tmp_path)


@RELAXED
@given(st.lists(st.integers(0, 8 * len(GOOD) - 1), min_size=1, max_size=6))
def test_flipped_bits_never_show_a_trace(tmp_path, bits):
    data = bytearray(GOOD)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    survives(bytes(data), tmp_path)
