"""Time of mixtures: in turns and against the first file; a board's prediction computes floats in half precision."""

import sys
import types
from pathlib import Path

import numpy as np
import onnx
import pytest
from small import TWO, frames_of

from dis2_boards.profile import load as board_of
from dis2_edge.costs import LayerCost
from dis2_edge.recipe import Recipe
from dis2_quantize.choosing import choose, latency
from dis2_quantize.rounding import placement
from dis2_quantize.teaching.student import make_student


def test_a_machine_that_slows_down_changes_no_difference():
    drift = np.linspace(0, 30, 20)
    samples = {(): (10 + drift).tolist(), ("a",): (12.5 + drift).tolist()}
    found = latency.compared(samples)
    assert found[()].value == pytest.approx(25.0)
    assert found[("a",)].value - found[()].value == pytest.approx(2.5)
    assert found[("a",)].low == pytest.approx(found[("a",)].high)


def test_floats_become_halves_and_integers_stay():
    layers = [LayerCost("a", "Conv", "fp32", 8, 100), LayerCost("b", "Conv", "int8", 8, 100)]
    assert [(layer.format, layer.bytes) for layer in map(latency.as_half, layers)] == [("fp16", 50), ("int8", 100)]


def test_a_board_is_asked_by_its_roofline(monkeypatch, tmp_path):
    roofline, costs = types.ModuleType("dis2_boards.prediction.roofline"), types.ModuleType("dis2_quantize.costs")

    def predict_ms(layers, board):
        assert {layer.format for layer in layers} == {"fp16"}
        return types.SimpleNamespace(ms=sum(layer.bytes for layer in layers) * len(board))

    roofline.predict_ms = predict_ms
    costs.layer_costs = lambda model: (LayerCost("n", "Conv", "fp32", 1, model),)
    monkeypatch.setitem(sys.modules, "dis2_boards.prediction.roofline", roofline)
    monkeypatch.setitem(sys.modules, "dis2_quantize.costs", costs)
    monkeypatch.setattr(latency.onnx, "load", lambda file: int(file.stem))
    files = {(): tmp_path / "20.onnx", ("a",): tmp_path / "40.onnx"}
    found = latency.predicted(files, "time", board="ab")
    assert {kept: one.value for kept, one in found.items()} == {(): 20.0, ("a",): 40.0}


def test_only_host_is_measured():
    clock = latency.clock_of(board_of("host"), {})
    assert clock.func is latency.measured
    other = types.SimpleNamespace(name="other")
    assert latency.clock_of(other, {}).func is latency.predicted
    assert "one core" in latency.clock_told(board_of("host"))
    assert "roofline of other" in latency.clock_told(other)


def test_files_are_called_in_turns_after_the_warm_up(monkeypatch):
    called = []

    class Model:
        def __init__(self, file, threads):
            self.file = file
            assert threads == 1

        def run(self, frames):
            called.append(self.file.stem)

    monkeypatch.setattr(latency, "open_model", Model)
    found = latency.measured({(): Path("a"), ("x",): Path("b")}, "time", frames={})
    assert called == ["a", "b"] * (latency.ROUNDS + latency.WARM_UP)
    assert set(found) == {(), ("x",)}
    assert all(0 <= one.value < 1 for one in found.values())


@pytest.mark.parametrize(("board", "written"), [("host", "QLinearConv"), ("orin-nx-16gb", "QuantizeLinear")])
def test_files_are_timed_in_the_dialect_of_the_board(lived_in, board, written):
    network = lived_in("dis2", TWO)
    student = make_student(network, "ndsm", Recipe(observer="minmax"))
    student.network(frames_of(TWO)["ndsm"])
    placement.freeze(student.network)
    kinds = []

    def clock(files, label):
        kinds.extend(node.op_type for file in files.values() for node in onnx.load(file).graph.node)
        return {}

    choose._timed({(): student}, "time", task=TWO, clock=clock, dialect=board_of(board).dialect)
    assert written in kinds
    assert ("QLinearConv" in kinds) == (board == "host")
