"""The trt dialect: a file says what its network says, is strongly typed, and keeps TensorRT's rules for integers."""

import collections
import functools
import json

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, inliner, numpy_helper
from small import TWO
from torch import nn
from typed_graphs import CASES, graph_of, inputs_of, placed, raw_frames, traced
from typed_walk import mixed_nodes, types_of

from dis2_edge.errors import EngineError, InternalError
from dis2_quantize.judging.tensor_model import TensorModel
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.floating import floating
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.rounding.halfway import scale_in_half
from dis2_quantize.rounding.record import placement_table
from dis2_quantize.rounding.symmetric import SymmetricQuant
from dis2_quantize.writing.trt import write
from tests.runtime.pretend.fake_rules import faults_of

BOTH = pytest.mark.parametrize("precision", ["fp16", "int8"])
ALL = pytest.mark.parametrize(("kind", "task", "scenario"), CASES)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Writes each file of the dialect once: precision and case -> path."""

    @functools.cache
    def file_of(precision, kind, task, scenario):
        file = tmp_path_factory.mktemp("trt") / "m.onnx"
        write(typed_form(graph_of(precision, kind, task, scenario)), task, scenario, file, {"recipe_hash": "abc"})
        return file

    return file_of


@pytest.fixture
def written(files):
    """Reads a file of the dialect, which was made by precision and case."""
    return lambda *case: onnx.load(files(*case))


MOVES = ("Resize", "Reshape", "Concat", "Slice")


class Wires:
    """Who makes and who reads each value of a model."""

    def __init__(self, model):
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.readers = collections.defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)
        self.constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}

    def of(self, model, *kinds):
        return [node for node in model.graph.node if node.op_type in kinds]

    def rounded(self, name):
        """Whether a value comes out of a DequantizeLinear, directly."""
        return name in self.maker and self.maker[name].op_type == "DequantizeLinear"


@BOTH
@ALL
def test_a_file_answers_what_its_network_answers(files, kind, task, scenario, precision):
    answer = TensorModel(files(precision, kind, task, scenario), task.used(scenario), 1).run(raw_frames(task))
    with torch.no_grad():
        chances = traced(kind, task, scenario)(*inputs_of(task, scenario)).softmax(1)[0]
    near = kind in ("csknet", "deeplabv3")  # as they are drawn, their logits lie within 0.005 of each other
    least = {"fp16": 0.999, "int8": 0.97 if near else 0.99}
    assert (answer.mask == chances.argmax(0).numpy()).mean() >= least[precision]
    error = np.abs(answer.confidence / 255 - chances.amax(0).numpy())
    assert np.quantile(error, 0.99) < (0.05 if precision == "int8" else 0.005)


@BOTH
@ALL
def test_every_node_keeps_to_one_float_type(written, kind, task, scenario, precision):
    model = written(precision, kind, task, scenario)
    assert not mixed_nodes(model)
    types = types_of(model)
    kinds = {types[name] for node in model.graph.node if node.op_type == "Conv" for name in node.output}
    assert kinds == {TensorProto.FLOAT16}
    casts = [node.name for node in model.graph.node if node.op_type == "Cast" and "LayerNorm" not in node.name]
    assert len(casts) == len(task.used(scenario)) + 1


@BOTH
@ALL
def test_nothing_in_a_file_is_what_tensorrt_refuses(written, kind, task, scenario, precision):
    assert not list(faults_of(written(precision, kind, task, scenario)))


def test_norms_compute_in_single_precision(written):
    """Strongly typed, TensorRT computes a norm in the type of what it reads."""
    model = written("fp16", *CASES[0])
    types = types_of(model)
    assert not Wires(model).of(model, "LayerNormalization")
    squares = Wires(model).of(model, "Sqrt")
    assert len(squares) == 4  # two layers of two norms
    assert {types[node.output[0]] for node in squares} == {TensorProto.FLOAT}


def test_a_mixed_file_is_seen_by_the_walker(written):
    model = written("fp16", *CASES[2])
    wide = numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "wide")
    model.graph.initializer.append(wide)
    place, relu = next((place, node) for place, node in enumerate(model.graph.node) if node.op_type == "Relu")
    model.graph.node.insert(place, onnx.helper.make_node("Where", ["no", "wide", relu.input[0]], ["mixed"], "planted"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, bool), "no"))
    with pytest.raises(onnx.shape_inference.InferenceError):
        mixed_nodes(model)


@ALL
def test_integers_are_symmetric_and_weights_have_a_scale_a_channel(written, kind, task, scenario):
    model = written("int8", kind, task, scenario)
    wires = Wires(model)
    nodes = wires.of(model, "QuantizeLinear", "DequantizeLinear")
    assert nodes
    for node in nodes:
        scale, zero = (wires.constants[name] for name in node.input[1:])
        assert zero.dtype == np.int8
        assert not zero.any()
        assert scale.dtype == np.float16
        assert (scale > 0).all()
        if node.input[0] in wires.constants:
            weight = wires.constants[node.input[0]]
            assert weight.dtype == np.int8
            assert np.abs(weight.astype(int)).max() <= 127
            assert scale.shape == zero.shape == (len(weight),)
            assert next(one.i for one in node.attribute if one.name == "axis") == 0
        else:
            assert scale.shape == ()


def of_whole_image(wires, node):
    """Whether a mean over all positions is what `node` reads, at most a few nodes back."""
    for _ in range(6):
        if node is None or node.op_type in ("ReduceMean", "GlobalAveragePool"):
            return node is not None
        if node.op_type not in ("Conv", "Relu", "Cast"):
            return False
        node = wires.maker.get(node.input[0])
    return False


@ALL
def test_convolutions_are_integer_where_they_read_16_channels_and_else_wholly_fp16(written, kind, task, scenario):
    model = written("int8", kind, task, scenario)
    wires = Wires(model)
    count = collections.Counter()
    for node in wires.of(model, "Conv"):
        rounded = [wires.rounded(name) for name in node.input[:2]]
        weight = wires.maker[node.input[1]].input[0] if rounded[1] else node.input[1]
        head = wires.constants[weight].shape[0] == len(task.classes)
        pooled = of_whole_image(wires, node)  # one value a channel
        if wires.constants[weight].shape[1] >= 16 and not (head or pooled):
            assert rounded == [True, True]
        else:
            assert not rounded[1]
        count[rounded[1]] += 1
    assert count[True] > 5


@pytest.mark.parametrize("case", CASES[2:])
def test_what_is_concatenated_for_an_integer_convolution_shares_one_scale(written, case):
    model = written("int8", *case)
    wires = Wires(model)
    found = [node for node in wires.of(model, "Concat") if all(wires.rounded(name) for name in node.input)]
    assert found or case[0] == "single"
    for node in found:
        (quantize,) = wires.readers[node.output[0]]
        scales = {wires.constants[wires.maker[name].input[1]].item() for name in node.input}
        assert scales == {wires.constants[quantize.input[1]].item()}


@ALL
def test_a_sum_that_integers_read_has_a_rounded_residual_and_one_float_where_a_convolution_made_it(
    written, kind, task, scenario
):
    model = written("int8", kind, task, scenario)
    wires = Wires(model)
    sums = [node for node in wires.of(model, "Add") if wires.readers[node.output[0]][0].op_type == "Relu"]
    for node in sums:
        (relu,) = wires.readers[node.output[0]]
        if wires.readers[relu.output[0]][0].op_type != "QuantizeLinear":
            continue
        rounded = [wires.rounded(name) for name in node.input]
        assert any(rounded)
        for name in (name for name, is_rounded in zip(node.input, rounded, strict=True) if not is_rounded):
            assert wires.maker[name].op_type == "Conv"


@ALL
def test_no_tensor_is_rounded_for_floating_point_alone(written, kind, task, scenario):
    model = written("int8", kind, task, scenario)
    wires = Wires(model)

    def reaches_integers(name):
        return any(
            (node.op_type == "Conv" and wires.rounded(node.input[1]))
            or (
                node.op_type in (*MOVES, "Add", "Relu", "QuantizeLinear", "DequantizeLinear")
                and reaches_integers(node.output[0])
            )
            for node in wires.readers[name]
        )

    assert all(reaches_integers(node.output[0]) for node in wires.of(model, "QuantizeLinear"))


@BOTH
def test_attention_is_called_by_name_and_its_body_is_plain(written, precision):
    model = written(precision, *CASES[0])
    assert not Wires(model).of(model, "Shape", "ConstantOfShape", "Where", "Expand", "Identity", "Constant")
    model = inliner.inline_local_functions(model)
    wires = Wires(model)
    assert {node.domain for node in model.graph.node} == {""}
    for node in wires.of(model, "Softmax", "LayerNormalization", "MatMul"):
        assert not any(wires.rounded(name) for name in node.input)
    assert len(wires.of(model, "Softmax")) == 4  # two layers, the pool, the classes


def test_the_file_keeps_the_contract(written):
    kind, task, scenario = CASES[2]
    model = written("int8", kind, task, scenario)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 19)}
    inputs = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert inputs == {"rgb": [1, 3, 64, 64], "thermal": [1, 1, 64, 64]}
    (logits,) = model.graph.output
    assert logits.name == "logits"
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, logits)} == {TensorProto.FLOAT}
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert (props["dialect"], props["io"], props["recipe_hash"], props["scenario"]) == (
        "trt",
        "tensor",
        "abc",
        scenario,
    )
    assert json.loads(props["classes"]) == list(task.classes)
    assert [sensor["name"] for sensor in json.loads(props["sensors"])] == ["rgb", "thermal"]


def test_equal_networks_give_equal_files_and_integers_a_smaller_one(files, tmp_path):
    sizes = {}
    for precision in ("fp16", "int8"):
        form = typed_form(graph_of(precision, *CASES[2]))
        write(form, *CASES[2][1:], tmp_path / "m.onnx", {"recipe_hash": "abc"})
        first, second = (file.read_bytes() for file in (files(precision, *CASES[2]), tmp_path / "m.onnx"))
        assert first == second
        sizes[precision] = len(first)
    assert sizes["int8"] < 0.75 * sizes["fp16"]


def test_an_island_is_typed_fp32_between_casts_and_integers_in_it_too(tmp_path):
    kind, task, scenario = CASES[2]
    names = ("inner_units_merge1", "round_inner_units_merge1", "inner_units_refine")
    write(typed_form(placed(kind, task, scenario), names), task, scenario, tmp_path / "m.onnx", {})
    model = onnx.load(tmp_path / "m.onnx")
    assert not mixed_nodes(model)
    types = types_of(model)
    single = [n for n in model.graph.node if n.op_type == "Conv" and types[n.output[0]] == TensorProto.FLOAT]
    assert len(single) == 2
    assert sum(node.op_type == "Cast" for node in model.graph.node) == 5
    TensorModel(tmp_path / "m.onnx", task.used(scenario), 1).run(raw_frames(task))


def test_a_weight_that_fp16_cannot_hold_is_refused_and_leaves_no_file(tmp_path):
    kind, task, scenario = CASES[3]
    graph = traced(kind, task, scenario)
    form = typed_form(graph)
    with torch.no_grad():
        form.get_submodule("inner.decoder.head").weight.mul_(1e9)
    with pytest.raises(InternalError, match="FP32 island"):
        write(form, task, scenario, tmp_path / "m.onnx", {})
    assert not list(tmp_path.iterdir())


def test_a_frame_or_a_file_that_does_not_fit_is_refused(files, tmp_path):
    kind, task, scenario = CASES[1]
    file = files("int8", kind, task, scenario)
    model, frames = TensorModel(file, task.used(scenario), 1), raw_frames(task)
    with pytest.raises(EngineError, match="no frame for input 'ndsm'"):
        model.run({})
    with pytest.raises(EngineError, match=r"input 'ndsm' is 32x64x1 float32; expected 64x64x1 float32"):
        model.run({"ndsm": frames["ndsm"][:32]})
    with pytest.raises(EngineError, match=r"takes \['ndsm'\]"):
        TensorModel(file, task.sensors, 1)
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    with pytest.raises(EngineError, match=r"broken\.onnx"):
        TensorModel(tmp_path / "broken.onnx", task.sensors, 1)


def test_onnx_runtime_rounds_where_its_own_fp16_kernel_cuts_off(tmp_path):
    """The reference: rounding in torch. Without the mend every integer would lie half a step lower on average."""
    kind, task, scenario = CASES[2]
    form = typed_form(placed(kind, task, scenario))
    write(form, task, scenario, tmp_path / "m.onnx", {})
    model = TensorModel(tmp_path / "m.onnx", task.used(scenario), 1)
    feed = {name: model._ready(name, raw_frames(task)) for name in model.inputs}
    (found,) = model._session.run(["logits"], feed)
    with torch.no_grad():
        expected = form(*inputs_of(task, scenario)).numpy()
    assert np.abs(found - expected).mean() < 0.004 * np.abs(expected).max()


def test_both_dialects_come_from_one_set_of_ranges():
    kind, task, scenario = CASES[2]
    graph = placed(kind, task, scenario)
    amax = {name: float(one.amax) for name, one in graph.named_modules() if hasattr(one, "amax")}
    form = typed_form(graph)
    found = {name: one for name, one in form.named_modules() if isinstance(one, SymmetricQuant)}
    assert found
    for name, one in found.items():
        largest = max(amax[other] for other in (name, *one.shared))
        assert largest / 127 <= float(one.scale) <= largest / 127 * (1 + 2**-10)


def test_what_only_the_other_dialect_rounds_is_asked_for_its_plain_form():
    class Other(QuantConvUnit):
        def __init__(self):
            nn.Module.__init__(self)

        def plain(self):
            return nn.Identity()

    assert isinstance(floating(Other()), nn.Identity)
    assert floating(nn.Linear(2, 2)) is None


@given(st.floats(1e-12, 60000))
def test_a_scale_in_half_is_never_below_and_at_most_one_number_above(scale):
    found = scale_in_half(torch.tensor([scale], dtype=torch.float32))
    value = np.float32(scale)
    assert found.half().float() == found
    assert found.item() >= value
    below = np.nextafter(np.float16(found.item()), np.float16(0))
    assert below.astype(np.float32) < value


def test_the_table_gives_every_tensor_its_format_and_why():
    kind, task, scenario = CASES[2]
    graph = placed(kind, task, scenario)
    ort, trt = (placement_table(network, name) for network, name in ((graph, "ort"), (typed_form(graph), "trt")))
    assert {row.tensor for row in trt} >= {row.tensor for row in trt if row.format == "int8"}
    assert {row.format for row in ort} == {"uint8", "int8", "fp32"}
    assert {row.format for row in trt} == {"int8", "fp16"}
    assert all(row.why and (row.scale is None) == (row.format in ("fp16", "fp32")) for row in (*ort, *trt))
    by_name = {row.tensor: row for row in trt}
    assert "one scale with" in by_name["inner_concat"].why
    assert by_name["inner_head"].why == "attention or head: floating point by policy"
    assert "16 channels" in by_name["inner_units_stem"].why or by_name["inner_units_stem"].format == "int8"


def test_the_paper_preset_becomes_fp16_too(tmp_path):
    from dis2_edge.recipe import Recipe
    from dis2_quantize.rounding import placement
    from dis2_train import networks

    network = networks.build(Recipe(preset="paper"), TWO).eval()
    graph = placement.trace(network.deployable("ndsm"))
    write(typed_form(graph), TWO, "ndsm", tmp_path / "m.onnx", {})
    assert not mixed_nodes(onnx.load(tmp_path / "m.onnx"))
