"""TensorRT missed, broken or too old: an error that says where it comes from; there, it is loaded once."""

from __future__ import annotations

from typing import Any

import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.engines.tensorrt.bindings import load
from tests.runtime.pretend import fake_tensorrt
from tests.runtime.pretend.tensorrt_api import ALL


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (ImportError("No module named 'tensorrt'"), "python3 -m venv --system-site-packages"),
        (OSError("libnvinfer.so.10: cannot open shared object file"), "libnvinfer.so.10: cannot open"),
    ],
)
def test_a_missing_tensorrt_says_where_it_comes_from(find: Exception, message: str) -> None:
    def fail(name: str) -> Any:
        raise find

    with pytest.raises(EngineError, match=message):
        load(fail)


def test_an_old_tensorrt_is_refused() -> None:
    class Old:
        __version__ = "8.6.1"
        ILogger = type("ILogger", (), {"Severity": type("S", (), {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2})})

    with pytest.raises(EngineError, match=r"TensorRT 8\.6\.1 is here; expected 10\.3 or newer"):
        load(lambda _: Old)


@pytest.mark.parametrize("version", ALL)
def test_there_is_one_logger_a_process(version: str) -> None:
    """TensorRT goes on using the first logger that it got, and forgets no operator registered ahead of time."""
    fake = fake_tensorrt.make(version, gpu=None)
    first = load(lambda _: fake)
    logger, ahead = first.logger, first.ahead
    del first
    again = load(lambda _: fake)
    assert again.logger is logger
    assert again.ahead is ahead
