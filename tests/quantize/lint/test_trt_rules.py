"""Rules of the trt dialect: a lawful file is clean, and each fault that is planted in it is found by its rule alone."""

import json

import numpy as np
import onnx
import pytest
from lawful import insert, lawful, node, prop, q, weight
from onnx import TensorProto, helper

from dis2_boards.profile import load
from dis2_edge.errors import BoardError
from dis2_quantize.lint.check import check
from dis2_quantize.lint.table import RULES
from dis2_quantize.lint.tensorrt import known_to

ORIN = load("orin-nx-16gb")
H, U8 = TensorProto.FLOAT16, TensorProto.UINT8


# --- the faults; each takes the lawful model and spoils it ---


def newer_ir(model):
    model.ir_version = 11


def newer_opset(model):
    model.opset_import[0].version = 21


def no_recipe_hash(model):
    prop(model, "recipe_hash", "")


def broken_classes(model):
    prop(model, "classes", "road, roof")


def other_input(model):
    model.graph.input[0].name = node(model, "stem").input[0] = "camera"


def other_sensors(model):
    prop(model, "sensors", json.dumps([{"name": "ndsm"}]))


def other_output(model):
    model.graph.output[0].name = node(model, "head").output[0] = "scores"


def free_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def data_dependent(model):
    insert(model, "head", helper.make_node("NonZero", ["soft"], ["places"], name="odd"))


def too_old(model):
    """FP16 scales came with opset 19."""
    model.opset_import[0].version = 18


def foreign(model):
    model.opset_import.append(helper.make_opsetid("elsewhere", 1))
    insert(model, "head", helper.make_node("Strange", ["soft"], ["more"], name="odd", domain="elsewhere"))


def outside(model):
    weight(model, "more", np.zeros(5000, np.float16))
    tensor = model.graph.initializer[-1]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")


def unknown_operator(model):
    insert(model, "head", helper.make_node("Bernoulli", ["soft"], ["more"], name="odd"))


def two_reals(model):
    weight(model, "half", np.float32(0.5))
    insert(model, "head", helper.make_node("Mul", ["soft", "half"], ["more"], name="odd"))


def a_double(model):
    insert(model, "head", helper.make_node("Cast", ["soft"], ["more"], name="odd", to=TensorProto.DOUBLE))


def index_arithmetic(model):
    weight(model, "one", np.array([1]))
    argmax = helper.make_node("ArgMax", ["soft"], ["best"], axis=1)
    insert(model, "head", argmax, helper.make_node("Add", ["best", "one"], ["more"], name="odd"))


def byte_input(model):
    model.graph.input[0].type.tensor_type.elem_type = U8
    node(model, "stem").input[0] = "rgb_real"
    insert(model, "stem", helper.make_node("Cast", ["rgb"], ["rgb_real"], to=H))


def zero_points(model):
    weight(model, "z", np.int8(3))


def weight_zero_point(model):
    weight(model, "conv_z", np.array([0] * 15 + [2], np.int8))


def unsigned(model):
    weight(model, "zu", np.uint8(0))
    node(model, "q_c").input[2] = node(model, "dq_c").input[2] = "zu"


def left_out(model):
    """Without a zero-point Q makes uint8."""
    del node(model, "q_c").input[2], node(model, "dq_c").input[2]


def wrong_axis(model):
    node(model, "dq_conv_w").attribute[0].i = 1


def wrong_axis_up(model):
    weight(model, "up_s", np.full(32, 0.1, np.float16))
    node(model, "dq_up_w").attribute[0].i = 0


def one_weight_scale(model):
    weight(model, "conv_s", np.float16(0.1))
    weight(model, "conv_z", np.int8(0))


def activation_scales(model):
    weight(model, "many", np.full(32, 0.1, np.float16))
    weight(model, "zs", np.zeros(32, np.int8))
    for name in ("q_c", "dq_c"):
        node(model, name).input[1:] = ["many", "zs"]


def two_scales(model):
    for name in ("q_b", "dq_b"):
        node(model, name).input[1] = "s2"


def half_concat(model):
    node(model, "both").input[1] = "relu"


def float_residual(model):
    node(model, "sum").input[1] = "stem"


def rounded_softmax(model):
    node(model, "head").input[0] = "d"
    insert(model, "head", *q("soft", "d"))


def rounded_norm(model):
    weight(model, "gain", np.ones(8, np.float16))
    norm = helper.make_node("LayerNormalization", ["b", "gain"], ["normed"], name="odd")
    insert(model, "head", norm, *q("normed", "d"))


def rounded_choice(model):
    weight(model, "even", np.arange(8) % 2 == 0)
    insert(model, "both", helper.make_node("Where", ["even", "a", "b"], ["mix"], name="odd"), *q("mix", "mixed"))
    node(model, "both").input[1] = "mixed"


def read_as_integers(model):
    insert(model, "head", helper.make_node("Cast", ["c_q"], ["more"], name="odd", to=H))


def never_read(model):
    insert(model, "head", q("soft_", "d")[0])
    insert(model, "q_d", helper.make_node("Relu", ["up"], ["soft_"]))


def narrow(model):
    """The stem in integers."""
    weight(model, "stem_w", np.ones((16, 3, 3, 3), np.int8))
    node(model, "stem").input[:] = ["rgb_f", "stem_wf"]
    scales = helper.make_node("DequantizeLinear", ["stem_w", "conv_s"], ["stem_wf"], axis=0)
    insert(model, "stem", *q("rgb", "rgb_f"), scales)


FAULTS = {
    "ir-version": [newer_ir],
    "opset": [newer_opset],
    "metadata": [no_recipe_hash, broken_classes],
    "input-names": [other_input, other_sensors],
    "output-names": [other_output],
    "static-shapes": [free_batch, data_dependent],
    "inference": [too_old],
    "custom-domain": [foreign],
    "whole-file": [outside],
    "trt-operator": [unknown_operator],
    "mixed-types": [two_reals],
    "double": [a_double],
    "int64": [index_arithmetic],
    "input-types": [byte_input],
    "zero-point": [zero_points, weight_zero_point],
    "int8": [unsigned, left_out],
    "weight-axis": [wrong_axis, wrong_axis_up],
    "weight-scales": [one_weight_scale],
    "activation-scale": [activation_scales],
    "concat-scale": [two_scales, half_concat],
    "residual": [float_residual],
    "floats-only": [rounded_softmax, rounded_norm],
    "no-int8": [rounded_choice],
    "lone-quantize": [read_as_integers, never_read],
    "few-channels": [narrow],
}


def test_a_lawful_file_is_clean():
    model = lawful()
    onnx.checker.check_model(model, full_check=True)
    assert check(model, ORIN) == []


@pytest.mark.parametrize(("rule", "spoil"), [(rule, spoil) for rule, list_ in FAULTS.items() for spoil in list_])
def test_a_planted_fault_is_found_by_its_rule_alone(rule, spoil):
    model = lawful()
    helper.set_model_props(model, {**{entry.key: entry.value for entry in model.metadata_props}, "dialect": "trt"})
    spoil(model)
    found = check(model, ORIN)
    assert {finding.rule for finding in found} == {rule}
    (row,) = [row for row in RULES if row.name == rule]
    assert all((finding.severity, finding.mend) == (row.severity, row.mend) for finding in found)
    assert all(finding.found for finding in found)


def test_findings_name_the_node_and_what_is_there():
    model = lawful()
    wrong_axis(model)
    (finding,) = check(model, ORIN)
    assert (finding.node, finding.found) == ("dq_conv_w", "16 scales along axis 1 of the weights of conv")
    model = lawful()
    unknown_operator(model)
    assert "TensorRT 10.3 (JetPack 6.2) and 10.16 (JetPack 7.2)" in check(model, ORIN)[0].found


def test_every_rule_of_the_trt_dialect_has_a_planted_fault():
    assert {rule.name for rule in RULES if "trt" in rule.dialects} == {*FAULTS, "dialect"}


def test_errors_come_first():
    model = lawful()
    for spoil in (index_arithmetic, zero_points):
        spoil(model)
    kinds = [finding.severity for finding in check(model, ORIN)]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"error", "warning"}


def test_the_table_of_operators_knows_what_each_version_added():
    assert "LayerNormalization" in known_to("10.3")
    assert "Attention" not in known_to("10.3")
    assert "Attention" in known_to("10.16")
    assert "QLinearConv" not in known_to("10.16.2")
    with pytest.raises(BoardError, match=r"no table of operators for TensorRT 8.5; expected 10.3 or newer"):
        known_to("8.5")


def test_functions_are_looked_into():
    body = [helper.make_node("Bernoulli", ["a"], ["b"], name="inner")]
    model = lawful()
    model.functions.append(helper.make_function("dis2_edge", "Weigh", ["a"], ["b"], body, model.opset_import))
    model.opset_import.append(helper.make_opsetid("dis2_edge", 1))
    insert(model, "head", helper.make_node("Weigh", ["soft"], ["more"], name="weigh", domain="dis2_edge"))
    assert {finding.rule for finding in check(model, ORIN)} == {"trt-operator"}
