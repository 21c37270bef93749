"""What a bundle will take of a board: bytes on its disk, and memory; computed before anything is sent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dis2_boards.deployment.shipment import Shipment
from dis2_boards.deployment.wheels import unpacked_bytes
from dis2_boards.prediction.memory import BASE_MB, COPIES, WORKSPACE_MB
from dis2_edge.bundle import Bundle
from dis2_edge.manifest import Dialect
from dis2_edge.quantities import MB, megabytes

RESERVE_BYTES = 200 * MB
"""Left free for flights, logs and the system."""
_PLANS_PER_MODEL = 3
"""Bytes of TensorRT plans and timing cache for each byte of a model file for it."""
_MAPS_PER_PIXEL = 4 * 64
"""Bytes a pixel of the grid for what lies between layers: 64 maps of FP32, shared between models."""


@dataclass(frozen=True)
class Room:
    """Bytes on the board's disk, by what takes them."""

    sent: int
    """Files that the board lacks."""
    environment: int
    """The version's own environment, unpacked."""
    engines: int
    """TensorRT's plans."""
    reserve: int = RESERVE_BYTES
    """Left free."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.sent + self.environment + self.engines + self.reserve

    def __str__(self) -> str:
        parts = (
            (self.sent, "to send"),
            (self.environment, "for the environment"),
            (self.engines, "for engines"),
            (self.reserve, "in reserve"),
        )
        return ", ".join(f"{megabytes(count)} {name}" for count, name in parts if count)


def room(shipment: Shipment, lacking_bytes: int, *, tensorrt: bool) -> Room:
    """What the board's disk must hold beside what it holds: an environment is counted whole, though it may be there."""
    models = {row.file for row in shipment.bundle.manifest.models if row.dialect == "trt"} if tensorrt else set()
    engines = _PLANS_PER_MODEL * sum(shipment.bundle.manifest.files[name].bytes for name in models)
    return Room(lacking_bytes, unpacked_bytes(shipment.wheel_paths.values()), engines)


def memory_bytes(bundle: Bundle, dialects: Collection[str]) -> int:
    """Memory to prove and fly the largest precision of `dialects` with all scenarios loaded: an estimate."""
    manifest = bundle.manifest
    groups: dict[tuple[Dialect, str], set[str]] = {}
    for row in manifest.models:
        if row.dialect in dialects:
            groups.setdefault((row.dialect, row.precision), set()).add(row.file)
    height, width = manifest.task.grid
    return max(
        round(
            COPIES[dialect] * sum(manifest.files[name].bytes for name in names)
            + (BASE_MB[dialect] + WORKSPACE_MB[dialect]) * MB
            + _MAPS_PER_PIXEL * height * width
        )
        for (dialect, _), names in groups.items()
    )
