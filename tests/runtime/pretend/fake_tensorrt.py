"""A TensorRT that computes: its parser reads ONNX, its plans hold the file, its contexts run it in ONNX Runtime.

Every class is guarded by what the real bindings of that version offer. Inputs and outputs are read and written at the
addresses that were bound. Work goes through `gpu.enqueue(stream handle, work)`, so that a stream may be captured.
"""

from __future__ import annotations

import ctypes
import json
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tests.runtime.pretend.tensorrt_api import Api

MAGIC = b"pretend plan\n"
BASES = (
    "ILogger",
    "IProgressMonitor",
    "IProfiler",
    "IErrorRecorder",
    "IPluginV3",
    "IPluginV3OneCore",
    "IPluginV3OneBuild",
    "IPluginV3OneRuntime",
    "IPluginCreatorV3One",
)
ENUMS = (
    "NetworkDefinitionCreationFlag",
    "MemoryPoolType",
    "ProfilingVerbosity",
    "ExecutionContextAllocationStrategy",
    "TensorIOMode",
    "DataType",
    "TensorFormat",
    "TensorRTPhase",
    "PluginFieldType",
    "DimensionOperation",
)


@dataclass
class Faults:
    """What goes wrong on demand."""

    build_says: str = ""
    """Why no plan is built."""
    run_says: str = ""
    """Why no inference starts."""
    no_context: bool = False
    """No memory for a context."""
    shifted: float = 0.0
    """Added to the last class's logits: a plan that computes wrongly."""
    built: list[dict[str, Any]] = field(default_factory=list)
    """What each build was asked for."""
    plugin_calls: int = 0
    """How often a plug-in was called."""


def make(version: str, gpu: Any, faults: Faults | None = None) -> types.ModuleType:
    """The module `tensorrt` of that version, on the device of `gpu` (a driver that runs on the host)."""
    api, faults = Api(version), faults or Faults()
    module = types.ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    for name in ENUMS:
        setattr(module, name, api.enum(name))
    for name in BASES:
        setattr(module, name, api.base(name))
    module.ILogger.Severity = api.enum("ILogger", "Severity")  # type: ignore[attr-defined]
    registry = _Registry()
    world = _World(module, version, gpu, faults, registry)
    for name, fake in _FAKES.items():
        setattr(module, name, api.guarded(type(fake.__name__, (fake,), {"_world": world}), name))
    module.PluginField = _Field  # type: ignore[attr-defined]
    module.PluginFieldCollection = list  # type: ignore[attr-defined]
    module.DimsExprs = list  # type: ignore[attr-defined]
    module.get_plugin_registry = lambda: registry  # type: ignore[attr-defined]
    module.faults = faults  # type: ignore[attr-defined]
    return module


@dataclass
class _World:
    trt: Any
    version: str
    gpu: Any
    faults: Faults
    registry: _Registry

    def log(self, logger: Any, text: str) -> None:
        logger.log(self.trt.ILogger.Severity.ERROR, text)


class _Registry:
    def __init__(self) -> None:
        self.creators: dict[tuple[str, str, str], Any] = {}

    def register_creator(self, creator: Any, plugin_namespace: str = "") -> bool:
        key = (creator.name, creator.plugin_version, plugin_namespace)
        if key in self.creators:
            return False
        self.creators[key] = creator
        return True

    def deregister_creator(self, creator: Any) -> bool:
        before = len(self.creators)
        self.creators = {key: found for key, found in self.creators.items() if found is not creator}
        return len(self.creators) < before


class _Builder:
    _world: _World

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        network = self._world.trt.INetworkDefinition()
        network._flags = flags
        return network

    def create_builder_config(self) -> Any:
        return self._world.trt.IBuilderConfig()

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        world = self._world
        flags = world.trt.NetworkDefinitionCreationFlag
        typed = world.version.startswith("11") or network._flags & 1 << int(flags.STRONGLY_TYPED)
        world.faults.built.append({"typed": bool(typed), **config._told()})
        monitor = config.__dict__.get("progress_monitor")
        if monitor is not None:
            monitor.phase_start("Building Engine", "", 2)
            assert monitor.step_complete("Building Engine", 0) is True
            monitor.phase_finish("Building Engine")
        if world.faults.build_says:
            world.log(self._logger, world.faults.build_says)
            return None
        if config._cache is not None:
            config._cache._held += b"+"
        return _plan(world, network._model)


class _Network:
    _world: _World
    _model: bytes = b""
    _flags = 0


class _Config:
    _world: _World

    def __init__(self) -> None:
        self._pools: dict[str, int] = {}
        self._cache: Any = None

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool.name] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        cache = self._world.trt.ITimingCache()
        cache._held = serialized_timing_cache
        return cache

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._held.startswith(b"foreign"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    def _told(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {**own, "pools": self._pools, "timings": self._cache._held if self._cache else None}


class _Cache:
    _world: _World
    _held = b""

    def serialize(self) -> bytes:
        return self._held


class _Parser:
    _world: _World

    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._errors = network, []  # type: ignore[var-annotated]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            found = onnx.load_from_string(bytes(model))
        except Exception as error:
            return self._wrong("", "", f"Failed to parse the ONNX model: {error}")
        functions = {one.name for one in found.functions}
        for node in found.graph.node:
            own = node.domain in ("", "ai.onnx", "com.microsoft") or node.op_type in functions
            if not own and _creator_of(self._world.registry, node) is None:
                self._wrong(node.name, node.op_type, "Plugin not found, are its name and namespace correct?")
        self._network._model = bytes(model)
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def _wrong(self, name: str, operator: str, text: str) -> bool:
        error = self._world.trt.ParserError()
        error._texts = (name, operator, text)
        self._errors.append(error)
        return False


class _ParserError:
    _world: _World
    _texts = ("", "", "")

    def node_name(self) -> str:
        return self._texts[0]

    def node_operator(self) -> str:
        return self._texts[1]

    def desc(self) -> str:
        return self._texts[2]


class _Runtime:
    _world: _World

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
        engine = world.trt.ICudaEngine()
        engine._logger, engine._told, engine._model = self._logger, told, model
        return engine


class _Engine:
    _world: _World
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


class _Context:
    _world: _World
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
class _Field:
    name: str
    data: Any = None
    type: Any = None


_FAKES: dict[str, type] = {
    "Builder": _Builder,
    "INetworkDefinition": _Network,
    "IBuilderConfig": _Config,
    "ITimingCache": _Cache,
    "OnnxParser": _Parser,
    "ParserError": _ParserError,
    "Runtime": _Runtime,
    "ICudaEngine": _Engine,
    "IExecutionContext": _Context,
}


def _plan(world: _World, model: bytes) -> bytes:
    told = {"version": world.version, "capability": world.gpu.device.capability}
    return MAGIC + json.dumps(told).encode() + b"\n" + model


def _graph(model: bytes) -> Any:
    return onnx.load_from_string(model).graph


def _creator_of(registry: _Registry, node: Any) -> Any:
    """As the parser of every version from 10.3 on looks for a plug-in: by attributes, not by the node's domain."""
    named = {one.name: one.s.decode() for one in node.attribute if one.type == onnx.AttributeProto.STRING}
    key = (node.op_type, named.get("plugin_version", "1"), named.get("plugin_namespace", ""))
    return registry.creators.get(key)


def _view(address: int, port: Any) -> np.ndarray:
    shape = tuple(size.dim_value for size in port.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(port.elem_type)
    raw = (ctypes.c_uint8 * int(np.prod(shape) * dtype.itemsize)).from_address(address)
    return np.frombuffer(raw, dtype).reshape(shape)


def _runner(world: _World, model: bytes) -> Any:
    """ONNX Runtime where every node is one of its own, else node by node with the plug-ins between."""
    found = onnx.load_from_string(model)
    foreign = {node.op_type: node for node in found.graph.node if _creator_of(world.registry, node) is not None}
    if not foreign:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda feed: session.run(["logits"], feed)
    operators = [_operator(world, name, node) for name, node in foreign.items()]
    evaluator = ReferenceEvaluator(found, new_ops=operators)
    return lambda feed: evaluator.run(["logits"], feed)


def _operator(world: _World, name: str, node: Any) -> type:
    """An operator of onnx's reference that calls the plug-in's enqueue on host memory."""
    creator = _creator_of(world.registry, node)
    taken = {one.name for one in creator.field_names}

    def run(self: Any, *inputs: Any, **attributes: Any) -> tuple[Any]:
        fields = [_Field(key, np.array([value], np.int32)) for key, value in attributes.items() if key in taken]
        plugin = creator.create_plugin(name, fields, world.trt.TensorRTPhase.RUNTIME).attach_to_context(None)
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


def _desc(world: _World, array: np.ndarray) -> Any:
    kind = {"float32": "FLOAT", "float16": "HALF"}[array.dtype.name]
    linear = world.trt.TensorFormat.LINEAR
    return types.SimpleNamespace(dims=array.shape, type=getattr(world.trt.DataType, kind), format=linear)
