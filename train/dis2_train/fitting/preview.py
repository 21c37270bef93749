"""A sheet that shows how training comes along: a few fixed images, their truth, and the mask of each scenario."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from dis2_edge.report.pictures import Rgb, in_colours, visible
from dis2_train.data.batches import Batch, Split, whole
from dis2_train.networks.seam import Network

_SIDE, _GAP, _LINE = 160, 6, 18
"""Pixels: longer side of a picture, room between pictures, height of a line of words."""
_NEAREST = Image.Resampling.NEAREST
_PAPER, _INK = (255, 255, 255), (30, 34, 40)
Column = tuple[str, list[Rgb]]
"""Heading, and one picture an image."""


class Preview:
    """Up to `count` images of a split, spread over it and the same at every look."""

    def __init__(self, split: Split, count: int = 4) -> None:
        self.task = split.task
        chosen = np.unique(np.linspace(0, len(split) - 1, count).round().astype(int)).tolist()
        self._ids = [split.ids[image] for image in chosen]
        self._batch = whole(split, chosen)
        self._known = self._drawn(self._batch)

    @torch.no_grad()
    def sheet(self, network: Network) -> Rgb:
        """A picture HxWx3: one row an image; its sensors, the truth, and what `network` sees in each scenario.

        The network is put in eval mode for the time.
        """
        task, training = self.task, network.training
        columns = list(self._known)
        network.eval()
        for scenario in task.scenarios:
            used = {sensor.name: self._batch.frames[sensor.name] for sensor in task.used(scenario)}
            masks = network(used, scenario).logits.argmax(1).to(torch.uint8).cpu().numpy()
            columns.append((f"mask of {scenario}", [_fitted(in_colours(mask, task), _NEAREST) for mask in masks]))
        network.train(training)
        return _laid_out(columns, self._ids, tuple(zip(task.classes, task.colours, strict=True)))

    def _drawn(self, batch: Batch) -> list[Column]:
        """The columns that stay."""
        columns = []
        for sensor in self.task.sensors:
            frames = batch.frames[sensor.name].permute(0, 2, 3, 1).cpu().numpy()  # (B, H, W, C)
            columns.append((sensor.name, [_fitted(visible(frame, sensor), Image.Resampling.BOX) for frame in frames]))
        truth = batch.target.to(torch.uint8).cpu().numpy()
        return [*columns, ("truth", [_fitted(in_colours(label, self.task), _NEAREST) for label in truth])]


def _fitted(picture: Rgb, way: Image.Resampling) -> Rgb:
    """`picture` with its longer side brought to `_SIDE`."""
    factor = _SIDE / max(picture.shape[:2])
    height, width = (max(1, round(length * factor)) for length in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), way))


def _laid_out(columns: Sequence[Column], ids: Sequence[str], classes: Sequence[tuple[str, str]]) -> Rgb:
    """Pictures of one size under the heading of their column, each row over its image's id; below the classes."""
    height, width = columns[0][1][0].shape[:2]
    size = (len(columns) * (width + _GAP) + _GAP, (len(ids) + 1) * _LINE + len(ids) * height + _LINE)
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for place, (heading, pictures) in enumerate(columns):
        corner = _GAP + place * (width + _GAP)
        pen.text((corner, 3), _cut(heading, width, font), _INK, font)
        for row, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (corner, _LINE + row * (height + _LINE)))
    for row, id_ in enumerate(ids):
        pen.text((_GAP, _LINE + row * (height + _LINE) + height + 2), _cut(id_, width, font), _INK, font)
    left = float(_GAP)
    for name, colour in classes:
        pen.rectangle((left, size[1] - _LINE + 4, left + 10, size[1] - 4), colour, _INK)
        pen.text((left + 14, size[1] - _LINE + 2), name, _INK, font)
        left += 14 + font.getlength(name) + 2 * _GAP
    drawn: npt.NDArray[np.uint8] = np.asarray(sheet)
    return drawn


def _cut(words: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """As much of `words` as fits in `width` pixels."""
    while words and font.getlength(words) > width:
        words = words[:-1]
    return words
