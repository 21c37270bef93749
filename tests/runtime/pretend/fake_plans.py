"""The part of the fake TensorRT that runs: plans taken, contexts bound, files computed on the bound addresses.

ONNX Runtime computes a file whose nodes are all its own; else onnx's reference does, node by node, with our plug-ins.
"""

from __future__ import annotations

import ctypes
import json
import types
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from dis2_quantize.judging.tensor_model import rounding_right

MAGIC = b"pretend plan\n"


class Runtime:
    _world: Any

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        world = self._world
        if not serialized_engine.startswith(MAGIC):
            world.log(self._logger, "Magic tag does not match")
            return None
        head, _, model = serialized_engine[len(MAGIC) :].partition(b"\n")
        told = json.loads(head)
        if told["version"] != world.version:
            world.log(self._logger, f"The plan was built with version {told['version']}, expected {world.version}")
            return None
        if told["capability"] != list(world.gpu.device.capability):
            world.log(self._logger, "The engine plan file was generated on an incompatible device")
            return None
        missing = [each for each in told.get("plugins", []) if tuple(each) not in world.registry.creators]
        if missing:
            world.log(
                self._logger, f"Cannot deserialize plugin since corresponding IPluginCreator not found: {missing}"
            )
            return None
        engine = world.trt.ICudaEngine()
        engine._logger, engine._told, engine._model = self._logger, told, model
        return engine


class Engine:
    _world: Any
    _logger: Any
    _told: dict[str, Any]
    _model: bytes

    @property
    def num_io_tensors(self) -> int:
        return len(self._ports)

    @property
    def device_memory_size_v2(self) -> int:
        return 4096

    def get_tensor_name(self, index: int) -> str:
        return list(self._ports)[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._world.trt.TensorIOMode
        return modes.INPUT if name in [value.name for value in _graph(self._model).input] else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        kinds = {onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF", onnx.TensorProto.UINT8: "UINT8"}
        return getattr(self._world.trt.DataType, kinds[self._ports[name].elem_type])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size.dim_value for size in self._ports[name].shape.dim)

    def create_execution_context(self, strategy: Any) -> Any:
        if self._world.faults.no_context:
            self._world.log(self._logger, "[defaultAllocator] Cuda Runtime (out of memory)")
            return None
        assert strategy.name == "USER_MANAGED"
        context = self._world.trt.IExecutionContext()
        context._engine = self
        return context

    @property
    def _ports(self) -> dict[str, Any]:
        graph = _graph(self._model)
        return {value.name: value.type.tensor_type for value in (*graph.input, *graph.output)}


class Context:
    _world: Any
    _engine: Any

    def __init__(self) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = (0, 0)
        self._runner: Any = None

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0, "scratch memory is not aligned"
        assert size >= self._engine.device_memory_size_v2
        self._scratch = (memory, size)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = tuple(shape)
        return tuple(shape) == self._engine.get_tensor_shape(name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory % 256 == 0 and memory > 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        world = self._world
        if world.faults.run_says or not self._scratch[0] or set(self._addresses) != set(self._engine._ports):
            world.log(self._engine._logger, world.faults.run_says or "no memory, or no address")
            return False
        world.gpu.enqueue(stream_handle, self._compute)
        profiler = self.__dict__.get("profiler")
        if profiler is not None:
            for node in _graph(self._engine._model).node:
                profiler.report_layer_time(node.name or node.op_type, 0.25)
        return True

    def _compute(self) -> None:
        ports = self._engine._ports
        names = [value.name for value in _graph(self._engine._model).input]
        feed = {name: _view(self._addresses[name], ports[name]).copy() for name in names}
        if self._runner is None:
            self._runner = _runner(self._world, self._engine._model)
        (logits,) = self._runner(feed)
        target = _view(self._addresses["logits"], ports["logits"])
        target[...] = logits
        target[:, -1] += self._world.faults.shifted


@dataclass
class Field:
    """As TensorRT's: it points at its value. What it is made of must outlive it, which `serialised` checks."""

    name: str
    data: Any = None
    type: Any = None


def serialised(plugin: Any) -> list[Field]:
    """The fields of a plug-in as a plan keeps them: read after the call returned, when its locals are gone."""
    values = [(one.name, weakref.ref(one.data)) for one in plugin.get_fields_to_serialize()]
    lost = [name for name, value in values if value() is None]
    assert not lost, f"{lost} were freed before TensorRT read them"
    return [Field(name, value().copy()) for name, value in values]  # type: ignore[union-attr]


def capability_of(trt: Any, plugin: Any) -> None:
    """A plug-in must answer for each of its three parts with an object of that part's class."""
    for kind, base in (("CORE", "Core"), ("BUILD", "Build"), ("RUNTIME", "Runtime")):
        found = plugin.get_capability_interface(getattr(trt.PluginCapabilityType, kind))
        assert isinstance(found, getattr(trt, f"IPluginV3One{base}")), kind


def _graph(model: bytes) -> Any:
    return onnx.load_from_string(model).graph


def key_of(node: Any) -> tuple[str, str, str]:
    """Name, version and namespace of the plug-in that a node asks for."""
    named = {one.name: one.s.decode() for one in node.attribute if one.type == onnx.AttributeProto.STRING}
    return (node.op_type, named.get("plugin_version", "1"), named.get("plugin_namespace", ""))


def creator_of(registry: Any, node: Any) -> Any:
    """As the parser of every version from 10.3 on looks for a plug-in: by attributes, not by the node's domain."""
    return registry.creators.get(key_of(node))


def _view(address: int, port: Any) -> np.ndarray:
    shape = tuple(size.dim_value for size in port.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(port.elem_type)
    raw = (ctypes.c_uint8 * int(np.prod(shape) * dtype.itemsize)).from_address(address)
    return np.frombuffer(raw, dtype).reshape(shape)


def _runner(world: Any, model: bytes) -> Any:
    """ONNX Runtime where every node is one of its own, else node by node with the plug-ins between."""
    found = onnx.load_from_string(model)
    foreign = {node.op_type: node for node in found.graph.node if creator_of(world.registry, node) is not None}
    if not foreign:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        # As the files were judged: ONNX Runtime cuts FP16 values off where they are to be rounded, TensorRT does not.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = onnxruntime.InferenceSession(rounding_right(found), options, providers=["CPUExecutionProvider"])
        return lambda feed: session.run(["logits"], feed)
    operators = [_operator(world, name, node) for name, node in foreign.items()]
    evaluator = ReferenceEvaluator(found, new_ops=operators)
    return lambda feed: evaluator.run(["logits"], feed)


def _operator(world: Any, name: str, node: Any) -> type:
    """An operator of onnx's reference that calls the plug-in's enqueue on host memory."""
    creator = creator_of(world.registry, node)
    taken = {one.name for one in creator.field_names}

    def run(self: Any, *inputs: Any, **attributes: Any) -> tuple[Any]:
        fields = [Field(key, np.array([value], np.int32)) for key, value in attributes.items() if key in taken]
        built = creator.create_plugin(name, fields, world.trt.TensorRTPhase.BUILD)
        capability_of(world.trt, built)
        kept = serialised(built.clone())
        plugin = creator.create_plugin(name, kept, world.trt.TensorRTPhase.RUNTIME).attach_to_context(None)
        product = types.SimpleNamespace(operation=lambda kind, left, right: left * right)
        (shape,) = plugin.get_output_shapes([list(each.shape) for each in inputs], [], product)
        held = [np.ascontiguousarray(each) for each in inputs]
        out = np.full(shape, np.nan, inputs[0].dtype)
        plugin.enqueue(
            [_desc(world, each) for each in held], [_desc(world, out)], [each.ctypes.data for each in held],
            [out.ctypes.data], 0, 0,
        )  # fmt: skip
        world.faults.plugin_calls += 1
        return (out,)

    return type(name, (OpRun,), {"op_domain": node.domain, "_run": run})


def _desc(world: Any, array: np.ndarray) -> Any:
    kind = {"float32": "FLOAT", "float16": "HALF"}[array.dtype.name]
    linear = world.trt.TensorFormat.LINEAR
    return types.SimpleNamespace(dims=array.shape, type=getattr(world.trt.DataType, kind), format=linear)
