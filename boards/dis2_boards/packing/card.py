"""The model card: what a bundle is, what it was measured to do, and where it must not be trusted, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dis2_boards.packing.kernels import PackedKernels
from dis2_boards.packing.licences import Licence
from dis2_boards.packing.pins import Wheel
from dis2_boards.profile import Board
from dis2_edge.manifest import BY_EXACTNESS, Manifest, ModelRow
from dis2_edge.quantities import percent


@dataclass(frozen=True)
class Contents:
    """What a bundle brings beside its models."""

    locks: Mapping[str, Sequence[Wheel]] = field(default_factory=dict)
    """The packages that a board installs, by Python and machine."""
    licences: Sequence[Licence] = ()
    """What each is under."""
    kernels: PackedKernels | None = None
    """CUDA kernels; None where the board has no use for them."""


def model_card(manifest: Manifest, board: Board, contents: Contents) -> str:
    """The card as Markdown; equal manifests give equal cards."""
    sections = (
        _head(manifest, board),
        "## Accuracy on the test split\n\n" + _accuracy(manifest, board),
        "## IoU of each class\n\n" + _classes(manifest, board),
        "## Sensors\n\n" + _sensors(manifest),
        "## Limits\n\n" + _limits(manifest),
        "## What it brings\n\n" + _brought(manifest, contents),
        "## Where it comes from\n\n" + _table(("what", "value"), sorted(manifest.provenance.items())),
    )
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def _head(manifest: Manifest, board: Board) -> str:
    height, width = manifest.task.grid
    classes = ", ".join(manifest.task.classes)
    return (
        f"# {manifest.name}\n\n"
        f"Network `{manifest.network}` for the board `{board.name}` ({board.summary}). It tells "
        f"{len(manifest.task.classes)} classes apart ({classes}) "
        f"on a grid of {height} x {width} pixels (height x width). "
        f"Recipe hash `{manifest.recipe_hash}`, bundle format {manifest.format}."
    )


def _accuracy(manifest: Manifest, board: Board) -> str:
    """One line a scenario: mean IoU of each precision side by side, and what INT8 costs."""
    first = _flying(manifest, board)
    miou = {(row.scenario, str(row.precision)): row.miou for row in (*manifest.models, *first)}
    precisions = [kind for kind in BY_EXACTNESS if any(kind == row.precision for row in manifest.models)]
    rows = []
    for scenario in (name for name in manifest.task.scenarios if any(name == row.scenario for row in manifest.models)):
        before, after = miou.get((scenario, "fp32")), miou.get((scenario, "int8"))
        drop = f"{100 * (before - after):+.2f}" if before is not None and after is not None else "not measured"
        rows.append((scenario, *(percent(miou.get((scenario, kind))) for kind in precisions), drop))
    return _table(("scenario", *(f"mIoU {kind.upper()} (%)" for kind in precisions), "lost by INT8 (points)"), rows)


def _classes(manifest: Manifest, board: Board) -> str:
    rows = [
        (row.scenario, row.precision.upper(), *map(percent, row.class_iou))
        for row in _flying(manifest, board)
        if row.class_iou
    ]
    if not rows:
        return "Not measured."
    return _table(("scenario", "precision", *(f"{name} (%)" for name in manifest.task.classes)), rows)


def _sensors(manifest: Manifest) -> str:
    rows = [
        (
            sensor.name,
            sensor.kind,
            sensor.channels,
            sensor.dtype,
            sensor.unit,
            f"{sensor.valid_min:g} to {sensor.valid_max:g}",
            f"{sensor.rate_hz:g}",
            f"{sensor.max_age_ms:g}",
        )
        for sensor in manifest.task.sensors
    ]
    columns = ("name", "kind", "channels", "type", "unit", "valid range", "rate (Hz)", "maximum age (ms)")
    return _table(columns, rows)


def _limits(manifest: Manifest) -> str:
    served = {row.scenario for row in manifest.models}
    unserved = [scenario for scenario in manifest.task.scenarios if scenario not in served]
    lines = [
        "- The figures hold for data like the training data; other places, seasons, heights of flight and sensors were "
        "not measured.",
        "- The confidence that comes with a mask is the network's own softmax. It is not calibrated.",
        "- With no usable sensor there is no mask: the runtime says that it is blind and repeats the last mask "
        f"for at most {manifest.policy.hold_ms:g} ms.",
    ]
    lines += [
        f"- {sensor.name} pauses by itself for up to {sensor.pause_ms:g} ms, as a thermal camera does to correct its "
        "picture. Meanwhile it is `paused`, and the other sensors fly on."
        for sensor in manifest.task.sensors
        if sensor.pause_ms
    ]
    if unserved:
        lines.append(f"- No model serves {', '.join(unserved)}; a model that needs fewer sensors takes its place.")
    return "\n".join(lines)


def _brought(manifest: Manifest, contents: Contents) -> str:
    """Kernels, packages and licences, and what was not proven where the bundle was made."""
    lines = [_kernels(contents.kernels)] if contents.kernels is not None else []
    if any(row.dialect == "trt" for row in manifest.models):
        lines.append(
            "- Models for TensorRT are built, and proven against the goldens, on the board. Where this bundle was made "
            "they need not have run."
        )
    for tag, wheels in contents.locks.items():
        size = sum(wheel.bytes for wheel in wheels) / 1e6
        lines.append(f"- For {tag}: {len(wheels)} packages, {size:.1f} MB to send, listed in `wheels/{tag}.lock`.")
    if not contents.locks:
        lines.append("- No packages for a board: it flies where dis2-edge is installed.")
    rows = [(row.name, row.version, row.stated, f"`{row.file}`") for row in contents.licences]
    return "\n".join(lines) + "\n\n" + _table(("package", "version", "licence", "texts"), rows)


def _kernels(kernels: PackedKernels) -> str:
    if kernels.targets:
        return f"- CUDA kernels: sources, and files for {' and '.join(kernels.targets)}."
    return f"- CUDA kernels: sources alone; they are compiled on the board if it has nvcc. Why: {kernels.why}."


def _flying(manifest: Manifest, board: Board) -> list[ModelRow]:
    """The models that fly on the board, without those that stand in for them when its GPU fails."""
    return [row for row in manifest.models if row.dialect == board.dialect]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a `|` within a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
