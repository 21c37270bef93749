"""Draw the report's page: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dis2_edge.errors import DataError, MissingExtraError
from dis2_edge.report import plots
from dis2_edge.report.faulted import strips
from dis2_edge.report.plots import ms
from dis2_edge.report.schema import Measured, Picture, Profiled, Report, Stream, Tile
from dis2_edge.report.sensing import energies, sensed_rows
from dis2_edge.report.timeline import changes, timeline
from dis2_edge.report.waterfall import waterfall
from dis2_edge.scenario import BLIND, sensors_of

if TYPE_CHECKING:
    import jinja2

_ROOM = Path(__file__).parent


def need_templates() -> None:
    """Say before a long measurement, not after it, that the page cannot be drawn."""
    if importlib.util.find_spec("jinja2") is None:
        raise MissingExtraError("jinja2", "report")


def templates() -> jinja2.Environment:
    """What every page of ours is drawn with: all is escaped, and a name that is not there is a fault."""
    need_templates()
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def style() -> str:
    """The style sheet that every page of ours has inside."""
    return (_ROOM / "style.css").read_text("utf-8")


def render(report: Report, folder: Path) -> str:
    """The page of `report`; its pictures are read from `folder` and put into the page itself."""
    environment = templates()
    environment.filters.update(percent=percent, points=points, ms=ms)
    environment.globals.update(
        plots=plots,
        timeline=timeline,
        strips=strips,
        waterfall=waterfall,
        changes=changes,
        summary=summary,
        exact=exact_kind(report),
        sentences=sentences,
        confusions=confusions,
        tile_rows=tile_rows,
        flown_by=flown_by,
        energies=energies,
        sensed_rows=sensed_rows,
        styles=_styles(report),
        picture=lambda shown: _embedded(shown, folder),
    )
    template = environment.from_string((_ROOM / "page.html.jinja").read_text("utf-8"))
    return template.render(report=report, style=style())


def percent(share: float | None) -> str:
    """A share 0..1 in percent, one digit; a dash when there is none."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def points(share: float | None) -> str:
    """A difference of shares in points, with its sign."""
    if share is None or math.isnan(share):
        return "–"
    return f"{round(100 * share, 2) + 0.0:+.2f}".replace("-", "−")  # adding 0 turns -0.0 into 0.0


def summary(report: Report) -> list[dict[str, Any]]:
    """One row a bundle and scenario: the exact precision beside INT8, what was lost, what was won."""
    exact = exact_kind(report)
    rows = []
    for turn, bundle in enumerate(report.bundles):
        scenarios = dict.fromkeys(row.scenario for row in bundle.rows)
        for place, scenario in enumerate(scenarios):
            before, after = _found(bundle, scenario, exact), _found(bundle, scenario, "int8")
            rows.append(
                {
                    "bundle": bundle,
                    "first": not place,
                    "span": len(scenarios),
                    "turn": turn,
                    "scenario": scenario,
                    "exact": before,
                    "int8": after,
                    "worst": _worst_class(bundle, before, after),
                    "lost": before.scores.miou - after.scores.miou if before and after else None,
                    "speed_up": before.latency.median_ms / after.latency.median_ms if before and after else None,
                }
            )
    return rows


def exact_kind(report: Report) -> str:
    """What INT8 is set against: fp32, on a board without it fp16; empty where neither was measured."""
    kinds = {row.precision for bundle in report.bundles for row in bundle.rows}
    return next((kind for kind in ("fp32", "fp16") if kind in kinds), "")


def sentences(report: Report) -> list[str]:
    """What each bundle does when a sensor is lost, and in its worst scenario, in words."""
    told = []
    for bundle in report.bundles:
        kind = "int8" if any(row.precision == "int8" for row in bundle.rows) else bundle.rows[0].precision
        rows = {row.scenario: row for row in bundle.rows if row.precision == kind}
        full = max(rows, key=lambda name: len(sensors_of(name)))
        miou = rows[full].scores.miou
        parts = [f"{bundle.name} in {kind.upper()}: mean IoU {percent(miou)} % with {full}"]
        for lost in sensors_of(full):
            left = "+".join(name for name in sensors_of(full) if name != lost)
            if left in rows:
                found = rows[left].scores.miou
                parts.append(f"without {lost} {percent(found)} % ({points(found - miou)} points)")
        worst = min(rows, key=lambda name: rows[name].scores.miou)
        if len(sensors_of(worst)) < len(sensors_of(full)) - 1:
            parts.append(f"at worst, with {worst} alone, {percent(rows[worst].scores.miou)} %")
        told.append("; ".join(parts) + ".")
    return told


def confusions(bundle: Profiled) -> list[dict[str, Any]]:
    """A table a scenario: share of each true class's pixels that were called each class; INT8 where measured."""
    tables = []
    for scenario in dict.fromkeys(row.scenario for row in bundle.rows):
        row = _found(bundle, scenario, "int8") or next(row for row in bundle.rows if row.scenario == scenario)
        counts = np.array(row.confusion, np.float64)
        total = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        columns = len(bundle.classes) + bool(counts[:, -1].any())
        tables.append(
            {
                "scenario": scenario,
                "precision": row.precision,
                "shares": shares[:, :columns].tolist(),
                "pixels": total[:, 0].astype(int).tolist(),
                "oa": row.scores.oa,
            }
        )
    return tables


def tile_rows(report: Report) -> list[list[tuple[Profiled, Tile]]]:
    """The tiles of all bundles, those of one image together."""
    by_image: dict[str, list[tuple[Profiled, Tile]]] = {}
    for bundle in report.bundles:
        for tile in bundle.tiles:
            by_image.setdefault(tile.id, []).append((bundle, tile))
    return list(by_image.values())


def flown_by(report: Report, stream: Stream) -> str:
    """The name of the bundle that flew `stream`, where it is among the report's."""
    names = [bundle.name for bundle in report.bundles if bundle.id == stream.bundle]
    return names[0] if names else stream.network or stream.name


def _found(bundle: Profiled, scenario: str, precision: str) -> Measured | None:
    rows = [row for row in bundle.rows if (row.scenario, row.precision) == (scenario, precision)]
    return rows[0] if rows else None


def _worst_class(bundle: Profiled, before: Measured | None, after: Measured | None) -> str:
    """The class that lost most between two rows, with its points."""
    if before is None or after is None:
        return "–"
    lost = np.array(before.scores.iou) - np.array(after.scores.iou)
    if np.isnan(lost).all():
        return "–"
    index = int(np.nanargmax(lost))
    return f"{bundle.classes[index]} {points(float(-lost[index]))}"


def _styles(report: Report) -> dict[str, str]:
    """Scenario -> the style of its colour, the same in every plot."""
    names = [row.scenario for bundle in report.bundles for row in bundle.rows]
    flights = [flight for bundle in report.bundles for flight in bundle.through]
    names += [span.scenario for flight in flights for span in flight.spans if span.scenario != BLIND]
    names += [tick.scenario for stream in report.streams for tick in stream.ticks if tick.scenario != BLIND]
    return {name: f"sc{place % 7}" for place, name in enumerate(dict.fromkeys(names))}


def _embedded(shown: Picture, folder: Path) -> str:
    try:
        data = (folder / shown.file).read_bytes()
    except OSError as cause:
        raise DataError(f"the report's picture {shown.file} cannot be read ({cause.strerror})") from cause
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
