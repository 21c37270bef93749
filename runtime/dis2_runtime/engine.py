"""The engine seam: what the stream, the verifier and the profiler know of an inference engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError

Frames = Mapping[str, npt.NDArray[np.generic]]
"""One frame a sensor, by name: HxWxC on the grid, the sensor's native dtype and unit, holes already filled."""


@dataclass(frozen=True)
class Answer:
    """What an engine says about one tick."""

    mask: npt.NDArray[np.uint8]
    """HxW, class index of each pixel."""
    confidence: npt.NDArray[np.uint8]
    """HxW, probability of that class; 255 is 1."""

    @classmethod
    def empty(cls, height: int, width: int) -> Answer:
        """Two buffers for an engine to fill, values undefined."""
        return cls(np.empty((height, width), np.uint8), np.empty((height, width), np.uint8))


class Engine(Protocol):
    """All scenarios of a bundle, loaded and warmed; used in a `with`."""

    def __enter__(self) -> Engine: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that this engine serves, in the order of the manifest."""

    def infer(self, scenario: str, frames: Frames, into: Answer | None = None) -> Answer:
        """Segment `frames` with the model of `scenario`; frames of other sensors are not read.

        The answer is new arrays, or `into` filled. Raises EngineError for a scenario that is not served, a frame that
        does not fit the model's input, or a failure of the engine.
        """


def frame_for(
    frames: Frames, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, model: str
) -> npt.NDArray[np.generic]:
    """The frame for input `name` of the file `model`; EngineError unless it is there, of that shape (HxWxC) and dtype.

    Engines copy frames by their size: of another shape they would read beside it.
    """
    expected = f"{'x'.join(map(str, shape))} {np.dtype(dtype)}"
    if name not in frames:
        raise EngineError(f"{model}: no frame for input {name!r}", expected=expected)
    frame = frames[name]
    if frame.shape != shape or frame.dtype != dtype:
        found = f"{'x'.join(map(str, frame.shape))} {frame.dtype}"
        raise EngineError(f"{model}: input {name!r} is {found}", expected=expected)
    return frame
