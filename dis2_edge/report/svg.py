"""Small SVG drawings as text: rectangles, lines, words, round axis steps. Colours come from the page's style."""

from __future__ import annotations

import math
from html import escape


def drawing(width: float, height: float, parts: list[str], label: str) -> str:
    """An inline SVG of `parts`, `width` x `height` units, that fills its column; `label` is read to the blind."""
    view = f'viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px"'
    return f'<svg {view} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def rect(x: float, y: float, width: float, height: float, style: str, title: str = "") -> str:
    """A rectangle of the page's class `style`; `title` shows when it is pointed at."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.0):.2f}" height="{height:.1f}"'
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect class="{style}" {place}>{inner}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def dot(x: float, y: float, radius: float, style: str, title: str = "") -> str:
    """A filled circle."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{inner}</circle>'


def words(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    """A line of text whose baseline stands at `y`; `anchor` is start, middle or end."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def round_steps(highest: float, wanted: int = 5) -> list[float]:
    """About `wanted` round numbers from 0 to at least `highest`: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if highest <= 0 or not math.isfinite(highest):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / wanted))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * wanted >= highest * 0.999)
    return [step * place for place in range(math.ceil(highest / step - 1e-9) + 1)]
