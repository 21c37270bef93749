"""Frames and the small words around them: a delivery from a source, what was heard of it, a mail to the stream.

All times are nanoseconds on the run's clock, which starts at 0 and never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dis2_runtime.poses.pose import Pose


@dataclass(frozen=True)
class Frame:
    """One sensor's array with its origin. Nobody writes into `pixels` after the frame was handed on."""

    sensor: str
    """The sensor's name."""
    pixels: npt.NDArray[Any]
    """HxWxC in the sensor's own dtype and unit, of its native size."""
    time_ns: int
    """When it was captured, by the sensor's own stamp."""
    sequence: int
    """The sensor's running number; a gap means lost frames."""
    stamped: bool = True
    """Whether `time_ns` is the sensor's own stamp; else the source knows none, and it is the time of arrival."""
    pose: Pose | None = None
    """Where the frame lay on the ground when it was captured, if its source knows."""


@dataclass(frozen=True)
class Delivery:
    """What a source hands on: a frame, or nothing (a lost frame), and when it arrives."""

    due_ns: int
    """Time of arrival, never before the delivery ahead of it."""
    frame: Frame | None
    """The frame; None when nothing usable arrives."""
    problem: str = ""
    """Why the frame could not be read; empty when it was read or none was sent."""
    lost: bool = False
    """Whether `problem` keeps anything from being sent, such as no connection, no pose: the sensor is off then."""


@dataclass(frozen=True)
class Heard:
    """That a frame arrived, without its pixels."""

    at_ns: int
    """Time of arrival."""
    time_ns: int
    """Capture time as stamped."""
    sequence: int
    """Running number."""


@dataclass(frozen=True)
class Mail:
    """What the stream learns of one sensor at once: every arrival since it last looked, the pixels of the last."""

    sensor: str
    """The sensor's name."""
    heard: tuple[Heard, ...] = ()
    """Arrivals in order."""
    frame: Frame | None = None
    """The newest frame: the latest wins, the others are gone."""
    problem: str = ""
    """Why the newest delivery could not be read."""
    lost: bool = False
    """Whether that problem keeps anything from being sent; see `Delivery`."""
    ended: str = ""
    """Why nothing more will come; empty while the source lives."""
    failed: bool = False
    """Whether the source ended by an error, not by coming to its end."""
