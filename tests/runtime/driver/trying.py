"""What the tests of the driver share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver
from tests.runtime.pretend.images import trivial_image


def tells(words: str) -> AbstractContextManager[pytest.ExceptionInfo[EngineError]]:
    """An EngineError is to come out, and to say `words` (a pattern)."""
    return pytest.raises(EngineError, match=words)


def scaled(driver: Driver, values: Any, factor: float) -> Any:
    """`values` times `factor`, by the kernel `scale`."""
    stream, module = driver.stream(), driver.module(trivial_image())
    memory, answer = driver.allocate(values.nbytes), np.empty_like(values)
    driver.copy_in(memory.address, values, stream)
    arguments = (memory.address, np.int32(values.size), np.float32(factor))
    driver.launch(module.function("scale"), (values.size, 1, 1), (1, 1, 1), 0, stream, arguments)
    driver.copy_out(answer, memory.address, stream)
    stream.synchronize()
    return answer
