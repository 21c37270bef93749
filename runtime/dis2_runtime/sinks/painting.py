"""Paints the overlay: a sensor's frame, the mask in class colours over it, and a caption below.

The caption tells scenario, time and expected mIoU; a mask that is held, or none, is told in red.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks.png import IGNORE_COLOUR, palette_of

MASK_SHARE = 0.45
"""How much of a pixel's colour is its class's; the rest is what the sensor saw."""
LEAST_WIDTH = 480
"""Smaller pictures are enlarged by a whole number, so that the caption can be read."""

_INK, _PALE, _RED, _PAPER = (235, 238, 242), (158, 168, 180), (255, 92, 80), (20, 23, 28)
_TEXT, _LINE, _EDGE, _SWATCH = 15, 22, 10, 12
_SPREAD = 2.5
"""Values within so many standard deviations of a sensor's mean are shown between black and white."""


class Painter:
    """Paints pictures of one size."""

    def __init__(self, task: Task, sensors: Sequence[str]) -> None:
        """`sensors`: those whose frame is shown, the dearest first."""
        self._task, self._sensors, self._palette = task, sensors, palette_of(task)
        height, width = task.grid
        factor = max(1, -(-LEAST_WIDTH // width))
        self._shown = (width * factor, height * factor)
        self._font = ImageFont.load_default(_TEXT)
        self._large = ImageFont.load_default(2 * _TEXT)
        legend = self._legend(_even(self._shown[0]))
        self._canvas = Image.new("RGB", (legend.width, _even(self._shown[1] + 2 * _LINE + legend.height + _EDGE)))
        self._canvas.paste(_PAPER, (0, 0, *self._canvas.size))
        self._canvas.paste(legend, (0, self._canvas.height - legend.height))
        self._base = Image.new("RGB", (width, height))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, both even."""
        return self._canvas.height, self._canvas.width

    def paint(self, outcome: Outcome) -> npt.NDArray[np.uint8]:
        """The picture of `outcome`, HxWx3 RGB. A mask that is held lies on the frame that it was made from."""
        if outcome.state == "blind":
            self._canvas.paste(IGNORE_COLOUR, (0, 0, *self._shown))
            middle = (self._shown[0] // 2, self._shown[1] // 2)
            ImageDraw.Draw(self._canvas).text(middle, "BLIND", _PAPER, self._large, anchor="mm")
        else:
            self._canvas.paste(self._blended(outcome), (0, 0))
        self._caption(outcome)
        return np.asarray(self._canvas)

    def _blended(self, outcome: Outcome) -> Image.Image:
        name = next((name for name in self._sensors if name in outcome.frames), None)
        if name is not None:
            self._base = Image.fromarray(_visible(outcome.frames[name], self._task.sensor(name)))
        elif outcome.state == "fresh":
            self._base = Image.new("RGB", self._base.size)
        colours = Image.fromarray(outcome.mask)
        colours.putpalette(self._palette)
        blended = Image.blend(self._base, colours.convert("RGB"), MASK_SHARE)
        return blended if blended.size == self._shown else blended.resize(self._shown, Image.Resampling.NEAREST)

    def _caption(self, outcome: Outcome) -> None:
        draw, width, top = ImageDraw.Draw(self._canvas), self._canvas.width, self._shown[1]
        draw.rectangle((0, top, width, top + 2 * _LINE + _EDGE // 2), _PAPER)
        ink = _INK if outcome.state == "fresh" else _RED
        time = f"{outcome.tick.time_ns / 1e9:.2f} s"
        self._line(draw, top + _EDGE // 2, _headline(outcome), ink, time)
        trust = "" if outcome.expected_miou is None else f"expected mIoU {outcome.expected_miou:.2f}"
        self._line(draw, top + _EDGE // 2 + _LINE, outcome.why, _PALE, trust)

    def _line(self, draw: ImageDraw.ImageDraw, top: int, left: str, ink: tuple[int, int, int], right: str) -> None:
        """One line of the caption; `left` gives way to `right`."""
        room = self._canvas.width - 2 * _EDGE
        if right:
            draw.text((_EDGE + room, top), right, _INK, self._font, anchor="ra")
            room -= round(self._font.getlength(right)) + 2 * _EDGE
        draw.text((_EDGE, top), _cut(left, room, self._font), ink, self._font)

    def _legend(self, width: int) -> Image.Image:
        """The classes with their colours, in as many lines as they take."""
        spots, left, line = [], _EDGE, 0
        for name in self._task.classes:
            name = _cut(name, width - 2 * _EDGE - 2 * _SWATCH, self._font)
            wide = _SWATCH + 6 + round(self._font.getlength(name)) + 2 * _EDGE
            if left > _EDGE and left + wide > width:
                left, line = _EDGE, line + 1
            spots.append((left, line * _LINE, name))
            left += wide
        legend = Image.new("RGB", (width, (line + 1) * _LINE + _EDGE // 2), _PAPER)
        draw = ImageDraw.Draw(legend)
        for (left, top, name), colour in zip(spots, self._task.colours, strict=True):
            draw.rectangle((left, top + 3, left + _SWATCH, top + 3 + _SWATCH), colour, _PALE)
            draw.text((left + _SWATCH + 6, top), name, _PALE, self._font)
        return legend


def _headline(outcome: Outcome) -> str:
    if outcome.state == "blind":
        return "blind: no mask"
    if outcome.state == "held":
        return f"held for {outcome.mask_age_ms or 0:.0f} ms"
    return outcome.scenario


def _visible(frame: npt.NDArray[Any], sensor: Sensor) -> npt.NDArray[np.uint8]:
    """HxWx3 RGB of a frame; what is no 8-bit colour is shown in grey, spread around the sensor's mean."""
    colour = sensor.channels >= 3
    if frame.dtype != np.uint8:
        place = slice(0, 3) if colour else slice(0, 1)
        mean, std = np.array(sensor.mean[place], np.float32), np.array(sensor.std[place], np.float32)
        scaled = (frame[..., place].astype(np.float32) - mean) / (2 * _SPREAD * std) + 0.5
        frame = (np.nan_to_num(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)
    shown = frame[..., :3] if colour else np.repeat(frame[..., :1], 3, axis=2)
    return np.ascontiguousarray(shown)


def _cut(text: str, room: int, font: Any) -> str:
    """`text`, cut to `room` pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text}..."


def _even(value: int) -> int:
    return value + value % 2
