"""What stands before and behind a plan: frames to normalised inputs, logits to mask and confidence.

By our kernels on the device where there are some for this GPU that have proven themselves, else in NumPy on the host:
slower, the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from dis2_edge.prepare import normalise
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.engine import Answer, Frames
from dis2_runtime.engines.tensorrt.buffers import Buffers
from dis2_runtime.engines.tensorrt.model import ANSWER, Port
from dis2_runtime.kernels.decide import Decide, answer_of
from dis2_runtime.kernels.prepare import Prepare

__all__ = ["Decider", "Preparer", "decider_for", "preparer_for"]

Modules = Mapping[str, Module]
"""Kernels that may be used, by source."""


class Preparer(Protocol):
    """Brings the frame of one sensor to the address where the plan reads it."""

    address: int

    def take(self, frames: Frames) -> None:
        """The host's part, before the stream's work starts."""

    def enqueue(self, stream: Stream) -> None:
        """The device's part."""


class Decider(Protocol):
    """Turns the logits at an address into mask and confidence."""

    address: int

    def enqueue(self, stream: Stream) -> None:
        """The device's part."""

    def give(self, answer: Answer) -> None:
        """The host's part, when the stream's work is done."""


def preparer_for(driver: Driver, modules: Modules, sensor: Sensor, port: Port, buffers: Buffers) -> Preparer:
    """The kernel `prepare` where it may be used, else NumPy."""
    if "prepare" in modules:
        return KernelPreparer(driver, modules["prepare"], sensor, port, buffers)
    return HostPreparer(sensor, port, buffers)


def decider_for(driver: Driver, modules: Modules, task: Task, port: Port, buffers: Buffers) -> Decider:
    """The kernel `decide` where it may be used, else NumPy."""
    if "decide" in modules:
        return KernelDecider(driver, modules["decide"], task, port, buffers)
    return HostDecider(port, buffers)


class KernelPreparer:
    """The kernel reads the raw frame: in place where host and device share memory."""

    def __init__(self, driver: Driver, module: Module, sensor: Sensor, port: Port, buffers: Buffers) -> None:
        grid = (port.shape[2], port.shape[3])
        self._name = sensor.name
        self._kernel = Prepare(driver, module, sensor, grid, port.dtype)
        buffers.own(self._kernel)
        self._frame = buffers.mirror(f"frame {sensor.name}", (*grid, sensor.channels), sensor.numpy_dtype)
        self._tallies = buffers.place(f"tallies {sensor.name}", (self._kernel.statistics_bytes,), np.uint8)
        self.address = buffers.place(f"input {sensor.name}", port.shape, port.dtype)

    def take(self, frames: Frames) -> None:
        """See Preparer."""
        np.copyto(self._frame.array, frames[self._name])

    def enqueue(self, stream: Stream) -> None:
        """See Preparer."""
        self._frame.send(stream)
        # health judges frames before they come to the grid: nobody reads these tallies, so none are summed
        self._kernel.launch(stream, self._frame.address, self.address, self._tallies, summed=False)


class HostPreparer:
    """NumPy normalises into pinned memory."""

    def __init__(self, sensor: Sensor, port: Port, buffers: Buffers) -> None:
        self._sensor = sensor
        self._mirror = buffers.mirror(f"normalised {sensor.name}", port.shape, port.dtype)
        self.address = self._mirror.address

    def take(self, frames: Frames) -> None:
        """See Preparer."""
        self._mirror.array[0] = normalise(frames[self._sensor.name], self._sensor)

    def enqueue(self, stream: Stream) -> None:
        """See Preparer."""
        self._mirror.send(stream)


class KernelDecider:
    """The kernel writes mask, confidence and the pixels of each class."""

    def __init__(self, driver: Driver, module: Module, task: Task, port: Port, buffers: Buffers) -> None:
        classes, grid = port.shape[1], (port.shape[2], port.shape[3])
        self._kernel = Decide(driver, module, classes, grid, port.dtype)
        self.address = buffers.place(ANSWER, port.shape, port.dtype)
        self._mask = buffers.mirror("mask", grid, np.uint8)
        self._confidence = buffers.mirror("confidence", grid, np.uint8)
        self._counts = buffers.place("counts", (classes,), np.int32)

    def enqueue(self, stream: Stream) -> None:
        """See Decider."""
        self._kernel.launch(stream, self.address, self._mask.address, self._confidence.address, self._counts)
        self._mask.fetch(stream)
        self._confidence.fetch(stream)

    def give(self, answer: Answer) -> None:
        """See Decider."""
        np.copyto(answer.mask, self._mask.array)
        np.copyto(answer.confidence, self._confidence.array)


class HostDecider:
    """Logits come to the host and NumPy decides."""

    def __init__(self, port: Port, buffers: Buffers) -> None:
        self._mirror = buffers.mirror(ANSWER, port.shape, port.dtype)
        self.address = self._mirror.address

    def enqueue(self, stream: Stream) -> None:
        """See Decider."""
        self._mirror.fetch(stream)

    def give(self, answer: Answer) -> None:
        """See Decider."""
        found = answer_of(self._mirror.array[0])
        np.copyto(answer.mask, found.mask)
        np.copyto(answer.confidence, found.confidence)
