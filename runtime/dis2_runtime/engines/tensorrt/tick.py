"""One scenario's tick on the device: prepare, plan, decide; one launch of a graph once it was captured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dis2_edge.errors import EngineError
from dis2_edge.task import Task
from dis2_edge.terminal import warn
from dis2_runtime.driver import Driver, Graph, Memory, Stream
from dis2_runtime.engine import Answer, Frames, frame_for
from dis2_runtime.engines.tensorrt.buffers import Buffers
from dis2_runtime.engines.tensorrt.model import ANSWER, LayerTime, Loaded, check_ports
from dis2_runtime.engines.tensorrt.steps import Modules, decider_for, preparer_for

__all__ = ["Tick"]


class Tick:
    """A plan between its steps, on addresses that never change once `settle` was called."""

    def __init__(
        self,
        driver: Driver,
        stream: Stream,
        plan: Loaded,
        task: Task,
        scenario: str,
        buffers: Buffers,
        modules: Modules,
        tell: Callable[[str], None] = warn,
    ) -> None:
        """`tell` hears why there is no graph."""
        check_ports(plan.ports, task, scenario, plan.name)
        self.plan, self.grid = plan, task.grid
        self._driver, self._stream, self._tell = driver, stream, tell
        self._expected = {
            sensor.name: ((*task.grid, sensor.channels), sensor.numpy_dtype) for sensor in task.used(scenario)
        }
        self._preparers = [
            preparer_for(driver, modules, sensor, plan.ports[sensor.name], buffers) for sensor in task.used(scenario)
        ]
        self._decider = decider_for(driver, modules, task, plan.ports[ANSWER], buffers)
        self._addresses = {ANSWER: self._decider.address}
        self._addresses |= {name: one.address for name, one in zip(self._expected, self._preparers, strict=True)}
        self._graph: Graph | None = None

    def settle(self, scratch: Memory) -> None:
        """Bind the plan to scratch memory that all scenarios share, run once, then capture the whole as a graph.

        Where the driver cannot capture, the work goes to the stream piece by piece, and that is told.
        """
        self._graph = None
        self.plan.bind(self._addresses, scratch.address, scratch.bytes)
        zeros = {name: np.zeros(shape, dtype) for name, (shape, dtype) in self._expected.items()}
        self.run(zeros)
        try:
            with self._driver.capture(self._stream) as captured:
                self._enqueue()
            self._graph = captured.graph
            self.run(zeros)
        except EngineError as error:
            self._graph = None
            self._tell(f"flying without CUDA graphs: {error}")

    def run(self, frames: Frames, into: Answer | None = None) -> Answer:
        """Mask and confidence of `frames` (one HxWxC array a sensor; others are not read), new or in `into`."""
        answer = Answer.empty(*self.grid) if into is None else into
        self._check(frames, answer)
        for preparer in self._preparers:
            preparer.take(frames)
        self.enqueue()
        self._stream.synchronize()
        self._decider.give(answer)
        return answer

    def enqueue(self) -> None:
        """Put the whole tick on the stream and don't wait, for who times it."""
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch(self._stream)

    def profile(self, scratch: Memory) -> tuple[LayerTime, ...]:
        """What each layer took, on whatever the buffers hold."""
        return self.plan.profile(self._addresses, scratch.address, scratch.bytes, self._stream)

    def close(self) -> None:
        """Let go of graph and plan; the buffers are the engine's."""
        self._graph = None
        self.plan.close()

    def _enqueue(self) -> None:
        for preparer in self._preparers:
            preparer.enqueue(self._stream)
        self.plan.enqueue(self._stream)
        self._decider.enqueue(self._stream)

    def _check(self, frames: Frames, answer: Answer) -> None:
        """Frames and answers are copied by their size: one of another shape would be read or written beside."""
        for name, (shape, dtype) in self._expected.items():
            frame_for(frames, name, shape, dtype, self.plan.name)
        for buffer in (answer.mask, answer.confidence):
            if buffer.shape != self.grid or buffer.dtype != np.uint8:
                found = f"{self.plan.name}: a buffer is {buffer.shape} {buffer.dtype}"
                raise EngineError(found, expected=f"{self.grid} uint8")
