"""FP16 evidence: the simulation is true half arithmetic, an overflow is found and named, and an island cures it."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from typed_graphs import CASES, graph_of, inputs_of, placed, raw_frames, traced

from dis2_quantize.judging.arithmetic import Arithmetic
from dis2_quantize.judging.halves import HalfSegmenter, islands, measure, single_form
from dis2_quantize.judging.ranges import Range, Ranges
from dis2_quantize.judging.tensor_model import TensorModel
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.rounding.halfway import LARGEST_HALF
from dis2_quantize.writing.trt import write
from dis2_runtime.kernels.decide import answer_of

NUMBERS = st.lists(st.floats(-300, 300, width=32), min_size=3, max_size=8)
# Constants are FP16 numbers: torch keeps others in FP32 even among halves, a file does not.
ELEMENTWISE = [
    lambda x: x * x + x,
    lambda x: x.exp().clamp(max=1000) / (x.abs() + 1),
    lambda x: (x * 0.375 - 1.75).relu().sqrt(),
    lambda x: x.sigmoid() * x.tanh() - 0.125,
]


def in_half(program, *inputs):
    """What the simulation makes of a program, and the ranges that it saw."""
    arithmetic = Arithmetic()
    arithmetic.enter("place", "fp16")
    with torch.no_grad(), arithmetic:
        found = program(*inputs)
    return found, arithmetic.ranges


@pytest.mark.parametrize("program", ELEMENTWISE)
@given(values=NUMBERS)
@settings(deadline=None, max_examples=40)
def test_elementwise_it_is_real_half_arithmetic(program, values):
    x = torch.tensor(values).half()
    found, _ = in_half(program, x.float())
    assert torch.equal(found.nan_to_num(), program(x).float().nan_to_num())


def test_softmax_and_layer_norm_are_rounded_inside_and_stay_close():
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(1)).half().float() * 8
    norm = nn.LayerNorm(64)
    for program in (lambda x: x.softmax(1), norm):
        found, ranges = in_half(program, x)
        exact = program(x).detach()
        assert torch.equal(found, found.half().float())
        assert 0 < (found - exact).abs().max() < 0.02
        assert len(ranges.rows) >= 4


def test_the_squares_inside_a_layer_norm_overflow_as_in_half():
    x = torch.tensor([[-400.0, 400.0, 0.0, 0.0]])
    _, ranges = in_half(nn.LayerNorm(4), x)
    assert [row.tensor for row in ranges.too_large][:1] == ["place/layer norm square"]


def test_a_sum_is_accumulated_in_fp32_and_rounded_once():
    found, ranges = in_half(lambda x: x.sum(), torch.full((4096,), 1.0))
    assert found.item() == 4096  # one after another in FP16 it would stop at 2048
    found, ranges = in_half(lambda x: x.sum(), torch.full((4096,), 17.0))
    assert found.isinf()
    assert ranges.largest.largest == 4096 * 17


def test_fp32_places_are_looked_at_and_not_rounded():
    arithmetic = Arithmetic()
    arithmetic.enter("place", "fp32")
    with arithmetic:
        found = torch.tensor([1 / 3]) * 3e6
    assert found.item() == pytest.approx(1e6, rel=1e-6)
    assert arithmetic.ranges.largest.largest == pytest.approx(1e6)
    assert not arithmetic.ranges.too_large


def test_underflow_is_counted_and_named():
    _, ranges = in_half(lambda x: x * 1e-3, torch.tensor([0.0, 1.0, 1e-2, 1e-2, 1e-5]))
    (row,) = ranges.rows
    assert (row.nonzero, row.lost) == (4, 3)
    assert ranges.to_table()["underflow"] == {"place/mul": 0.75}


def test_the_largest_of_several_infinite_tensors_is_the_first():
    rows = (Range("a", "a", "fp16", 5.0), Range("b", "b", "fp16", float("inf")), Range("c", "c", "fp16", float("inf")))
    table = Ranges(rows, 1).to_table()
    assert (table["largest"], table["largest_tensor"], list(table["too_large"])) == (None, "b", ["b", "c"])
    json.dumps(table, allow_nan=False)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize(("kind", "task", "scenario"), CASES[:4])
def test_a_file_under_onnx_runtime_answers_near_the_simulation(tmp_path, kind, task, scenario, precision):
    form = typed_form(graph_of(precision, kind, task, scenario))
    write(form, task, scenario, tmp_path / "m.onnx", {})
    sensors, frames = task.used(scenario), raw_frames(task)
    simulated = HalfSegmenter(form, sensors)
    told, file = simulated.run(frames), TensorModel(tmp_path / "m.onnx", sensors, 1).run(frames)
    assert (told.mask == file.mask).mean() > 0.99
    assert np.abs(told.confidence.astype(int) - file.confidence).max() <= 6
    assert simulated.ranges.images == 1
    assert not simulated.ranges.too_large
    assert 0 < simulated.ranges.largest.largest < LARGEST_HALF


def test_simulation_differs_from_fp32_and_fp32_is_exact():
    kind, task, scenario = CASES[0]
    inputs = inputs_of(task, scenario)
    graph = traced(kind, task, scenario)
    with torch.no_grad():
        exact = graph(*inputs)
    single = HalfSegmenter(single_form(graph), task.used(scenario)).logits(*inputs)
    halves = HalfSegmenter(typed_form(graph), task.used(scenario)).logits(*inputs)
    assert torch.allclose(single, exact, atol=1e-5)
    assert 1e-6 < (halves - exact).abs().max() < 0.01


PLANTED = ("inner.units.refine", "inner_units_refine")


def overflowing():
    kind, task, scenario = CASES[2]
    graph = traced(kind, task, scenario)
    with torch.no_grad():
        norm = graph.get_submodule(PLANTED[0]).norm
        norm.weight.mul_(1e6)
        norm.bias.mul_(1e6)
        graph.get_submodule("inner.head").weight.div_(1e6)
    return graph, task, scenario


def test_an_overflow_is_found_and_named_and_an_island_cures_it(tmp_path):
    graph, task, scenario = overflowing()
    inputs, sensors = inputs_of(task, scenario), task.used(scenario)
    with torch.no_grad():
        exact = graph(*inputs)
    ill = measure(typed_form(graph), [inputs])
    assert ill.too_large[0].unit == PLANTED[1]
    assert ill.largest.largest == float("inf")
    single = islands(graph, [inputs])
    assert single == (PLANTED[1], "inner_head")  # the reader too, as nothing else could be handed what it reads
    form = typed_form(graph, single)
    cured = HalfSegmenter(form, sensors)
    assert torch.allclose(cured.logits(*inputs), exact, atol=0.01)
    assert not cured.ranges.too_large
    assert cured.ranges.largest.kind == "fp32"
    write(form, task, scenario, tmp_path / "m.onnx", {})
    file = TensorModel(tmp_path / "m.onnx", sensors, 1).run(raw_frames(task))
    assert (file.mask == answer_of(exact[0].numpy()).mask).mean() > 0.99


def test_a_healthy_network_has_no_islands():
    kind, task, scenario = CASES[0]
    for precision in ("fp16", "int8"):
        assert islands(graph_of(precision, kind, task, scenario), [inputs_of(task, scenario)]) == ()


def test_onnx_runtime_is_no_evidence_of_range():
    """Why the simulation exists: the CPU computes what FP16 cannot hold, and nobody notices."""
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT16, [1, 1, 1, 1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT16, [1, 1, 1, 1])
    weights = {"up": 300.0, "down": 1e-3}
    nodes = [onnx.helper.make_node("Conv", ["x", "up"], ["h"]), onnx.helper.make_node("Conv", ["h", "down"], ["y"])]
    constants = [onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), v, np.float16), n) for n, v in weights.items()]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((1, 1, 1, 1), 640, np.float16)})
    assert np.isfinite(found).all()  # 640 * 300 = 192,000 in between


def test_int8_islands_carry_their_roundings():
    kind, task, scenario = CASES[2]
    graph = placed(kind, task, scenario)
    assert isinstance(graph, fx.GraphModule)
    form = typed_form(graph, ("inner_units_level4",))
    kinds = {node.name: node.meta["float"] for node in form.graph.nodes}
    assert kinds["inner_units_level4"] == "fp32"
    assert kinds["round_inner_units_level4"] == "fp16"
    assert {"to_fp32", "to_fp16"} <= {str(node.target) for node in form.graph.nodes}
