"""How much memory a bundle is predicted to take on a board, while engines are built and while they run.

Engines of every scenario are loaded together, each with its weights; as only one runs at a time they share one scratch
memory, which must hold the most activations that any of them holds at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dis2_edge.costs import LayerCost
from dis2_edge.manifest import Dialect

MB = 1e6
WORKSPACE_MB: dict[Dialect, float] = {"trt": 1073.7, "ort": 0.0}
"""Scratch memory of an engine's layers, at most: the 1024 MiB that our builder allows TensorRT; none is built for ONNX
Runtime."""
BASE_MB: dict[Dialect, float] = {"trt": 800.0, "ort": 190.0}
"""A flight without its models: sources, sinks, engine library, under TensorRT the CUDA context too (unverified there).

For ONNX Runtime it is what a flight took (docs/runtime.md) less its weights and activations.
"""
COPIES: dict[Dialect, float] = {"trt": 1.0, "ort": 2.0}
"""Times that an engine holds its weights: ONNX Runtime keeps the file's beside its own, packed ones."""
SYSTEM_MB = 1500.0
"""What a board's own system takes of the memory that processor and GPU share (unverified)."""
FACTOR = 1.5
"""How far a predicted memory may be off; chosen, not measured."""


@dataclass(frozen=True)
class Memory:
    """What one precision of a bundle is predicted to take; nobody measured it."""

    weights_mb: float
    """Weights of all scenarios, in MB of 10^6 bytes."""
    activations_mb: float
    """Most activations that one scenario holds at once."""
    workspace_mb: float
    """Bound of the engine's scratch memory."""
    base_mb: float
    """What the process takes before any model."""
    run_mb: float
    """All together while it flies, workspace included."""
    build_mb: float
    """All together while the engine of the largest file is built; 0 where nothing is built."""


def memory(files: Mapping[str, Sequence[LayerCost]], dialect: Dialect) -> Memory | None:
    """What the layers of `files`, one a scenario, take together; None where weights and activations are not told."""
    layers = [layer for file in files.values() for layer in file]
    if any(layer.weights is None or layer.alive is None for layer in layers):
        return None
    weights = {name: sum(layer.weights or 0 for layer in file) / MB for name, file in files.items()}
    activations = max(layer.alive or 0 for layer in layers) / MB
    held = sum(weights.values()) * COPIES[dialect]
    scratch = activations + WORKSPACE_MB[dialect] + BASE_MB[dialect]
    # A build holds the file, the parsed network, and the engine that is tried and the one that is kept.
    build = 4 * max(weights.values()) + scratch if dialect == "trt" else 0.0
    return Memory(
        weights_mb=sum(weights.values()),
        activations_mb=activations,
        workspace_mb=WORKSPACE_MB[dialect],
        base_mb=BASE_MB[dialect],
        run_mb=held + scratch,
        build_mb=build,
    )
