"""Engines, one room or file each; `open_engine` takes the one that serves a bundle here."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import EngineName, Wanted
from dis2_edge.errors import EngineError
from dis2_edge.manifest import Precision
from dis2_edge.terminal import warn
from dis2_runtime.driver import DRIVERS
from dis2_runtime.engine import Engine
from dis2_runtime.engines.rows import rows_of, rung_name
from dis2_runtime.guard import Rung

__all__ = ["PRECISIONS", "can_tensorrt", "open_engine", "precisions_for", "rungs"]

PRECISIONS: tuple[Precision, ...] = ("int8", "fp16", "fp32")
"""Number formats that an engine computes in, best liked first."""
_JETPACK = "make the environment with `python3 -m venv --system-site-packages` and install dis2-edge[jetson,host]"
_PACKAGES = {"pycuda": "pycuda", "cuda-bindings": "cuda"}


def open_engine(
    bundle: Bundle,
    precision: Precision = "int8",
    threads: int = 0,
    engine: Wanted = "auto",
    plans: Path | None = None,
) -> Engine:
    """An engine with every scenario of `bundle` at `precision`, loaded and warmed.

    `threads` are those of one inference on a CPU; 0 takes all cores that this process may use. Under TensorRT, what was
    not built here yet is built first, which takes minutes, and kept in the folder `plans` (None: beside the bundle).
    Raises EngineError when the bundle holds no such model or one cannot be loaded.
    """
    if _engine_for(bundle, precision, engine) == "tensorrt":
        from dis2_runtime.engines.tensorrt.engine import Settings, TensorRtEngine

        return TensorRtEngine(bundle, precision, Settings(cache=plans))
    from dis2_runtime.engines.onnx_runtime import OnnxEngine

    return OnnxEngine(bundle, precision, threads)


def rungs(
    bundle: Bundle,
    precision: Precision = "int8",
    threads: int = 0,
    engine: Wanted = "auto",
    plans: Path | None = None,
) -> list[Rung]:
    """The engines that can stand in for one another: `precision` first, then the others that the bundle holds.

    Whatever TensorRT flies, ONNX Runtime on the processor stands last, if the bundle holds files for it. `plans` is as
    in `open_engine`.
    """
    first = _engine_for(bundle, precision, engine)
    ways: list[tuple[EngineName, Precision]] = [(first, precision)]
    for name in ("tensorrt", "onnxruntime") if first == "tensorrt" else ("onnxruntime",):
        ways += [(name, kind) for kind in precisions_for(bundle, name) if (name, kind) not in ways]
    return [
        Rung(
            rung_name(name, kind),
            partial(open_engine, bundle, kind, threads, name, plans),
        )
        for name, kind in ways
    ]


def precisions_for(bundle: Bundle, engine: EngineName) -> tuple[Precision, ...]:
    """The precisions that `bundle` holds for an engine, best liked first."""
    held = {row.precision for row in rows_of(bundle, engine)}
    return tuple(precision for precision in PRECISIONS if precision in held)


def can_tensorrt() -> bool:
    """Whether TensorRT and a CUDA driver's package are installed here; neither is loaded for the answer."""
    return find_spec("tensorrt") is not None and any(find_spec(_PACKAGES[name]) for name in DRIVERS)


def _engine_for(bundle: Bundle, precision: Precision, wanted: Wanted = "auto") -> EngineName:
    """The engine that flies `bundle` at `precision` where `wanted` was asked for."""
    if wanted != "auto":
        return wanted
    fast, slower = precisions_for(bundle, "tensorrt"), precisions_for(bundle, "onnxruntime")
    if precision not in fast and (slower or not fast):
        return "onnxruntime"
    if can_tensorrt():
        return "tensorrt"
    held = precision if precision in fast else " and ".join(fast)
    here = f"{bundle.path} holds {held} models for TensorRT, which is not installed here with a CUDA package"
    if precision not in slower:
        mend = f"{_JETPACK}; or take the processor: --precision {slower[0]}" if slower else _JETPACK
        raise EngineError(here, mend=mend)
    warn(f"{here}; the processor takes over, much slower. On a Jetson: {_JETPACK}")
    return "onnxruntime"
