"""What was found out about a machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Detected:
    """A machine as its own files tell it; what they do not tell is empty, never guessed."""

    board: str = ""
    """Name of the board as in dis2-edge's TOML files; empty when none fits."""
    kind: str = ""
    """`jetson`, `pc` (x86) or `arm64` (any other 64-bit ARM); empty when not even that is known."""
    model: str = ""
    """What the maker calls the machine: the device tree's model, or a PC's DMI name."""
    module: str = ""
    """Number of a Jetson's module with its variant, such as p3767-0000."""
    machine: str = ""
    """Processor architecture as uname tells it, such as aarch64."""
    memory_bytes: int = 0
    """Memory that the kernel has."""
    gpu: str = ""
    """A PC's NVIDIA card as its driver calls it."""
    l4t: str = ""
    """Jetson Linux release, such as 36.4.3."""
    jetpack: str = ""
    """JetPack release, such as 6.2."""
    cuda: str = ""
    """CUDA release, such as 12.6."""
    tensorrt: str = ""
    """TensorRT release, such as 10.3.0."""
    python: str = ""
    """Python release: of the interpreter asking, or of a tree's /usr/bin/python3."""
    power_mode: str = ""
    """Name of the power mode that is set."""
    modes: tuple[str, ...] = ()
    """Names of the power modes that the board's own /etc/nvpmodel.conf holds, in its order."""
    mode_limits: dict[str, dict[str, float | int | None]] = field(default_factory=dict)
    """What it caps in each mode, by name: `gpu_max_mhz`, `processors` (online), `gpu_mask` (bits that are off)."""
    default_mode: str = ""
    """Name of the power mode in which that file says the board starts."""
    gpu_max_mhz: float | None = None
    """Clock up to which the GPU may go now, in the mode that is set."""
    why: str = ""
    """How the board was told, in words."""

    def to_table(self) -> dict[str, Any]:
        """Plain JSON: the fields by name."""
        return {**dataclasses.asdict(self), "modes": list(self.modes)}
