"""One deserialised plan with its context: its ports checked, fixed addresses, one call for one inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_edge.errors import EngineError
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_runtime.driver import Stream
from dis2_runtime.engines.tensorrt.bindings import Trt

__all__ = ["LayerTime", "Loaded", "Port", "check_ports"]

ANSWER = "logits"
"""Name of the one output, 1xKxHxW."""
_TYPES: dict[str, np.dtype[Any]] = {"FLOAT": np.dtype(np.float32), "HALF": np.dtype(np.float16)}
"""What a file of the trt dialect may show at its border."""
_ALTERED = "delete the folder .engines beside the bundle: it is built again for this TensorRT and this GPU"


@dataclass(frozen=True)
class Port:
    """An input or the output of a plan."""

    name: str
    """A sensor, or `logits`."""
    shape: tuple[int, ...]
    """NxCxHxW."""
    dtype: np.dtype[Any]
    """float32 or float16."""
    is_input: bool
    """Whether it is read."""

    @property
    def bytes(self) -> int:
        """Size of its buffer."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class LayerTime:
    """What one layer took in one inference."""

    name: str
    """As the builder calls it: several of the file's nodes, fused."""
    ms: float
    """Milliseconds."""


class Loaded:
    """A plan that TensorRT took, with one context that has no memory of its own until `bind` gives it some."""

    def __init__(self, trt: Trt, plan: bytes, name: str) -> None:
        self.name, self._trt = name, trt
        with trt.failures(f"loading the engine of {name}", _ALTERED):
            self._runtime = trt.module.Runtime(trt.logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise trt.error(f"TensorRT does not take the engine of {name}", _ALTERED)
            self.ports = _ports(trt, self._engine, name)
            self._context = self._new_context()
        self.memory_bytes = max(int(self._engine.device_memory_size_v2), 1)
        """Scratch memory of one inference; contexts that never run at once may share it."""

    def bind(self, addresses: Mapping[str, int], scratch: int, scratch_bytes: int) -> None:
        """Give every port its address and the context its scratch memory (256-byte aligned), for good."""
        if scratch_bytes < self.memory_bytes:
            raise EngineError(f"{self.name}: {scratch_bytes} bytes of scratch", expected=f"{self.memory_bytes}")
        with self._trt.failures(f"preparing {self.name}"):
            self._bind(self._context, addresses, scratch, scratch_bytes)

    def enqueue(self, stream: Stream) -> None:
        """Put one inference on `stream`; what fails in it later comes out where the stream is waited for."""
        with self._trt.failures(f"{self.name} failed while running"):
            if not self._context.execute_async_v3(stream.handle):
                raise self._trt.error(f"{self.name} failed while running")

    def profile(
        self, addresses: Mapping[str, int], scratch: int, scratch_bytes: int, stream: Stream
    ) -> tuple[LayerTime, ...]:
        """Time of each layer in one inference, by a context of its own: the timers slow the whole down."""
        times: list[LayerTime] = []
        with self._trt.failures(f"profiling {self.name}"):
            context = self._new_context()
            self._bind(context, addresses, scratch, scratch_bytes)
            context.profiler = _profiler(self._trt, times)
            for _ in range(2):  # the first run still sets things up
                times.clear()
                if not context.execute_async_v3(stream.handle):
                    raise self._trt.error(f"{self.name} failed while running")
                stream.synchronize()
        return tuple(times)

    def close(self) -> None:
        """Let go of context, engine and runtime, in that order; a second time does nothing."""
        self._context = self._engine = self._runtime = None

    def _new_context(self) -> Any:
        strategy = self._trt.module.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise self._trt.error(f"no memory for running {self.name}", "stop what else uses the GPU's memory")
        return context

    def _bind(self, context: Any, addresses: Mapping[str, int], scratch: int, scratch_bytes: int) -> None:
        context.set_device_memory(scratch, scratch_bytes)
        for port in self.ports.values():
            if port.is_input and not context.set_input_shape(port.name, port.shape):
                raise self._trt.error(f"{self.name} does not take {port.name} of {port.shape}")
            if not context.set_tensor_address(port.name, addresses[port.name]):
                raise self._trt.error(f"{self.name} does not take an address for {port.name}")


def check_ports(ports: Mapping[str, Port], task: Task, scenario: str, name: str) -> None:
    """EngineError where a plan does not read the scenario's sensors on the grid and answer one logit a class."""
    wanted = {sensor.name: (1, sensor.channels, *task.grid) for sensor in task.used(scenario)}
    wanted[ANSWER] = (1, len(task.classes), *task.grid)
    found = {port.name: port.shape for port in ports.values()}
    if found != wanted or {port.name for port in ports.values() if port.is_input} != set(sensors_of(scenario)):
        raise EngineError(f"{name} has {_listed(found)}", expected=_listed(wanted), mend="quantize and deploy again")


def _ports(trt: Trt, engine: Any, name: str) -> dict[str, Port]:
    found = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
    return {each: _port(trt, engine, each, name) for each in found}


def _port(trt: Trt, engine: Any, port: str, name: str) -> Port:
    kind = engine.get_tensor_dtype(port).name
    shape = tuple(int(size) for size in engine.get_tensor_shape(port))
    if kind not in _TYPES or min(shape, default=1) < 1:
        found = f"{name}: {port!r} is {kind} of shape {list(shape)}"
        raise EngineError(found, expected=f"a fixed shape of {' or '.join(_TYPES)}")
    return Port(port, shape, _TYPES[kind], engine.get_tensor_mode(port) == trt.module.TensorIOMode.INPUT)


def _profiler(trt: Trt, times: list[LayerTime]) -> Any:
    class Profiler(trt.module.IProfiler):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.module.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times.append(LayerTime(layer_name, float(ms)))

    return Profiler()


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sorted(shapes.items()))
