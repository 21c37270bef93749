"""A TensorRT that computes: its parser reads ONNX, its plans hold the file, its contexts run it in ONNX Runtime.

Every class is guarded by what the real bindings of that version offer. Inputs and outputs are read and written at the
addresses that were bound. Work goes through `gpu.enqueue(stream handle, work)`, so that a stream may be captured.
"""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, field
from typing import Any

import onnx

from tests.runtime.pretend.fake_plans import MAGIC, Context, Engine, Field, Runtime, creator_of, key_of
from tests.runtime.pretend.fake_rules import faults_of
from tests.runtime.pretend.tensorrt_api import Api

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
    "PluginCapabilityType",
    "BuilderFlag",
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
    module.PluginField = Field  # type: ignore[attr-defined]
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
        self._flags = {"TF32"}

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool.name] = pool_size

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag.name)

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
        return {
            **own,
            "pools": self._pools,
            "flags": self._flags,
            "timings": self._cache._held if self._cache else None,
        }


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
            if not own and creator_of(self._world.registry, node) is None:
                self._wrong(node.name, node.op_type, "Plugin not found, are its name and namespace correct?")
        if not self._errors:
            for fault in faults_of(found):
                self._wrong(*fault)
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


_FAKES: dict[str, type] = {
    "Builder": _Builder,
    "INetworkDefinition": _Network,
    "IBuilderConfig": _Config,
    "ITimingCache": _Cache,
    "OnnxParser": _Parser,
    "ParserError": _ParserError,
    "Runtime": Runtime,
    "ICudaEngine": Engine,
    "IExecutionContext": Context,
}


def _plan(world: _World, model: bytes) -> bytes:
    nodes = onnx.load_from_string(model).graph.node
    plugins = sorted({key_of(node) for node in nodes if creator_of(world.registry, node) is not None})
    told = {"version": world.version, "capability": world.gpu.device.capability, "plugins": plugins}
    return MAGIC + json.dumps(told).encode() + b"\n" + model
