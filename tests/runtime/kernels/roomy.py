"""A room of memory over kernels built for the CPU, for tests of launchers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dis2_runtime.kernels.proving import Room
from tests.runtime.kernels.host_driver import HostDriver


@contextlib.contextmanager
def room_of(kernel: str, schedule: int = 0, driver: HostDriver | None = None) -> Iterator[Room]:
    driver = driver or HostDriver(schedule)
    room = Room(driver, driver.built(kernel), driver.stream())
    try:
        yield room
    finally:
        room.close()
