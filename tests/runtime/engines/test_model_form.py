"""Functions are taken out of a model's bytes, and nothing else; bytes that are no whole model are refused."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dis2_edge.errors import EngineError
from dis2_runtime.engines import model_form
from dis2_runtime.engines.model_form import functions_in, without_functions


def made(*functions, props=()):
    """A model that calls its functions one after the other, with weights and metadata behind them."""
    opsets = [helper.make_opsetid("", 19)]
    bodies = []
    for domain, name in functions:
        body = [helper.make_node("Relu", ["a"], ["b"], name="inner")]
        bodies.append(helper.make_function(domain, name, ["a"], ["b"], body, opsets, ["heads"]))
    nodes = [helper.make_node("Add", ["x", "w"], ["y0"])]
    for place, (domain, name) in enumerate(functions):
        nodes.append(helper.make_node(name, [f"y{place}"], [f"y{place + 1}"], domain=domain, heads=8))
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 300]) for n in ("x", f"y{len(functions)}")]
    weight = numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "graph", tensors[:1], tensors[1:], [weight])
    domains = [helper.make_opsetid(domain, 1) for domain in dict.fromkeys(domain for domain, _ in functions)]
    model = helper.make_model(graph, functions=bodies, opset_imports=[*opsets, *domains], ir_version=10)
    helper.set_model_props(model, dict(props))
    return model


BOTH = made(("dis2_edge", "FusionAttention"), ("dis2_edge", "ClasswiseAttention"), props={"dialect": "trt"})
DATA = BOTH.SerializeToString(deterministic=True)


def cleared(data):
    """What the onnx package makes of `data`, less the functions."""
    model = onnx.ModelProto.FromString(data)
    del model.functions[:]
    return model


def test_the_functions_are_named_in_the_order_of_the_file():
    assert functions_in(DATA) == ("dis2_edge::FusionAttention", "dis2_edge::ClasswiseAttention")
    assert functions_in(made(("", "Other")).SerializeToString()) == ("::Other",)
    assert functions_in(made(("größe", "Maß")).SerializeToString()) == ("größe::Maß",)
    assert functions_in(made().SerializeToString()) == ()


@pytest.mark.parametrize("model", [BOTH, made(), made(("a", "B"), props={f"k{i}": "v" * 200 for i in range(9)})])
def test_what_is_left_is_the_model_with_its_functions_cleared_byte_for_byte(model):
    data = model.SerializeToString(deterministic=True)
    found = without_functions(data)
    assert onnx.ModelProto.FromString(found) == cleared(data)
    assert found == cleared(data).SerializeToString(deterministic=True)
    assert functions_in(found) == ()
    assert without_functions(found) == found


def test_functions_are_found_wherever_they_stand():
    """Protobuf writes fields by number, but nothing says that a file must."""
    rest, function = without_functions(DATA), made(("a", "B")).functions[0].SerializeToString()
    field = b"\xca\x01" + bytes([len(function) & 127 | 128, len(function) >> 7]) + function
    moved = rest[:2] + field + rest[2:] + field
    assert len(onnx.ModelProto.FromString(moved).functions) == 2
    assert functions_in(moved) == ("a::B", "a::B")
    assert without_functions(moved) == rest


@given(st.integers(0, len(DATA) - 1))
def test_a_model_cut_short_is_refused_or_ends_between_two_fields(length):
    """Between two fields a shorter model ends as well: only the bundle's hashes tell."""
    try:
        found = without_functions(DATA[:length])
    except EngineError:
        return
    assert onnx.ModelProto.FromString(found) == cleared(DATA[:length])
    assert DATA[length] in (0x42, 0x72, 0xCA)  # the next one is an opset, metadata or a function


def test_a_model_cut_within_a_field_is_refused():
    graph_end = DATA.index(b"graph") + 5
    for length in (0, 1, 3, graph_end, len(DATA) - 1):
        with pytest.raises(EngineError, match="is damaged"):
            functions_in(DATA[:length])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(EngineError, match=r"is damaged.*expected the bytes of one whole ONNX file"):
        without_functions(data)


@given(st.lists(st.integers(0, 8 * len(DATA) - 1), min_size=1, max_size=4))
def test_flipped_bits_are_refused_or_read_as_onnx_reads_them(bits):
    data = bytearray(DATA)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    try:
        found = without_functions(bytes(data))
        names = functions_in(bytes(data))
    except EngineError:
        return
    try:
        expected = onnx.ModelProto.FromString(bytes(data))
    except Exception:
        return  # what lies within the graph is the engine's to refuse
    assert names == tuple(f"{one.domain}::{one.name}" for one in expected.functions)
    del expected.functions[:]
    assert onnx.ModelProto.FromString(found).SerializeToString() == expected.SerializeToString()


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (DATA + DATA[:2], "field 1 is there twice"),
        (DATA[2:], "field 1 is absent"),
        (DATA + b"\xd2\x01\x00", "field 26 of kind 2"),
        (DATA + b"\x3b", "field 7 of kind 3"),
        (DATA + b"\x08", "no whole number"),
        (DATA + b"\x72\xff", "no whole number"),
        (DATA + b"\x72\x05abc", "it ends within field 14"),
        (DATA + b"\x72" + b"\xff" * 9 + b"\x02", "no whole number"),
        (DATA + b"\xff" * 11, "no whole number"),
        (DATA + b"\xca\x01\x00", "a function has no name"),
        (DATA + b"\xca\x01\x03\x0a\x01\xff", "a function's name is no text"),
        (DATA + b"\xca\x01\x03\x0a\x05x", "it ends within field 1"),
        (DATA + b"\xca\x01\x02\x08\x01", "field 1 of kind 0"),
    ],
)
def test_each_damage_is_told(spoilt, told):
    for read in (without_functions, functions_in):
        with pytest.raises(EngineError, match=told):
            read(spoilt)


def test_neither_onnx_nor_numpy_is_needed():
    code = (
        "import runpy, sys\n"
        f"names = runpy.run_path({model_form.__file__!r})['functions_in']({DATA!r})\n"
        "print(len(names), *sorted({'onnx', 'google.protobuf', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
