"""Prove a bundle where it will fly: each precision of each engine loaded, held to the goldens, timed; one is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dis2_boards.telemetry import open_telemetry
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import EngineName, Wanted
from dis2_edge.errors import BundleError, UserError, told
from dis2_edge.manifest import Precision
from dis2_edge.terminal import note
from dis2_edge.tiles_file import read_tiles
from dis2_edge.timing import describe_machine
from dis2_runtime.engines import can_tensorrt, precisions_for
from dis2_runtime.engines.rows import rows_at
from dis2_runtime.selftest.apart import prove_apart
from dis2_runtime.selftest.choosing import Choice, choose
from dis2_runtime.selftest.precision import How
from dis2_runtime.selftest.rows import Row, failed

__all__ = ["Proof", "prove"]

PACKAGES = ("numpy", "onnxruntime", "tensorrt")
"""Packages that the figures depend on."""
_NO_TENSORRT = "TensorRT is not installed here with a CUDA driver's package"

Prover = Callable[[Bundle, EngineName, Precision, How], Sequence[Row]]


@dataclass(frozen=True)
class Proof:
    """What a bundle does on this machine."""

    bundle: str
    """Its id."""
    machine: dict[str, Any]
    """What it was proven on."""
    rows: tuple[Row, ...]
    """Every model of the engines that were tried."""
    engine: EngineName | None
    """The engine that flies; None where none can."""
    precision: Precision | None
    """The precision that flies."""
    why: str
    """What the choice was weighed against, and all that is wrong."""

    def to_table(self) -> dict[str, Any]:
        """What proof.json holds."""
        chosen = {"engine": self.engine, "precision": self.precision} if self.engine else None
        rows = [row.to_table() for row in self.rows]
        return {
            "bundle": self.bundle,
            "engine": self.engine,
            "machine": self.machine,
            "rows": rows,
            "chosen": chosen,
            "why": self.why,
        }


def prove(bundle: Bundle, how: How, engine: Wanted = "auto", max_drop: float = 0.5, run: Prover = prove_apart) -> Proof:
    """Prove `bundle`: TensorRT first where it has files for it, ONNX Runtime as the rung below.

    The first engine that has a precision to fly is chosen; `max_drop` is in points of mIoU. What fails stands in the
    proof with its reason, and stops nothing else. Of an engine that only stands in, accuracy is not measured. `run`
    proves one precision.
    """
    machine = _machine()
    problem = _damage(bundle, how)
    if problem:
        return Proof(bundle.id, machine, (), None, None, problem)
    rows: list[Row] = []
    choices: list[Choice] = []
    for name in _engines(bundle, engine):
        flies = any(choice.precision for choice in choices)
        rows += _rows(bundle, name, dataclasses.replace(how, tiles=None) if flies else how, run)
        choices.append(choose(bundle, name, rows, max_drop))
    why = "; ".join(choice.why for choice in choices)
    best = next((choice for choice in choices if choice.precision), None)
    if best is None:
        why = why or f"{bundle.path} holds no model for {engine}"
        return Proof(bundle.id, machine, tuple(rows), None, None, why)
    return Proof(bundle.id, machine, tuple(rows), best.engine, best.precision, why)


def _machine() -> dict[str, Any]:
    """What the figures hold for: a board's times are those of its power mode."""
    with open_telemetry(prefer="sysfs") as telemetry:
        power_mode = telemetry.read().power_mode
    return {**dataclasses.asdict(describe_machine(PACKAGES)), "power_mode": power_mode}


def _damage(bundle: Bundle, how: How) -> str:
    """What is wrong before any engine is asked; nothing where all is whole."""
    try:
        bundles.verify_hashes(bundle)
        if how.tiles is not None:
            read_tiles(how.tiles, bundle.manifest.task)
        if not bundle.manifest.goldens:
            raise BundleError(f"{bundle.path} holds no golden: nothing can be proven", mend="quantize and deploy again")
    except UserError as error:
        return str(error)
    return ""


def _engines(bundle: Bundle, wanted: Wanted) -> list[EngineName]:
    """The engines to try, best first: those that the bundle holds files for."""
    names: tuple[EngineName, ...] = ("tensorrt", "onnxruntime")
    return [name for name in names if wanted in ("auto", name) and precisions_for(bundle, name)]


def _rows(bundle: Bundle, engine: EngineName, how: How, run: Prover) -> list[Row]:
    """The rows of every precision of an engine."""
    found: list[Row] = []
    for precision in precisions_for(bundle, engine):
        if engine == "tensorrt" and not can_tensorrt():
            found += _failed(bundle, engine, precision, _NO_TENSORRT)
            continue
        note(f"proving {engine} {precision}")
        try:
            found += run(bundle, engine, precision, how)
        except (UserError, MemoryError, OSError) as error:
            note(f"{engine} {precision} cannot fly here: {told(error)}")
            found += _failed(bundle, engine, precision, told(error))
    return found


def _failed(bundle: Bundle, engine: EngineName, precision: Precision, why: str) -> list[Row]:
    return [failed(row, engine, why) for row in rows_at(bundle, engine, precision)]
