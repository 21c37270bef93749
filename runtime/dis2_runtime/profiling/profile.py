"""Profile bundles side by side: accuracy and latency of every scenario, as report.json and a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from dis2_boards.telemetry import Prefer, Watch, open_telemetry
from dis2_edge import __version__
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.engine_names import EngineName, Wanted
from dis2_edge.errors import BundleError, EngineError
from dis2_edge.files import new_folder
from dis2_edge.labelled import Images
from dis2_edge.manifest import BY_EXACTNESS, Precision
from dis2_edge.percentiles import Spread
from dis2_edge.report import page
from dis2_edge.report.schema import Profiled, Report
from dis2_edge.report.sensed import Sensed
from dis2_edge.report.streams import read_stream, with_masks
from dis2_edge.report.through import Through
from dis2_edge.report.write import write
from dis2_edge.settings import from_table
from dis2_edge.timing import describe_machine, usable_cores
from dis2_runtime.engines import can_tensorrt, precisions_for
from dis2_runtime.profiling.measure import Findings, measure_bundle
from dis2_runtime.profiling.showcase import show, telling
from dis2_runtime.profiling.through import fly_through

READ_EVERY_S = 0.25
"""Time between two readings of the machine's sensors: models are timed for seconds, and an energy needs three."""


@dataclass(frozen=True)
class Choices:
    """How a profile is taken."""

    split: str = "test"
    """Split that is counted."""
    images: int = 0
    """Images of it, spread evenly; 0 takes all."""
    precisions: tuple[str, ...] = ()
    """fp32, fp16, int8; empty takes all that a bundle holds."""
    engine: Wanted = "auto"
    """What runs them: TensorRT where bundle and machine have it, unless one is named."""
    threads: int = 0
    """Threads of one inference; 0 takes all cores that this process may use."""
    calls: int = 200
    """Timed calls of each model."""
    seconds: float = 20.0
    """Time after which a slow model is timed no longer, once there are 20 calls."""
    faults: bool = False
    """Whether labelled pictures are flown through each kind of fault of each sensor as well."""
    telemetry: Prefer = "auto"
    """What reads the machine's power and temperatures meanwhile."""


def profile(
    paths: Sequence[Path],
    data: Path,
    out: Path,
    *,
    describe: Path | None = None,
    choices: Choices | None = None,
    streams: Sequence[Path] = (),
    title: str = "",
    command: str = "",
) -> Report:
    """Measure the bundles at `paths` on the data set in `data`; write the new folder `out`, return its report.

    `streams` are folders that `dis2-edge run` wrote, shown in the same report. Raises BundleError on an altered bundle,
    DataError on data that does not fit it, EngineError, StorageError.
    """
    if not paths:
        raise BundleError("no bundle was given", expected="one or more")
    page.need_templates()
    choices = choices or Choices()
    opened = [_proven(path) for path in paths]
    dataset = open_dataset(data, describe)
    flown = [read_stream(path) for path in streams]
    jobs = [
        _job(bundle, dataset, choices) for bundle in opened
    ]  # all that can be refused is, before the first is timed
    with new_folder(out) as folder:
        with Watch(open_telemetry(prefer=choices.telemetry), READ_EVERY_S) as watch:
            measured = [_measure(job, choices, watch) for job in jobs]
        chosen = telling(_shared([found.error_shares for found in measured]))
        images = jobs[0].images
        report = Report(
            title=title or f"{' and '.join(bundle.manifest.name for bundle in opened)} on {dataset.name}",
            command=command,
            version=__version__,
            machine=describe_machine(),
            threads=choices.threads or usable_cores(),
            data=dataset.name,
            split=choices.split,
            images=len(images.names),
            images_in_split=images.in_split,
            bundles=tuple(
                _profiled(job, found, chosen, choices, folder) for job, found in zip(jobs, measured, strict=True)
            ),
            sensed=from_table(Sensed, watch.watched().to_table(), where="telemetry"),
            streams=tuple(
                with_masks(stream, path, folder, f"stream{place}")
                for place, (stream, path) in enumerate(zip(flown, streams, strict=True))
            ),
        )
        write(report, folder)
    return report


@dataclass(frozen=True)
class _Job:
    """One bundle, and what it is measured on."""

    bundle: Bundle
    images: Images
    precisions: tuple[str, ...]


def _proven(path: Path) -> Bundle:
    bundle = bundles.read(path)
    bundles.verify_hashes(bundle)
    return bundle


def _job(bundle: Bundle, data: DataSet, choices: Choices) -> _Job:
    return _Job(bundle, Images(bundle, data, choices.split, choices.images), _precisions(bundle, choices))


def _measure(job: _Job, choices: Choices, watch: Watch) -> Findings:
    return measure_bundle(
        job.bundle, job.images, job.precisions, choices.threads, choices.calls, choices.seconds, choices.engine, watch
    )


def _shared(error_shares: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """Image -> error shares of all bundles, for the images that every bundle saw: the same tiles for each."""
    common = [name for name in error_shares[0] if all(name in table for table in error_shares)]
    return {name: [share for table in error_shares for share in table[name]] for name in common}


def _profiled(job: _Job, found: Findings, chosen: Mapping[str, str], choices: Choices, folder: Path) -> Profiled:
    manifest, task = job.bundle.manifest, job.bundle.manifest.task
    pictured = cast(Precision, job.precisions[-1])
    through: tuple[Through, ...] = ()
    stages: dict[str, Spread] = {}
    if choices.faults:
        through, stages = fly_through(job.bundle, job.images, pictured, choices.threads, engine=choices.engine)
    return Profiled(
        id=job.bundle.id,
        name=manifest.name,
        network=manifest.network,
        board=manifest.board,
        recipe_hash=manifest.recipe_hash,
        sensors=task.sensor_names,
        classes=task.classes,
        colours=task.colours,
        grid=task.grid,
        rows=tuple(found.rows),
        tiles=show(job.bundle, job.images, chosen, pictured, choices.threads, folder, choices.engine),
        pictured=pictured,
        provenance=dict(manifest.provenance),
        through=through,
        stages=stages,
    )


def _precisions(bundle: Bundle, choices: Choices) -> tuple[str, ...]:
    """The precisions to measure, FP32 first; EngineError for one that the bundle does not hold."""
    engines: list[EngineName] = ["onnxruntime", "tensorrt"] if can_tensorrt() else ["onnxruntime"]
    if choices.engine != "auto":
        engines = [choices.engine]
    held = {precision for engine in engines for precision in precisions_for(bundle, engine)}
    if not held:
        others = [name for name in ("onnxruntime", "tensorrt") if precisions_for(bundle, name)]
        mend = f"its models are for --engine {' or '.join(others)}" if others else "quantize and deploy again"
        raise EngineError(f"{bundle.path} holds no model for {' or '.join(engines)}, which is what is here", mend=mend)
    for precision in choices.precisions:
        if precision not in held:
            raise EngineError(f"{bundle.path} holds no {precision} model", expected=f"one of {', '.join(sorted(held))}")
    return tuple(kind for kind in BY_EXACTNESS if kind in (choices.precisions or held))
