"""Both attentions as ONNX functions: bodies answer what torch answers, in any float type, and files with them hold."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, inliner
from torch import nn
from typed_graphs import CASES, graph_of, inputs_of, traced
from typed_walk import mixed_nodes, types_of

from dis2_boards.profile import load
from dis2_edge.errors import InternalError
from dis2_quantize.judging.halves import single_form
from dis2_quantize.lint.check import check
from dis2_quantize.lint.tensorrt import known_to
from dis2_quantize.rounding.floating import PlainAttention
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.writing import export, trt
from dis2_quantize.writing.fold import fold_constants
from dis2_quantize.writing.functions import append_functions, calls, declare_answers, functions
from dis2_runtime.engines.model_form import functions_in, without_functions
from dis2_train.networks.blocks import SelfAttention
from dis2_train.networks.dis2.classwise import ClasswiseAttention

FUSIONS = [(1, 1, 1, 32, 1), (1, 1, 5, 64, 2), (1, 7, 1, 96, 3), (2, 33, 17, 256, 8), (1, 130, 131, 8, 8)]
CLASSES = [(1, 256, 1, 1, 5), (1, 3, 5, 7, 1), (2, 64, 3, 9, 4), (1, 33, 32, 31, 5)]


def called(kind, answer, inputs, element=TensorProto.FLOAT, **attributes):
    """A model that calls one function on inputs {name: shape}, as the dialect's files do."""
    node = helper.make_node(kind, list(inputs), ["y"], name="call", domain="dis2_edge", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", element, answer)],
    )
    opsets = [helper.make_opsetid("", trt.OPSET), helper.make_opsetid("dis2_edge", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    append_functions(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def fusion(b, n, m, d, heads, element=TensorProto.FLOAT):
    sizes = {"q": [b, n, d], "k": [b, m, d], "v": [b, m, d]}
    return called("FusionAttention", [b, n, d], sizes, element, heads=heads)


def classwise(b, c, h, w, k, element=TensorProto.FLOAT):
    return called("ClasswiseAttention", [b * k, c, h, w], {"f4": [b, c, h, w], "queries": [k, c]}, element)


def numbers(*shapes):
    random = torch.Generator().manual_seed(3)
    return [2 * torch.randn(*shape, generator=random) for shape in shapes]


def answer_of(model, *inputs):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, {name: x.detach().numpy() for name, x in zip(names, inputs, strict=True)})[0]


def classes_with(queries):
    module = ClasswiseAttention(*queries.shape)
    module.queries = nn.Parameter(queries)
    return module


@pytest.mark.parametrize(("b", "n", "m", "d", "heads"), FUSIONS)
def test_fusion_attention_answers_what_torch_answers(b, n, m, d, heads):
    q, k, v = numbers((b, n, d), (b, m, d), (b, m, d))
    found = answer_of(fusion(b, n, m, d, heads), q, k, v)
    np.testing.assert_allclose(found, SelfAttention(heads)(q, k, v).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("b", "c", "h", "w", "k"), CLASSES)
def test_classwise_attention_answers_what_torch_answers(b, c, h, w, k):
    f4, queries = numbers((b, c, h, w), (k, c))
    queries /= 2 * c**0.5  # as they are initialised: scores of about one
    with torch.no_grad():
        expected = classes_with(queries)(f4).numpy()
    found = answer_of(classwise(b, c, h, w, k), f4, queries)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model", [fusion(2, 9, 5, 64, 2, TensorProto.FLOAT16), classwise(1, 8, 3, 5, 2, TensorProto.FLOAT16)]
)
def test_a_body_in_fp16_computes_in_fp16_alone(model):
    assert not mixed_nodes(model)
    body = inliner.inline_local_functions(model)
    types = types_of(body)
    single = [node.op_type for node in body.graph.node if TensorProto.FLOAT in {types[name] for name in node.output}]
    assert set(single) == {"Cast", "Sqrt", "Reciprocal"}  # computed of sizes alone, then cast
    makers = {name: node.op_type for node in body.graph.node for name in node.output}
    assert {makers[node.input[0]] for node in body.graph.node if node.op_type == "Cast"} == {"Shape"}


def computing(model):
    """The operators that compute with floats, in order; sizes and moves left out."""
    kinds = ("Mul", "Div", "Add", "Sub", "MatMul", "Softmax", "Exp", "ReduceSum", "ReduceMax", "Einsum", "Sqrt", "Pow")
    sizes = {name for node in model.graph.node if node.op_type == "Cast" for name in node.output}
    return [node.op_type for node in model.graph.node if node.op_type in kinds and not sizes & set(node.input)]


@pytest.mark.parametrize(
    ("module", "shapes", "model"),
    [
        (PlainAttention(2), [(1, 9, 64), (1, 5, 64), (1, 5, 64)], fusion(1, 9, 5, 64, 2)),
        (ClasswiseAttention(2, 8), [(1, 8, 3, 5)], classwise(1, 8, 3, 5, 2)),
    ],
)
def test_a_body_computes_in_the_order_of_the_form_whose_simulation_is_judged(module, shapes, model):
    inputs = tuple(numbers(*shapes))
    names = [f"x{place}" for place in range(len(shapes))]
    spelt_out = export.traced(module, inputs, names, ["y"], trt.OPSET)
    fold_constants(spelt_out)
    assert computing(inliner.inline_local_functions(model)) == computing(spelt_out)


@pytest.mark.parametrize("size", [1, 3, 8, 24, 32, 48, 64, 96, 256])
def test_the_scale_in_half_is_that_of_the_simulation(size):
    """Keys are one unit vector, so that a score is the scale times what was asked."""
    q, v = torch.zeros(1, 1, size), torch.zeros(1, 2, size)
    q[0, 0, 0], v[0, 0] = 1, 1
    k = torch.zeros(1, 2, size)
    k[0, 0, 0] = 1
    body = inliner.inline_local_functions(fusion(1, 1, 2, size, 1, TensorProto.FLOAT16))
    (scale,) = (node.output[0] for node in body.graph.node if node.op_type == "CastLike")
    body.graph.output.append(helper.make_tensor_value_info(scale, TensorProto.FLOAT16, [1]))
    session = ort.InferenceSession(body.SerializeToString(), providers=["CPUExecutionProvider"])
    _, found = session.run(None, {n: x.numpy().astype(np.float16) for n, x in (("q", q), ("k", k), ("v", v))})
    assert found.item() == torch.tensor(size**-0.5).half().item()


def test_a_body_holds_what_every_parser_knows_and_no_name_of_a_graph(tmp_path):
    kind, task, scenario = CASES[0]
    trt.write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    graph = onnx.load(tmp_path / "m.onnx").graph
    outside = {name for node in graph.node for name in (*node.input, *node.output)} | {
        t.name for t in graph.initializer
    }
    for function in functions(trt.OPSET):
        assert {node.op_type for node in function.node} <= known_to("10.3")
        assert all(node.domain == "" for node in function.node)
        inside = {name for node in function.node for name in (*node.input, *node.output)}
        assert {*function.input, *function.output} <= inside
        assert not inside & outside


def test_nan_in_a_map_answers_nan_and_no_number():
    f4, queries = numbers((1, 4, 3, 3), (2, 4))
    f4[0, 1, 1, 1] = float("nan")
    found = answer_of(classwise(1, 4, 3, 3, 2), f4, queries)
    assert np.isnan(found).all()


@pytest.fixture
def spelt_out(monkeypatch):
    """Writes a form as a file without functions, as if no operator of ours existed."""

    def write(*given):
        with monkeypatch.context() as patch:
            patch.setattr(trt, "with_calls", lambda form: form)
            trt.write(*given)

    return write


@pytest.mark.parametrize("form_of", [single_form, typed_form], ids=["fp32", "fp16"])
@pytest.mark.parametrize(("kind", "task", "scenario"), CASES[:2])
def test_a_whole_file_answers_as_if_attention_were_spelt_out(tmp_path, spelt_out, kind, task, scenario, form_of):
    form = form_of(traced(kind, task, scenario))
    trt.write(form, task, scenario, tmp_path / "called.onnx", {})
    spelt_out(form, task, scenario, tmp_path / "plain.onnx", {})
    called, plain = (onnx.load(tmp_path / name) for name in ("called.onnx", "plain.onnx"))
    assert [len(model.functions) for model in (called, plain)] == [2, 0]
    inputs = inputs_of(task, scenario)
    found, expected = answer_of(called, *inputs), answer_of(plain, *inputs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    if form_of is single_form:
        np.testing.assert_allclose(found, form(*inputs).detach().numpy(), rtol=0, atol=1e-5)


def test_calls_say_what_they_answer_and_the_lint_finds_nothing(tmp_path):
    kind, task, scenario = CASES[0]
    for precision in ("fp16", "int8"):
        given = {"recipe_hash": "abc"}
        trt.write(typed_form(graph_of(precision, kind, task, scenario)), task, scenario, tmp_path / "m.onnx", given)
        model = onnx.load(tmp_path / "m.onnx")
        assert [node.op_type for node in calls(model)] == ["FusionAttention"] * 2 + ["ClasswiseAttention"]
        assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 19), ("dis2_edge", 1)}
        told = {value.name: value.type.tensor_type for value in model.graph.value_info}
        assert set(told) == {node.output[0] for node in calls(model)}
        assert {value.elem_type for value in told.values()} == {TensorProto.FLOAT16}
        shapes = [tuple(size.dim_value for size in value.shape.dim) for value in told.values()]
        assert shapes == [(1, 34, 64), (1, 34, 64), (3, 64, 4, 4)]
        assert check(model, load("orin-nx-16gb")) == []
        del model.functions[:]
        assert {(row.rule, row.severity) for row in check(model, load("orin-nx-16gb"))} == {("custom-domain", "error")}


def test_the_plugin_form_is_the_same_file_less_its_bodies_and_needs_a_kernel(tmp_path):
    kind, task, scenario = CASES[0]
    trt.write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    data = (tmp_path / "m.onnx").read_bytes()
    assert functions_in(data) == ("dis2_edge::FusionAttention", "dis2_edge::ClasswiseAttention")
    model = onnx.load(tmp_path / "m.onnx")
    del model.functions[:]
    found = without_functions(data)
    assert found == model.SerializeToString(deterministic=True)
    assert onnx.load_from_string(found) == model
    with pytest.raises(Exception, match="dis2_edge"):  # ONNX Runtime's own kind of failure
        ort.InferenceSession(found, providers=["CPUExecutionProvider"])


def test_a_file_without_attention_knows_no_domain_of_ours(tmp_path):
    kind, task, scenario = CASES[2]
    trt.write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    model = onnx.load(tmp_path / "m.onnx")
    assert not model.functions
    assert [entry.domain for entry in model.opset_import] == [""]


@pytest.mark.parametrize("island", ["FusionAttention", "ClasswiseAttention"])
def test_attention_in_an_fp32_island_computes_in_fp32_by_the_same_body(tmp_path, island):
    kind, task, scenario = CASES[0]
    graph = traced(kind, task, scenario)
    place = {"FusionAttention": "fusion_attention", "ClasswiseAttention": "decoder_attention"}[island]
    (name,) = [node.name for node in graph.graph.nodes if node.name.endswith(place)]
    trt.write(typed_form(graph, [name]), task, scenario, tmp_path / "m.onnx", {})
    model = onnx.load(tmp_path / "m.onnx")
    assert not mixed_nodes(model)
    types = types_of(model)
    kinds = {node.op_type: types[node.output[0]] for node in calls(model)}
    other = {"FusionAttention": TensorProto.FLOAT16, "ClasswiseAttention": TensorProto.FLOAT16}
    assert kinds == {**other, island: TensorProto.FLOAT}
    onnx.checker.check_model(model, full_check=True)


def test_more_positions_than_fp16_counts_are_refused():
    for element, refused in ((TensorProto.FLOAT, False), (TensorProto.FLOAT16, True)):
        model = classwise(1, 1, 256, 256, 1, element)
        if refused:
            with pytest.raises(InternalError, match="65536 positions; it must be an FP32 island"):
                declare_answers(model)
        else:
            declare_answers(model)
