"""Write a report beside its pictures, and read one back to draw its page again."""

from __future__ import annotations

from pathlib import Path

from dis2_edge.errors import DataError
from dis2_edge.files import read_json, write_json, write_text
from dis2_edge.report import page
from dis2_edge.report.schema import Report

JSON, HTML = "report.json", "report.html"


def write(report: Report, folder: Path) -> None:
    """Write report.json, which is the truth, and report.html, which is drawn from it and the pictures in `folder`."""
    write_json(folder / JSON, report.to_table())
    write_text(folder / HTML, page.render(report, folder))


def draw(folder: Path) -> None:
    """Draw report.html from the report.json in `folder`, which may come from a machine that cannot; DataError."""
    write_text(folder / HTML, page.render(read(folder), folder))


def read(folder: Path) -> Report:
    """The report in `folder`; DataError when there is none or it is broken."""
    return Report.from_table(read_json(folder / JSON, DataError), str(folder / JSON))
