"""Rules of the ort dialect: what our exporter writes is clean, and broken integer chains are found."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper
from small import ONE, THREE, TWO
from written import exported, model_of

from dis2_boards.profile import load
from dis2_quantize.lint.check import check
from dis2_quantize.lint.table import RULES

HOST, ORIN = load("host"), load("orin-nx-16gb")
F, U8 = TensorProto.FLOAT, TensorProto.UINT8
PROPS = {"scenario": "x", "classes": "[]", "colours": "[]", "ignore": "255", "recipe_hash": "abc"}
S, Z = np.float32(0.05), np.uint8(128)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("kind", "task", "scenario"),
    [("dis2", TWO, "rgb+ndsm"), ("early_fusion", THREE, "rgb+thermal"), ("single", ONE, "ndsm")],
)
def test_what_our_exporter_writes_is_clean(lived_in, tmp_path, kind, task, scenario, precision):
    assert check(exported(lived_in(kind, task), task, scenario, precision, tmp_path / "m.onnx"), HOST) == []


def block(kind="Conv", tail=True, **attributes):
    """Two convolutions in integers with `kind` between them: as a file of io frame, less its meaning."""
    constants = {"s": S, "s2": np.float32(0.07), "z": Z, "w": np.ones((4, 4, 1, 1), np.int8), "zw": np.int8(0)}

    def rounding(made, name, scale="s"):
        return [
            helper.make_node("QuantizeLinear", [made, scale, "z"], [f"{name}_q"]),
            helper.make_node("DequantizeLinear", [f"{name}_q", scale, "z"], [name]),
        ]

    middle = ["b", "wd"] if "Conv" in kind else ["b"]
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["xt", "axis"], ["x4"]),
        *rounding("x4", "a"),
        helper.make_node("DequantizeLinear", ["w", "s", "zw"], ["wd"]),
        helper.make_node("Conv", ["a", "wd"], ["first"], name="first"),
        *rounding("first", "b"),
        helper.make_node(kind, middle, ["mid"], name="middle", **attributes),
        *(rounding("mid", "c", "s2") if tail else [helper.make_node("Identity", ["mid"], ["c"])]),
        helper.make_node("ArgMax", ["c"], ["best"], axis=1, keepdims=0),
        helper.make_node("Squeeze", ["best", "axis"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["mask"], to=U8),
        helper.make_node("Cast", ["flat"], ["confidence"], to=U8),
    ]
    constants["axis"] = np.array([0])
    model = model_of(nodes, {"x": (F, [8, 8, 4])}, constants, ("mask", "confidence"))
    helper.set_model_props(model, {**PROPS, "sensors": json.dumps([{"name": "x"}])})
    return model


def rules_of(model, board=HOST):
    return {finding.rule for finding in check(model, board)}


def test_a_whole_chain_is_clean():
    assert rules_of(block()) == set()


def test_a_convolution_without_an_integer_kernel_is_named():
    (finding,) = check(block("ConvTranspose"), HOST)
    assert (finding.rule, finding.severity, finding.node) == ("ort-fuses", "error", "middle")


def test_an_operator_left_in_floats_between_convolutions_is_a_warning():
    (finding,) = check(block("MaxPool", kernel_shape=[2, 2]), HOST)  # its scale changes, so it is no mere move
    assert (finding.rule, finding.severity, finding.node) == ("ort-floats", "warning", "middle")


def test_operands_rounded_for_nothing_are_a_warning():
    (finding,) = check(block(tail=False), HOST)
    assert (finding.rule, finding.severity, finding.node) == ("ort-unrounded", "warning", "middle")


def test_what_onnx_runtime_refuses_is_an_error_in_its_words():
    node = helper.make_node("Nothing", ["c"], ["more"], name="odd", domain="com.microsoft")
    model = block()
    model.graph.node.insert(len(model.graph.node) - 4, node)
    (finding,) = check(model, HOST)
    assert finding.rule == "ort-loads"
    assert "Nothing" in finding.found


def test_the_wrong_dialect_is_said_first_and_once(lived_in, tmp_path):
    model = exported(lived_in("early_fusion", TWO), TWO, "rgb", "int8", tmp_path / "m.onnx")
    found = check(model, ORIN)
    assert (found[0].rule, found[0].severity) == ("dialect", "error")
    assert "holds ONNX Runtime's own operators" in found[0].found
    assert {finding.rule for finding in found} == {"dialect", "output-names", "custom-domain"}


def test_half_precision_is_for_the_other_board():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (TensorProto.FLOAT16, [2])})
    assert "FP16" in check(model, HOST)[0].found


def test_a_plain_file_has_no_dialect():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, [2])})
    assert "dialect" not in rules_of(model, HOST) | rules_of(model, ORIN)


def test_every_rule_says_what_it_looks_at_and_has_a_name_of_its_own():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.looks_at and rule.mend for rule in RULES)
