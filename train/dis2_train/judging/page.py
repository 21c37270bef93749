"""Write a comparison: comparison.json holds every figure, comparison.html shows them in one file without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dis2_edge import __version__
from dis2_edge.files import write_json, write_text
from dis2_edge.report.page import style, templates
from dis2_train.judging.comparison import Comparison, Estimate, Row, plain
from dis2_train.judging.forest import forest
from dis2_train.judging.noise import LEVELS
from dis2_train.judging.tables import measure_words, named, percent

FORMAT = 1
_ROOM = Path(__file__).parent


def write_comparison(out: Path, found: Comparison, lead: str, command: str = "") -> None:
    """Write comparison.json and comparison.html into the folder `out`; `lead` is the measure that the page is about."""
    page = render(found, lead, command)
    write_json(out / "comparison.json", to_table(found))
    write_text(out / "comparison.html", page)


def to_table(found: Comparison) -> dict[str, Any]:
    """All figures as plain values; an estimate is [value, low, high], shares 0..1, a difference with its verdict."""
    return {
        "format": FORMAT,
        "dis2_edge": __version__,
        "dataset": found.dataset,
        "split": found.split,
        "images": found.images,
        "classes": list(found.classes),
        "sensors": list(found.sensors),
        "grid": list(found.grid),
        "resamples": found.resamples,
        "reference": found.reference,
        "conditions": {condition.name: condition.weights for condition in found.conditions},
        "rows": [_row(row) for row in found.rows],
        "parts": {
            name: {"images": part.images, "rows": [_row(row) for row in part.rows]}
            for name, part in found.parts.items()
        },
    }


def render(found: Comparison, lead: str, command: str = "") -> str:
    """The page: what was compared, a forest plot of differences, tables of everything, what the words mean."""
    environment = templates()
    environment.globals.update(
        sentences=sentences,
        named=named,
        words=measure_words,
        percent=percent,
        interval=_interval,
        points=_points,
        classes_of=_classes_of,
    )
    template = environment.from_string((_ROOM / "comparison.html.jinja").read_text("utf-8"))
    return template.render(
        found=found,
        lead=lead,
        command=command,
        version=__version__,
        style=style(),
        forest=forest(found, lead),
        levels=LEVELS,
    )


def sentences(found: Comparison, lead: str) -> list[str]:
    """Of each row, the conditions in which it is surely better or worse than the reference, and those that are open."""
    told = []
    for row in found.rows:
        sides: dict[str, list[str]] = {}
        for condition in found.conditions:
            if less := row.differences.get(condition.name, {}).get(lead):
                sides.setdefault(less.verdict, []).append(condition.name)
        parts = [f"{phrase} {', '.join(sides[side])}" for side, phrase in _PHRASES.items() if side in sides]
        told += [f"{row.name} against {found.reference}, {measure_words(lead)}: {'; '.join(parts)}."] if parts else []
    return told


_PHRASES = {
    "better": "surely better in",
    "worse": "surely worse in",
    "unsure": "not told apart in",
    "same": "exactly the same in",
}


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "members": list(row.members),
        "networks": list(row.networks),
        "seeds": list(row.seeds),
        "scores": plain(row.scores),
        "differences": plain(row.differences),
        "verdicts": {
            condition: {measure: one.verdict for measure, one in table.items()}
            for condition, table in row.differences.items()
        },
        "costs": {name: {"parameters": cost.parameters, "gflop": cost.gflop} for name, cost in row.costs.items()},
    }


def _interval(found: Estimate | None) -> str:
    return "" if found is None else f"{100 * found.low:.1f} – {100 * found.high:.1f}"


def _points(found: Estimate | None) -> str:
    return "–" if found is None else f"{100 * found.value:+.1f}".replace("-", "−")


def _classes_of(found: Comparison) -> list[str]:
    return [name for name in found.measures if name.startswith("iou ")]
