"""Engines, one file each; `open_engine` takes the one that serves a bundle here."""

from __future__ import annotations

from typing import Literal

from dis2_edge.bundle import Bundle
from dis2_runtime.engine import Engine

__all__ = ["open_engine"]


def open_engine(bundle: Bundle, precision: Literal["int8", "fp32"] = "int8", threads: int = 0) -> Engine:
    """An engine with every scenario of `bundle` at `precision`, loaded and warmed.

    `threads` are those of one inference; 0 takes all cores that this process may use. Raises EngineError when the
    bundle holds no such model or one cannot be loaded.
    """
    from dis2_runtime.engines.onnx_runtime import OnnxEngine

    return OnnxEngine(bundle, precision, threads)
