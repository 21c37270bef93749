"""What a bundle will take of a board: bytes on its disk, and memory; computed before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_boards.deployment.shipment import Shipment
from dis2_boards.deployment.wheels import unpacked_bytes
from dis2_edge.bundle import Bundle

MB = 1_000_000
RESERVE_BYTES = 200 * MB
"""Left free for flights, logs and the system."""
_PLANS_PER_MODEL = 3
"""Bytes of TensorRT plans and timing cache for each byte of a model file for it."""
_RUNTIME_BYTES = 250 * MB
"""Python, NumPy and the engine's own libraries, before any model is loaded; rough, rounded up."""
_COPIES = 2
"""Weights are held once as they were read and once as the engine wants them."""
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


def memory_bytes(bundle: Bundle) -> int:
    """Memory to prove and fly the bundle's largest precision with all scenarios loaded: an estimate."""
    manifest = bundle.manifest
    groups: dict[tuple[str, str], set[str]] = {}
    for row in manifest.models:
        groups.setdefault((row.dialect, row.precision), set()).add(row.file)
    weights = max(sum(manifest.files[name].bytes for name in names) for names in groups.values())
    height, width = manifest.task.grid
    return _RUNTIME_BYTES + _COPIES * weights + _MAPS_PER_PIXEL * height * width


def megabytes(count: int) -> str:
    """`count` bytes for people."""
    return f"{count / 1000:.0f} kB" if count < MB else f"{count / MB:,.0f} MB"
