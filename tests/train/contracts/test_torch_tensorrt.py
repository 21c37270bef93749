"""Our call of torch-tensorrt against the source of the pinned wheel: every word that we say is one that it knows."""

import ast
import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from fake_torch_tensorrt import COMPILER, WRITTEN_DOWN, Fake
from make_torch_tensorrt import MAKE, pinned, wheel
from wheel_source import constants, function, imported, source

from dis2_edge.errors import EngineError, MissingExtraError
from dis2_train.segmenters import tensorrt

needs_wheel = pytest.mark.skipif(wheel() is None, reason=f"no wheel of torch-tensorrt to read; fetch it: {MAKE}")


@pytest.fixture
def told():
    return function(wheel(), COMPILER, "compile")


@needs_wheel
def test_every_word_of_our_call_is_a_parameter_and_none_is_deprecated(told):
    call = _our_call()
    assert len(call.args) == 1
    names = [keyword.arg for keyword in call.keywords]
    bound = told.signature.bind("program", **dict.fromkeys(names))
    assert set(bound.arguments) == {"exported_program", *names}
    assert not told.deprecated & set(names)
    assert tuple(bound.arguments) == WRITTEN_DOWN  # what the fake goes by where there is no wheel


@needs_wheel
def test_the_reader_sees_what_is_deprecated_and_what_is_swallowed(told):
    assert {"use_python_runtime", "debug", "refit", "make_refittable"} <= told.deprecated
    with pytest.raises(TypeError, match="enabled_precisions"):  # gone in TensorRT 11: the real one says nothing
        told.signature.bind("program", enabled_precisions={torch.float16})
    assert "min_block_size" in told.signature.parameters


@needs_wheel
def test_the_names_that_we_reach_for_are_there():
    assert "compile" in imported(source(wheel(), "dynamo/__init__.py"))
    assert "dynamo" in imported(source(wheel(), "__init__.py"))
    runtime = imported(source(wheel(), "dynamo/runtime/__init__.py"))
    assert "TorchTensorRTModule" in runtime
    bases = {
        ast.unparse(base)
        for node in source(wheel(), "dynamo/runtime/_TorchTensorRTModule.py").body
        if isinstance(node, ast.ClassDef) and node.name == "TorchTensorRTModule"
        for base in node.bases
    }
    assert bases == {"torch.nn.Module"}  # so that modules() finds it


@needs_wheel
def test_it_is_the_pinned_version_and_types_are_strong():
    told = constants(source(wheel(), "_version.py"))
    assert told["__version__"] == pinned()
    assert int(str(told["__tensorrt_version__"]).split(".")[0]) >= 11  # FP16 by the types of the graph, not by a flag
    defaults = constants(source(wheel(), "dynamo/_defaults.py"))
    assert (defaults["ATTN_BIAS_IS_CAUSAL"], defaults["ENABLE_AUTOCAST"], defaults["DISABLE_TF32"]) == (
        True,
        False,
        False,
    )


class Small(nn.Module):
    """Two tensors in, logits out."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, first, second):
        return self.conv(first) + second


INPUTS = (torch.randn(1, 3, 8, 8), torch.randn(1, 1, 8, 8))


@pytest.fixture
def use(monkeypatch):
    def put(fake):
        monkeypatch.setitem(sys.modules, "torch_tensorrt", fake)
        return fake

    return put


@pytest.mark.parametrize("tupled", [False, True])
def test_what_is_compiled_answers_as_the_module_does(use, tupled):
    fake, module = use(Fake(tupled=tupled, parts=2, left=3)), Small()
    found = tensorrt.compile_module(module, INPUTS, False, "scenario 'a'")
    assert (found.engines, found.left) == (2, 3)
    with torch.no_grad():
        assert torch.equal(tensorrt.answer_of(found, INPUTS, "x"), module(*INPUTS))
    assert [tuple(given.shape) for given in fake.calls[0]["arg_inputs"]] == [(1, 3, 8, 8), (1, 1, 8, 8)]
    assert set(fake.calls[0]) == set(WRITTEN_DOWN)


def test_half_is_in_the_graph_and_leaves_the_network_alone(use):
    use(Fake())
    module = Small().train()
    found = tensorrt.compile_module(module, INPUTS, True, "scenario 'a'")
    answer = tensorrt.answer_of(found, [tensor.half() for tensor in INPUTS], "x")
    assert answer.dtype == torch.float16
    with torch.no_grad():
        assert torch.allclose(answer.float(), module(*INPUTS), atol=0.02)
    assert module.conv.weight.dtype == torch.float32
    assert module.conv.weight.requires_grad
    assert module.training


def test_a_network_of_which_nothing_was_compiled_is_refused(use):
    use(Fake(parts=0))
    with pytest.raises(EngineError, match=r"built no engine of scenario 'a': it left all 2 operations to torch"):
        tensorrt.compile_module(Small(), INPUTS, False, "scenario 'a'")


@pytest.mark.parametrize(("side", "up"), [(8, False), (7, True)])
def test_a_pool_rounds_down_where_that_is_the_same(side, up):
    pool = nn.AvgPool2d(2, ceil_mode=True)
    tensor = torch.randn(1, 1, side, side)
    program = tensorrt._floored(torch.export.export(pool, (tensor,)))
    (node,) = program.graph.find_nodes(op="call_function", target=torch.ops.aten.avg_pool2d.default)
    assert (len(node.args) > 4 and node.args[4]) is up
    assert torch.equal(program.module()(tensor), pool(tensor))


def test_pools_of_any_form_are_left_as_they_compute():
    for pool in (
        nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
        nn.AvgPool2d((2, 4), ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2),
        nn.AvgPool2d(2, ceil_mode=True, divisor_override=3),
    ):
        for side in (7, 8, 9):
            tensor = torch.randn(1, 1, side, side)
            program = tensorrt._floored(torch.export.export(pool, (tensor,)))
            assert torch.equal(program.module()(tensor), pool(tensor))


def test_what_it_says_while_compiling_and_running_is_told(use):
    fake = use(Fake())
    fake.dynamo.compile = _raising(AssertionError("\n\nno converter for aten::x\nmore"))
    with pytest.raises(EngineError, match=r"cannot compile scenario 'a': AssertionError: no converter for aten::x;"):
        tensorrt.compile_module(Small(), INPUTS, False, "scenario 'a'")
    broken = tensorrt.Compiled(Small(), 1, 0)
    broken.module.forward = _raising(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(EngineError, match=r"failed in scenario 'a': OutOfMemoryError: CUDA out of memory"):
        tensorrt.answer_of(broken, INPUTS, "scenario 'a'")


def test_a_network_that_cannot_be_exported_is_told_by_its_scenario(use):
    use(Fake())
    module = Small()
    module.forward = lambda first, second: first if first.sum() > 0 else second
    with pytest.raises(EngineError, match="cannot compile scenario 'a': "):
        tensorrt.compile_module(module, INPUTS, False, "scenario 'a'")


def test_absent_is_a_missing_extra_and_broken_is_told_apart(use, monkeypatch):
    use(None)
    with pytest.raises(MissingExtraError, match=r"'torch-tensorrt' is not installed; pip install 'dis2-edge\[tensorr"):
        tensorrt.library()
    for error in (
        Exception("import error when try to import _TensorRTProxyModule, got error libnvinfer.so.11"),
        OSError("libcudart.so.13: cannot open shared object file"),
        ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt"),
    ):
        monkeypatch.setattr(importlib, "import_module", _raising(error))
        with pytest.raises(EngineError, match=r"is installed but does not load: .*(nvinfer|cudart|tensorrt)"):
            tensorrt.library()


def test_a_gpu_is_asked_for(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EngineError, match="no CUDA device here; expected an NVIDIA GPU"):
        tensorrt.gpu()


def _raising(error):
    def call(*words, **named):
        raise error

    return call


def _our_call():
    """The call of trt.dynamo.compile in our source."""
    tree = ast.parse(Path(tensorrt.__file__).read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (found,) = (node for node in calls if ast.unparse(node.func) == "trt.dynamo.compile")
    return found
