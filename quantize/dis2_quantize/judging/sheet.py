"""A contact sheet: rows of pictures under headings, each row over its caption, a legend of colours at the foot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dis2_edge.report.pictures import Rgb

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
PAPER, INK, PALE = (255, 255, 255), (30, 34, 40), (110, 116, 126)
SIDE, GAP, LINE, SIZE = 256, 10, 22, 14
"""Pixels: longer side of a picture, room between pictures, height of a line of words, of the letters."""


@dataclass(frozen=True)
class Entry:
    """One row."""

    name: str
    """What it shows."""
    figures: str
    """What is told beside the name."""
    pictures: Mapping[str, Rgb]
    """Heading of each column -> picture HxWx3, all of one size."""


@dataclass(frozen=True)
class Swatch:
    """One colour of the legend."""

    name: str
    """What it stands for."""
    colour: Colour
    """Red, green, blue, 0-255."""


def lay_out(title: str, entries: Sequence[Entry], legends: Sequence[Sequence[Swatch]]) -> Rgb:
    """The sheet, HxWx3 uint8, of entries that have the same columns; each legend begins a line."""
    font = ImageFont.load_default(SIZE)
    headings = list(entries[0].pictures)
    height, width = _fitted(next(iter(entries[0].pictures.values()))).shape[:2]
    breadth = GAP + len(headings) * (width + GAP)
    lines = [line for legend in legends for line in _broken(legend, breadth, font)]
    row = height + LINE + GAP
    top = GAP + 2 * LINE
    sheet = Image.new("RGB", (breadth, top + len(entries) * row + len(lines) * LINE + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), _cut(title, breadth - 2 * GAP, font), INK, font)
    for place, entry in enumerate(entries):
        _draw_row(sheet, pen, entry, top + place * row, headings if place == 0 else [], font)
    for place, line in enumerate(lines):
        _draw_line(pen, line, top + len(entries) * row + place * LINE, font)
    drawn: npt.NDArray[np.uint8] = np.asarray(sheet)
    return drawn


def _draw_row(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, top: int, headings: Sequence[str], font: Font
) -> None:
    left = GAP
    for place, picture in enumerate(entry.pictures.values()):
        small = _fitted(picture)
        if headings:
            pen.text((left, top - LINE + 2), _cut(headings[place], small.shape[1], font), PALE, font)
        sheet.paste(Image.fromarray(small), (left, top))
        pen.rectangle((left - 1, top - 1, left + small.shape[1], top + small.shape[0]), outline=PALE)
        left += small.shape[1] + GAP
    told = _cut(f"{entry.name}: {entry.figures}", left - 2 * GAP, font)
    pen.text((GAP, top + small.shape[0] + 4), told, INK, font)


def _draw_line(pen: ImageDraw.ImageDraw, line: Sequence[Swatch], top: int, font: Font) -> None:
    left = float(GAP)
    for swatch in line:
        pen.rectangle((left, top + 3, left + SIZE, top + 3 + SIZE), swatch.colour, PALE)
        pen.text((left + SIZE + 6, top + 2), swatch.name, INK, font)
        left += _width(swatch, font)


def _broken(legend: Sequence[Swatch], breadth: int, font: Font) -> Iterator[list[Swatch]]:
    """The legend in lines that fit."""
    line: list[Swatch] = []
    for swatch in legend:
        if line and GAP + sum(_width(one, font) for one in (*line, swatch)) > breadth:
            yield line
            line = []
        line.append(swatch)
    yield line


def _width(swatch: Swatch, font: Font) -> float:
    return SIZE + 6 + font.getlength(swatch.name) + 2 * GAP


def _fitted(picture: Rgb) -> Rgb:
    """`picture` with its longer side brought to `SIDE`; small ones grow by whole factors, which keeps pixels square."""
    longer = max(picture.shape[:2])
    factor = float(SIDE // longer) if longer <= SIDE else SIDE / longer
    height, width = (max(1, round(length * factor)) for length in picture.shape[:2])
    way = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), way))


def _cut(words: str, width: float, font: Font) -> str:
    """As much of `words` as fits in `width` pixels."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "...") > width:
        words = words[:-1]
    return words + "..."
