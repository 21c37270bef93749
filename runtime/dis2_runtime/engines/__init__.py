"""Engines, one file each; `open_engine` takes the one that serves a bundle here."""

from __future__ import annotations

from functools import partial
from typing import Literal

from dis2_edge.bundle import Bundle
from dis2_runtime.engine import Engine
from dis2_runtime.guard import Rung

__all__ = ["open_engine", "rungs"]


def open_engine(bundle: Bundle, precision: Literal["int8", "fp32"] = "int8", threads: int = 0) -> Engine:
    """An engine with every scenario of `bundle` at `precision`, loaded and warmed.

    `threads` are those of one inference; 0 takes all cores that this process may use. Raises EngineError when the
    bundle holds no such model or one cannot be loaded.
    """
    from dis2_runtime.engines.onnx_runtime import OnnxEngine

    return OnnxEngine(bundle, precision, threads)


def rungs(bundle: Bundle, precision: Literal["int8", "fp32"] = "int8", threads: int = 0) -> list[Rung]:
    """The engines that can stand in for one another: `precision` first, then the others that the bundle holds."""
    held = {row.precision for row in bundle.manifest.models if (row.dialect, row.io) == ("ort", "frame")}
    order: list[Literal["int8", "fp32"]] = [precision, "fp32" if precision == "int8" else "int8"]
    return [
        Rung(name, partial(open_engine, bundle, name, threads))
        for place, name in enumerate(order)
        if place == 0 or name in held
    ]
