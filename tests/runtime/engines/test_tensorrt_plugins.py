"""Both forms of a file, at every version: the body, or our plug-in; the faster right one flies, never a wrong one."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bench import Bench, right
from trt_bundle import HEADS, make_trt, tensor_model

from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device
from dis2_runtime.engines.tensorrt import builder, choosing, plugins
from dis2_runtime.engines.tensorrt.builder import Options
from dis2_runtime.engines.tensorrt.model import Loaded
from dis2_runtime.engines.tensorrt.plugins import classic, operators
from dis2_runtime.engines.tensorrt.plugins.form import own_operators, plugin_form
from dis2_runtime.engines.tensorrt.plugins.launches import launch_of
from dis2_runtime.engines.tensorrt.plugins.operators import OPERATORS, Call, Operator, Work
from dis2_runtime.kernels.classwise_attention import maps_of
from tests.runtime.kernels.shim.building import compiler
from tests.runtime.pretend.host_gpu import view
from tests.runtime.pretend.tensorrt_api import ALL

ORIN = Device("Orin", (8, 7), 8, 1 << 33, 12060, True)
HALF = np.dtype(np.float16)


class At:
    """Stands for `Joined`: on this computer one stream is as good as another."""

    def __init__(self, driver: Any) -> None:
        self._stream = driver.stream()

    def on(self, handle: int) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext(self._stream)

    def free(self) -> None: ...


@pytest.fixture(autouse=True)
def _one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "Joined", At)


def attention(wrong: float = 0.0) -> Operator:
    """FusionAttention whose kernel is NumPy on the addresses; `wrong` is added to what it gives."""

    def ready(driver: Any, module: Any, call: Call) -> Work:
        def launch(stream: Any, inputs: Any, out: int, workspace: int) -> None:
            q, k, v = (view(at, shape, call.dtype) for at, shape in zip(inputs, call.shapes, strict=True))
            heads = dict(call.attributes)["heads"]
            split = [np.stack(np.split(one.astype(np.float64), heads, axis=2)) for one in (q, k, v)]
            scores = split[0] @ split[1].swapaxes(2, 3) / np.sqrt(split[0].shape[3])
            weights = np.exp(scores - scores.max(axis=3, keepdims=True))
            found = weights / weights.sum(axis=3, keepdims=True) @ split[2]
            view(out, call.shapes[0], call.dtype)[...] = np.concatenate(list(found), axis=2) + wrong

        return Work(launch)

    return dataclasses.replace(OPERATORS["FusionAttention"], source="decide", ready=ready)


def use(monkeypatch: pytest.MonkeyPatch, operator: Operator) -> None:
    monkeypatch.setitem(operators.OPERATORS, operator.name, operator)


def with_plugins(folder: Path, version: str = "10.3.0") -> Bench:
    bench = Bench(folder, version)
    bench.used = ("decide",)  # any module will do: what computes is NumPy
    return bench


needs_compiler = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")


@needs_compiler
@pytest.mark.parametrize("version", ALL)
def test_both_forms_are_built_and_answer_alike(
    attentive: Bundle, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, attention())
    bench = with_plugins(tmp_path, version)
    with bench.open(attentive) as engine:
        right(attentive, engine)
    assert len(bench.builds) == 6
    assert [bool(own_operators(each)) for each in bench.builds] == [True, False] * 3
    assert bench.faults.plugin_calls > 0
    with bench.open(attentive) as engine:
        right(attentive, engine)
    assert len(bench.builds) == 6


@needs_compiler
@pytest.mark.parametrize("quicker", ["function", "plugin"])
def test_the_faster_form_flies(
    attentive: Bundle, tmp_path: Path, quicker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, attention())
    times = {"function": 2.0, "plugin": 2.0, quicker: 1.0}
    asked = iter(["function", "plugin"] * 3)
    monkeypatch.setattr(choosing, "median_ms", lambda *_: times[next(asked)])
    bench = with_plugins(tmp_path)
    with bench.open(attentive) as engine:
        before = bench.faults.plugin_calls
        right(attentive, engine)
        assert (bench.faults.plugin_calls > before) == (quicker == "plugin")


@needs_compiler
def test_a_wrong_plugin_is_told_and_left(
    attentive: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, attention(wrong=np.nan))
    bench = with_plugins(tmp_path)
    for _ in range(2):
        with bench.open(attentive) as engine:
            right(attentive, engine)
    assert "fp16-trt-tensor.onnx as plugin is left out" in capsys.readouterr().err
    assert len(bench.builds) == 6  # nor is it tried at every start


@needs_compiler
def test_a_plugin_that_cannot_be_built_is_told_and_left(
    attentive: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> Work:
        raise EngineError("head size 48; expected 32")

    use(monkeypatch, dataclasses.replace(attention(), ready=refuse))
    with with_plugins(tmp_path).open(attentive) as engine:
        right(attentive, engine)
    assert "as plugin is left out" in capsys.readouterr().err


def test_without_kernels_there_is_one_form(attentive: Bundle, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.open(attentive) as engine:
        right(attentive, engine)
    assert len(bench.builds) == 3


@needs_compiler
def test_another_librarys_plugin_of_our_name_costs_the_form_not_the_flight(
    attentive: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, attention())
    bench = with_plugins(tmp_path)
    theirs = type("Theirs", (), {"name": "FusionAttention", "plugin_version": "1", "field_names": []})()
    assert bench.trt.module.get_plugin_registry().register_creator(theirs, "dis2_edge")
    with bench.open(attentive) as engine:
        right(attentive, engine)
    assert "there is one of that name already" in capsys.readouterr().err


@needs_compiler
@pytest.mark.parametrize("version", ["10.3.0", "11.4.0.106"])
def test_the_very_kernel_of_the_board_answers_within_a_plan(tmp_path: Path, version: str) -> None:
    from tiny_bundle import RGB, task_of

    bundle = make_trt(tmp_path / "bundle", task_of(RGB, grid=(8, 48)), attention=True, fallback=False)
    bench = Bench(tmp_path / "plans", version)
    bench.used = ("fusion_attention",)
    bench.settings = dataclasses.replace(bench.settings, forms=("plugin",))
    with bench.open(bundle) as engine:
        right(bundle, engine)
    assert bench.faults.plugin_calls > 0


@needs_compiler
@pytest.mark.parametrize("shape", [(1, 16, 5, 7), (2, 8, 1, 1)])
def test_classwise_attention_within_a_plugin_has_its_workspace(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from types import SimpleNamespace

    bench, random = Bench(tmp_path), np.random.default_rng(0)
    trt, gpu = bench.trt.module, bench.gpu
    operator, ours = OPERATORS["ClasswiseAttention"], classic.Bench(gpu, gpu.built("classwise_attention"), At(gpu).on)
    plugin = classic.creator(bench.trt, operator, ours).create_plugin("node", [], trt.TensorRTPhase.BUILD)
    f4, queries = random.normal(size=shape).astype(np.float16), random.normal(size=(3, shape[1])).astype(np.float16)
    descs = [SimpleNamespace(dims=one.shape, type=trt.DataType.HALF) for one in (f4, queries)]
    memories = [gpu.allocate(one.nbytes) for one in (f4, queries)]
    for memory, one in zip(memories, (f4, queries), strict=True):
        view(memory.address, one.shape, HALF)[...] = one
    room = plugin.get_workspace_size([SimpleNamespace(desc=one) for one in descs], [])
    out, workspace = gpu.allocate(2 * 3 * f4.size), gpu.allocate(room)
    plugin.enqueue(descs, [], [one.address for one in memories], [out.address], workspace.address, 7)
    exact = maps_of(f4, queries)
    found = view(out.address, (3 * shape[0], *shape[1:]), HALF)
    assert room > 0
    assert np.abs(found - exact).max() <= 4e-3 * np.abs(exact).max()


def test_the_form_has_no_bodies_and_marked_nodes(attentive: Bundle) -> None:
    row = attentive.model("rgb", "fp16", "trt", "tensor")
    before = onnx.load(attentive.file(row.file))
    after = onnx.load_from_string(plugin_form(before.SerializeToString()))
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in before.graph.node]
    assert not after.functions
    for old, new in zip(before.graph.node, after.graph.node, strict=True):
        added = [one for one in new.attribute if one.name not in {each.name for each in old.attribute}]
        named = [(one.name, onnx.helper.get_attribute_value(one)) for one in added]
        assert named == ([("plugin_namespace", b"dis2_edge")] if old.domain == "dis2_edge" else [])
    assert [bytes(one.raw_data) for one in after.graph.initializer] == [
        bytes(one.raw_data) for one in before.graph.initializer
    ]


def test_a_model_without_our_operators_has_one_form(board_bundle: Bundle) -> None:
    model = tensor_model(board_bundle.manifest.task, "rgb").SerializeToString()
    assert not own_operators(model)
    assert own_operators(tensor_model(board_bundle.manifest.task, "rgb", True).SerializeToString()) == {
        "FusionAttention"
    }


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_model_that_ends_too_early_is_an_engine_error(attentive: Bundle, cut: float) -> None:
    data = attentive.file(attentive.model("rgb", "fp16", "trt", "tensor").file).read_bytes()
    with pytest.raises(EngineError, match="the model"):
        plugin_form(data[: int(len(data) * cut)])


@pytest.mark.parametrize("shape", [(1, 2050, 256), (1, 1, 32)])
def test_tensorrt_can_launch_fusion_attention_by_itself(shape: tuple[int, ...]) -> None:
    keys = (1, 130, shape[2])
    launch = launch_of(
        OPERATORS["FusionAttention"], Call((shape, keys, keys), HALF, (("heads", shape[2] // 32),)), ORIN
    )
    assert launch.kernel.startswith("fusion_attention")
    assert launch.scalars[:3] == (shape[1], 130, shape[2] // 32)


def test_what_takes_two_launches_or_memory_tensorrt_cannot_launch() -> None:
    with pytest.raises(EngineError, match="more than one launch"):
        launch_of(OPERATORS["ClasswiseAttention"], Call(((1, 64, 8, 8), (5, 64)), HALF), ORIN)


@pytest.mark.parametrize("order", ["out first", "a float", "too much shared memory"])
def test_a_kernel_of_another_order_is_not_handed_over(order: str) -> None:
    def ready(driver: Any, module: Any, call: Call) -> Work:
        def launch(stream: Any, inputs: Any, out: int, workspace: int) -> None:
            arguments = {"out first": (out, *inputs), "a float": (*inputs, np.float32(1), out)}.get(
                order, (*inputs, out)
            )
            shared = 64 << 10 if order == "too much shared memory" else 0
            driver.launch(module.function("k"), (1, 1, 1), (32, 1, 1), shared, stream, arguments)

        return Work(launch)

    operator = dataclasses.replace(OPERATORS["FusionAttention"], ready=ready)
    with pytest.raises(EngineError, match="k takes what TensorRT cannot hand to it"):
        launch_of(operator, Call(((1, 4, 32),) * 3, HALF, (("heads", 1),)), ORIN)


@pytest.mark.parametrize(
    ("version", "ptx", "ahead"),
    [("10.3.0", True, False), ("10.16.1.11", True, True), ("11.4.0.106", True, True), ("10.16.1.11", False, False)],
)
def test_ahead_of_time_where_it_can_be(version: str, ptx: bool, ahead: bool, tmp_path: Path) -> None:
    from dis2_runtime.kernels.loading import Kernels

    trt = Bench(tmp_path, version).trt
    kernels = Kernels(ptx=dict.fromkeys(("fusion_attention", "classwise_attention"), b".version") if ptx else {})
    assert plugins.compiles_ahead(trt, OPERATORS["FusionAttention"], kernels) is ahead
    assert not plugins.compiles_ahead(trt, OPERATORS["ClasswiseAttention"], kernels)


def test_heads_divide_the_width() -> None:
    assert 2 * 48 % HEADS == 0


@needs_compiler
def test_a_plan_with_a_plugin_loads_only_while_that_is_known(
    tmp_path: Path, attentive: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, attention())
    bench = with_plugins(tmp_path)
    row = next(row for row in attentive.manifest.models if row.dialect == "trt")
    model = plugin_form(attentive.file(row.file).read_bytes())
    with plugins.registered(bench.trt, bench.gpu, bench.kernels(bench.gpu)):
        plan = builder.build(bench.trt, model, Options())
        Loaded(bench.trt, plan, "rgb").close()
    with pytest.raises(EngineError, match="IPluginCreator not found"):
        Loaded(bench.trt, plan, "rgb")
