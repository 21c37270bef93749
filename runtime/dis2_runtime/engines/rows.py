"""Which model rows of a bundle each engine flies."""

from __future__ import annotations

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.engine_names import FILES, FOR_PEOPLE, EngineName
from dis2_edge.errors import EngineError
from dis2_edge.manifest import Precision

_MENDS: dict[EngineName, str] = {"onnxruntime": "deploy it for --board host", "tensorrt": "deploy it for a Jetson"}
"""What mends a bundle that holds nothing for an engine."""


def rung_name(engine: EngineName, precision: Precision) -> str:
    """What an engine at a precision is called in flight: `tensorrt fp16`; ONNX Runtime's is its precision alone."""
    return precision if engine == "onnxruntime" else f"{engine} {precision}"


def rung_of(told: str) -> tuple[str, str]:
    """Engine and precision out of what is told of an answer (`tensorrt fp16, reloaded (...)`); empty out of nothing."""
    words = told.partition(",")[0].split()
    return ("", "") if not words else (words[0] if len(words) > 1 else "onnxruntime", words[-1])


def rows_of(bundle: Bundle, engine: EngineName) -> list[ModelRow]:
    """The bundle's models for an engine, in the order of the manifest."""
    return [row for row in bundle.manifest.models if (row.dialect, row.io) == FILES[engine]]


def rows_at(bundle: Bundle, engine: EngineName, precision: str) -> list[ModelRow]:
    """Those of them at `precision`; EngineError naming what there is instead."""
    usable = rows_of(bundle, engine)
    rows = [row for row in usable if row.precision == precision]
    if not rows:
        held = sorted({row.precision for row in usable})
        found = f"{bundle.path} holds no {precision} model for {FOR_PEOPLE[engine]}"
        raise EngineError(found, mend=f"try --precision {' or '.join(held)}" if held else _MENDS[engine])
    return rows
