"""TensorRT's Python package: found or missed, its version, and what it says turned into EngineErrors."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dis2_edge.errors import EngineError, UserError

__all__ = ["OLDEST", "Trt", "load"]

OLDEST = (10, 3)
"""The first version whose calls are those used here: JetPack 6.2's."""
_KEPT = 20
"""Messages of TensorRT that an error may quote."""
_TOLD = 3
_MEND = (
    "TensorRT comes with JetPack (package python3-libnvinfer), not from pip: make the environment with "
    "python3 -m venv --system-site-packages"
)


class Trt:
    """The package `module`, with a logger that keeps what it says."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.version = str(module.__version__)
        self.said: deque[str] = deque(maxlen=_KEPT)
        self.logger = _logger(module, self.said)
        self.ahead: dict[str, bytes] = {}
        """PTX of the operators that were registered ahead of time, by name."""

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    @contextmanager
    def failures(self, doing: str, mend: str = "") -> Iterator[None]:
        """Turn whatever TensorRT raises inside into an EngineError that quotes what it said meanwhile."""
        self.said.clear()
        try:
            yield
        except UserError:
            raise
        except (RuntimeError, TypeError, ValueError, MemoryError, AttributeError) as error:
            raise self.error(f"{doing}: {_first_line(error)}", mend) from error

    def error(self, found: str, mend: str = "") -> EngineError:
        """An EngineError of `found` and the last things that TensorRT said."""
        said = "; ".join(list(self.said)[-_TOLD:])
        return EngineError(f"{found} (TensorRT {self.version}: {said})" if said else found, mend=mend)


_LOADED: dict[Any, Trt] = {}
"""What was loaded, for good: TensorRT keeps the first logger that it is given for the whole process, without owning
it, and takes back no operator that was registered ahead of time."""


def load(find: Callable[[str], Any] = importlib.import_module) -> Trt:
    """TensorRT of this machine, the same each time; EngineError with the mend where there is none, or too old a one."""
    try:
        module = find("tensorrt")
    except (ImportError, OSError) as error:  # OSError: the package is there and its libraries are not
        raise EngineError(f"TensorRT is not installed here ({_first_line(error)})", mend=_MEND) from error
    trt = _LOADED.setdefault(module, _LOADED.get(module) or Trt(module))
    if trt.release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EngineError(f"TensorRT {trt.version} is here", expected=f"{oldest} or newer", mend="use JetPack 6.2")
    return trt


def _logger(module: Any, said: deque[str]) -> Any:
    """A logger of TensorRT's that keeps errors and warnings and prints nothing: a flight's terminal is not its own."""
    severities = module.ILogger.Severity
    kept = (severities.INTERNAL_ERROR, severities.ERROR, severities.WARNING)

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in kept:
                said.append(msg.strip().split("\n")[0])

    return Logger()


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
