"""The `trt` files of a quantised run: islands found, files written, what answers for them, and the evidence of range.

An int8 file is run by ONNX Runtime as it is. Of an fp16 file that would prove nothing: its simulation answers for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from dis2_edge.dataset import DataSet
from dis2_edge.files import write_json
from dis2_edge.manifest import Dialect, Precision
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_edge.terminal import progress, warn
from dis2_quantize.judging.halves import HalfSegmenter, islands, measure, single_form
from dis2_quantize.judging.judge import Candidate, Runner
from dis2_quantize.judging.ranges import Ranges
from dis2_quantize.judging.tensor_model import TensorModel
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.rounding.record import placement_table
from dis2_quantize.writing.trt import write
from dis2_train.data.batches import Split, whole_images

FILES: dict[Dialect, tuple[Precision, ...]] = {"ort": ("fp32", "int8"), "trt": ("fp16", "int8")}
"""Which precisions each dialect is written in."""
ISLAND_IMAGES = 8
"""Images by whose FP32 ranges islands are chosen; the limit leaves a factor of two for what they do not show."""
Graphs = Mapping[str, fx.GraphModule]
"""One traced, or placed and calibrated, network a scenario."""


@dataclass(frozen=True)
class TypedFile:
    """A file of the `trt` dialect."""

    candidate: Candidate
    """What is to be judged."""
    runner: Runner
    """What answers for it."""
    islands: tuple[str, ...]
    """Nodes that compute in FP32."""


def write_typed(
    networks: Mapping[Precision, Graphs],
    task: Task,
    seen: Split,
    folder: Path,
    metadata: Mapping[tuple[Precision, str], Mapping[str, str]],
) -> list[TypedFile]:
    """Write the fp16 and int8 files of `networks` below `folder`; their islands come from the first images of `seen`.

    `metadata` goes into the files, by precision and scenario. The precisions that `trt` has no file of are left out.
    """
    wanted = [(precision, scenario) for precision in FILES["trt"] for scenario in networks.get(precision, ())]
    return [
        _write(
            networks[precision][scenario],
            Candidate(scenario, precision, _path(folder, scenario, precision), "trt", "tensor"),
            task,
            list(_inputs(seen, scenario, ISLAND_IMAGES)),
            metadata[precision, scenario],
        )
        for precision, scenario in progress(wanted, "write trt files")
    ]


def write_placement(networks: Mapping[Precision, Graphs], folder: Path) -> None:
    """Write placement.json: of each int8 scenario every tensor's format, scale and reason, in both dialects."""
    tables: dict[str, Any] = {}
    for scenario, network in networks.get("int8", {}).items():
        forms: dict[Dialect, fx.GraphModule] = {"ort": network, "trt": typed_form(network)}
        tables[scenario] = {name: [asdict(row) for row in placement_table(form, name)] for name, form in forms.items()}
    write_json(folder / "placement.json", tables)


def write_ranges(
    files: Iterable[TypedFile], networks: Graphs, data: DataSet, task: Task, split: str, folder: Path
) -> None:
    """Write ranges.json: the largest |x| over `split` of FP16, simulated, and of FP32; warn where FP16 cannot hold it.

    Call it when the files were judged on `split`: FP16's ranges are those of the images judged (and of the goldens).
    """
    told: dict[str, Any] = {}
    for file in files:
        if isinstance(file.runner, HalfSegmenter):
            ranges = file.runner.ranges
            told[f"{file.candidate.scenario}/fp16"] = {**ranges.to_table(), "islands": file.islands}
            _warn(file.candidate, ranges)
    judged = Split(data, split, task, torch.device("cpu"))
    for scenario, network in progress(list(networks.items()), "ranges of FP32"):
        images = _inputs(judged, scenario, len(judged))
        told[f"{scenario}/fp32"] = measure(single_form(network), images).to_table()
    write_json(folder / "ranges.json", told)


def overflows(files: Iterable[TypedFile]) -> dict[Candidate, str]:
    """The first tensor of each simulated file that FP16 could not hold on the images judged."""
    simulated = {file.candidate: file.runner.ranges for file in files if isinstance(file.runner, HalfSegmenter)}
    return {candidate: ranges.too_large[0].tensor for candidate, ranges in simulated.items() if ranges.too_large}


def _write(
    network: fx.GraphModule,
    candidate: Candidate,
    task: Task,
    images: list[tuple[Tensor, ...]],
    metadata: Mapping[str, str],
) -> TypedFile:
    single = islands(network, images)
    form = typed_form(network, single)
    told = {**metadata, "islands": json.dumps(single)}
    write(form, task, candidate.scenario, candidate.file, told)
    sensors = task.used(candidate.scenario)
    halves = candidate.precision == "fp16"
    return TypedFile(
        candidate, HalfSegmenter(form, sensors) if halves else TensorModel(candidate.file, sensors), single
    )


def _path(folder: Path, scenario: str, precision: Precision) -> Path:
    return folder / "models" / f"{scenario}-{precision}-trt-tensor.onnx"


def _inputs(split: Split, scenario: str, images: int) -> Iterator[tuple[Tensor, ...]]:
    """The first `images` whole images as a form takes them."""
    for _, batch in zip(range(images), whole_images(split, 1), strict=False):
        yield tuple(batch.frames[name] for name in sensors_of(scenario))


def _warn(candidate: Candidate, ranges: Ranges) -> None:
    for row in ranges.too_large[:1]:
        warn(f"{candidate.file.name}: {row.tensor} reaches {row.largest:g} in FP16: leave that file out")
