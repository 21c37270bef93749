"""A wish to stop (SIGTERM, as SLURM and container hosts send before they kill), heard at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from lightning_fabric import Fabric

_ASK_EVERY = 8
"""Steps between two times that several processes ask each other; one process alone hears itself at every step."""


class Stop:
    """Hears SIGTERM while it is open as a `with`; outside the main thread it hears nothing."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._heard = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def wanted(self, step: int) -> bool:
        """Whether to stop after `step`; the same answer in all processes, whichever of them heard the signal."""
        if self._fabric.world_size == 1:
            return self._heard
        if (step + 1) % _ASK_EVERY:
            return False
        heard = torch.tensor(float(self._heard), device=self._fabric.device)
        return bool(self._fabric.all_reduce(heard, reduce_op="sum"))

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard = True
