"""The report of a proof on labelled tiles: JSON, the truth, and the page where it can be drawn."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dis2_edge import __version__
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import FOR_PEOPLE, EngineName
from dis2_edge.files import check_free, new_folder, write_json
from dis2_edge.report.schema import Profiled, Report
from dis2_edge.report.write import HTML, JSON, draw
from dis2_edge.terminal import note
from dis2_edge.timing import describe_machine, usable_cores
from dis2_runtime.selftest.prove import PACKAGES, Proof

__all__ = ["check_report", "report_of", "write_report"]


def check_report(folder: Path) -> None:
    """StorageError where `folder` holds anything but an earlier report, which a new one replaces."""
    if not _holds_report(folder):
        check_free(folder)


def write_report(folder: Path, bundle: Bundle, proof: Proof, tiles: Path, threads: int) -> None:
    """Write the folder `folder`, in place of an earlier report: report.json, and report.html where Jinja is.

    A board lacks it as a rule: `dis2_edge.report.write.draw` draws the page anywhere else.
    """
    with new_folder(folder, replace=_holds_report(folder)) as scratch:
        write_json(scratch / JSON, report_of(bundle, proof, tiles.name.lstrip("."), threads).to_table())
        if importlib.util.find_spec("jinja2"):
            draw(scratch)
        else:
            note("report.json is written; its page is drawn where dis2-edge[report] is installed")


def report_of(bundle: Bundle, proof: Proof, data: str, threads: int) -> Report:
    """Counts and times of all rows that were counted, an engine after the other."""
    engines = dict.fromkeys(row.engine for row in proof.rows if row.measured)
    images = max(row.images for row in proof.rows)
    return Report(
        title=f"{bundle.manifest.name} for {bundle.manifest.board}, measured on labelled tiles",
        command="",
        version=__version__,
        machine=describe_machine(PACKAGES),
        threads=threads or usable_cores(),
        data=data,
        split="labelled tiles",
        images=images,
        images_in_split=images,
        bundles=tuple(_profiled(bundle, proof, name) for name in engines),
    )


def _holds_report(folder: Path) -> bool:
    return folder.is_dir() and JSON in (names := {path.name for path in folder.iterdir()}) and names <= {JSON, HTML}


def _profiled(bundle: Bundle, proof: Proof, engine: EngineName) -> Profiled:
    manifest, task = bundle.manifest, bundle.manifest.task
    return Profiled(
        id=bundle.id,
        name=f"{manifest.name} under {FOR_PEOPLE[engine]}",
        network=manifest.network,
        board=manifest.board,
        recipe_hash=manifest.recipe_hash,
        sensors=task.sensor_names,
        classes=task.classes,
        colours=task.colours,
        grid=task.grid,
        rows=tuple(row.measured for row in proof.rows if row.engine == engine and row.measured),
        provenance={**manifest.provenance, "chosen here": proof.why},
    )
