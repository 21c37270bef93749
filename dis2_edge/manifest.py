"""The manifest of a bundle: all that a board knows of sensors, classes, grid, normalisation, models and policy."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dis2_edge import strict_json
from dis2_edge.bundle_paths import check_twins, safe_path
from dis2_edge.errors import BundleError, RecipeError
from dis2_edge.settings import from_table
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task

FORMAT = 2
"""Version of the manifest's shape; a reader refuses every other one."""

Precision = Literal["fp32", "fp16", "int8"]
BY_EXACTNESS: tuple[Precision, ...] = get_args(Precision)
"""Number formats, the most exact first."""
Dialect = Literal["ort", "trt"]
Io = Literal["frame", "tensor"]
Judge = Literal["onnxruntime", "simulation"]

_MOST_FILES, _MOST_BYTES = 4096, 1 << 33
"""More than any bundle has: a manifest that states more is refused before anything is unpacked or copied."""
_AGAIN = "make the bundle again with this dis2-edge: dis2-edge deploy QRUN --out BUNDLE; or use the one that made it"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelRow:
    """One model file: where it is used, and what it was measured to do."""

    scenario: str
    """The sensors that it reads."""
    precision: Precision
    """Number format of its convolutions."""
    dialect: Dialect
    """ort: ONNX Runtime's own integer operators; trt: strongly typed for TensorRT."""
    io: Io
    """frame: raw HWC frames in, mask and confidence out; tensor: normalised NCHW in, logits out."""
    file: str
    """Path within the bundle."""
    golden_agreement: float
    """Least share (0..1) of a golden mask's pixels that must come out equal."""
    golden_error: float
    """Largest error (0..1) of the confidence that a golden may show."""
    miou: float | None = None
    """Mean IoU (0..1) on the test split, measured with this very file (or see `judged_by`); None when not measured."""
    class_iou: tuple[float | None, ...] = ()
    """IoU of each class on that split; None for a class that did not occur."""
    judged_by: Judge = "onnxruntime"
    """What answered when it was measured and recorded: the file under ONNX Runtime, or a simulation of its FP16."""


@dataclass(frozen=True)
class Golden:
    """One recorded input with the answers of every model row."""

    name: str
    """Name of the sample."""
    file: str
    """npz within the bundle: HWC array of each sensor; `SCENARIO/PRECISION/mask` and `.../confidence` of each row.

    Rows of the dialect `trt` answer under `SCENARIO/PRECISION/trt/mask` and `.../confidence`.
    """


@dataclass(frozen=True)
class Policy:
    """How the stream behaves where the rig says nothing else."""

    anchor: str = ""
    """Sensor whose frames start a tick; empty ticks at `rate_hz`."""
    rate_hz: float = 10.0
    """Ticks a second without an anchor, and when the anchor is silent."""
    return_after: int = 3
    """Good frames before a lost sensor is believed again."""
    hold_ms: float = 500.0
    """How long, in milliseconds, the last mask may be repeated when there is no new one."""
    max_skew_ms: float = 0.0
    """Largest time, in milliseconds, between the captures of two frames that make one mask; 0 sets no limit."""
    silent_periods: float = 1.5
    """Silence of the anchor, in its periods, after which a timer takes its place."""
    deadline_ms: float = 0.0
    """Time after which a tick is answered by the last mask, as the engine has not answered; 0 is a tick's period."""
    stall_ms: float = 10_000.0
    """Time after which an engine that does not come back is given up and opened anew."""

    def __post_init__(self) -> None:
        whole = 0 < self.rate_hz < math.inf and self.return_after >= 1 and 1 <= self.silent_periods < math.inf
        spans = (self.hold_ms, self.max_skew_ms, self.deadline_ms, self.stall_ms)
        if not whole or not all(0 <= span < math.inf for span in spans) or self.stall_ms == 0:
            expected = (
                "rate_hz above 0, stall_ms above 0, return_after 1 or more, silent_periods 1 or more, "
                "hold_ms 0 or more, max_skew_ms 0 or more, deadline_ms 0 or more"
            )
            raise RecipeError(f"policy {self}", expected=expected)

    def ticks_hz(self, task: Task) -> float:
        """Ticks a second: those of the anchor's frames, else `rate_hz`."""
        return task.sensor(self.anchor).rate_hz if self.anchor else self.rate_hz


@dataclass(frozen=True)
class FileRow:
    """What a file of the bundle must be."""

    sha256: str
    """SHA-256 in lower-case hexadecimal."""
    bytes: int
    """Size."""


@dataclass(frozen=True)
class Manifest:
    """The contents of manifest.json, whole and consistent: a bad value raises BundleError when it is made."""

    name: str
    """Name of the bundle, for people."""
    network: str
    """Name of the network that the models come from."""
    recipe_hash: str
    """Hash of the resolved recipe, also in each model's metadata."""
    task: Task
    """Sensors with normalisation, classes, grid."""
    statistics: tuple[SensorStatistics, ...]
    """What each sensor's frames looked like in training; the thresholds of health."""
    models: tuple[ModelRow, ...]
    """One row for each scenario, precision, dialect and io."""
    goldens: tuple[Golden, ...]
    """Inputs and answers that prove an engine right."""
    policy: Policy
    """How the stream behaves."""
    board: str
    """Board profile that the bundle was made for."""
    files: dict[str, FileRow] = dataclasses.field(default_factory=dict)
    """Every file but manifest.json, manifest.sha256 and manifest.sig, by its path with `/`."""
    provenance: dict[str, str] = dataclasses.field(default_factory=dict)
    """What it was made of and with; never a time, a user or a host name."""
    format: int = FORMAT
    """Version of this shape."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise BundleError(f"bundle format {self.format}", expected=f"{FORMAT}", mend=_AGAIN)
        if not self.models:
            raise BundleError("the manifest lists no model", expected="one row or more")
        _check_names(self)
        _check_models(self)
        _check_policy(self.policy, self.task)
        _check_files(self.files)

    def to_table(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        table = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        table["task"] = self.task.to_table()
        for key in ("statistics", "models", "goldens"):
            table[key] = [dataclasses.asdict(row) for row in table[key]]
        table["policy"] = dataclasses.asdict(self.policy)
        table["files"] = {path: dataclasses.asdict(row) for path, row in self.files.items()}
        table["provenance"] = dict(self.provenance)
        return table


def parse(text: bytes, where: str = "manifest.json") -> Manifest:
    """The manifest in `text` (UTF-8 JSON); whatever does not fit is a BundleError that names `where`."""
    try:
        table = strict_json.parse(text)
        if isinstance(table, dict) and table.get("format") != FORMAT:
            raise BundleError(f"{where}: bundle format {table.get('format')!r}", expected=f"{FORMAT}", mend=_AGAIN)
        return from_table(Manifest, table, where=where, error=BundleError)
    except (RecipeError, ValueError, OverflowError, RecursionError) as cause:
        raise BundleError(f"{where} is not a readable manifest ({cause})") from cause


def _check_files(files: dict[str, FileRow]) -> None:
    for path, row in files.items():
        safe_path(path)
        if not _SHA256.fullmatch(row.sha256) or row.bytes < 0:
            raise BundleError(f"{path}: bad hash or size in the manifest")
    total = sum(row.bytes for row in files.values())
    if len(files) > _MOST_FILES or total > _MOST_BYTES:
        found = f"the manifest lists {len(files)} files of {total} bytes in all"
        raise BundleError(found, expected=f"at most {_MOST_FILES} files of {_MOST_BYTES} bytes")
    check_twins(files)


def _check_names(manifest: Manifest) -> None:
    sensors = manifest.task.sensor_names
    measured = tuple(row.name for row in manifest.statistics)
    if measured not in ((), sensors):
        raise BundleError(f"statistics of {list(measured)}", expected=f"of {list(sensors)}, in that order")
    for kind, names in (
        ("model row", [(row.scenario, row.precision, row.dialect, row.io) for row in manifest.models]),
        ("golden", [golden.name for golden in manifest.goldens]),
    ):
        double = _first_double(names)
        if double is not None:
            raise BundleError(f"{kind} {double!r} stands twice in the manifest")


def _first_double(names: Iterable[Any]) -> Any:
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_models(manifest: Manifest) -> None:
    for row in manifest.models:
        if row.scenario not in manifest.task.scenarios:
            raise BundleError(f"model row of scenario {row.scenario!r}", expected=f"one of {manifest.task.scenarios}")
        if not (0 <= row.golden_agreement <= 1 and 0 <= row.golden_error <= 1):
            raise BundleError(f"{row.file}: tolerances {row.golden_agreement}, {row.golden_error}", expected="0..1")
        if len(row.class_iou) not in (0, len(manifest.task.classes)):
            raise BundleError(f"{row.file}: {len(row.class_iou)} values of class_iou", expected="one a class")
    for path in [row.file for row in manifest.models] + [golden.file for golden in manifest.goldens]:
        safe_path(path)


def _check_policy(policy: Policy, task: Task) -> None:
    if policy.anchor and policy.anchor not in task.sensor_names:
        raise BundleError(f"anchor {policy.anchor!r}", expected=f"one of {list(task.sensor_names)}, or empty")
