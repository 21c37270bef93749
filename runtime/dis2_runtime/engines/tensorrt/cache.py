"""Plans kept beside bundles: found by all that they depend on, written whole, trusted only with the hash noted then.

A plan loads only under the TensorRT that built it, on the GPU that it was built on. So its name is the SHA-256 of
everything that could make it another: the model's bytes, TensorRT, the GPU and its driver, the kernels, the options.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_edge.files import read_json, write_bytes, write_json
from dis2_runtime.driver import Device
from dis2_runtime.engines.tensorrt.builder import Options

__all__ = ["FOLDER", "Cache", "Form", "Key", "folder_of"]

FOLDER = ".engines"
"""Folder beside a bundle, shared by all bundles there; it may be deleted at any time, which costs a build."""
TIMINGS = "timings"

Form = Literal["function", "plugin"]
"""function: attentions are bodies of plain operators; plugin: they are kernels of our own."""


@dataclass(frozen=True)
class Key:
    """All that a plan depends on."""

    model: str
    """SHA-256 of the ONNX file, as the manifest lists it."""
    form: Form
    """Which of the two forms of that file was built."""
    tensorrt: str
    """Whole version of TensorRT."""
    gpu: str
    """The GPU's name."""
    capability: str
    """Its compute capability."""
    multiprocessors: int
    """How many of its SMs are switched on: a power mode may change it."""
    driver: int
    """The newest CUDA that its driver serves."""
    kernels: str
    """SHA-256 of the kernels that the plan calls; empty for the form `function`."""
    options: str
    """Options of the build."""

    @classmethod
    def of(cls, model: str, form: Form, tensorrt: str, device: Device, kernels: str, options: Options) -> Key:
        """The key of `model` built so, here."""
        major, minor = device.capability
        return cls(
            model,
            form,
            tensorrt,
            device.name,
            f"{major}.{minor}",
            device.multiprocessors,
            device.driver_version,
            kernels if form == "plugin" else "",
            json.dumps(asdict(options), sort_keys=True),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the whole."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class Cache:
    """The plans of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def timings(self, key: Key) -> Path:
        """Where the builder keeps timings of layers: they hold for one TensorRT on one kind of GPU."""
        alike = [key.tensorrt, key.gpu, key.capability, key.multiprocessors, key.driver]
        name = hashlib.sha256(json.dumps(alike).encode()).hexdigest()[:16]
        return self.folder / f"{TIMINGS}-{name}"

    def plan_file(self, key: Key) -> Path:
        """Where the plan of `key` is, or would be."""
        return self.folder / f"{key.digest[:32]}.plan"

    def find(self, key: Key) -> bytes | None:
        """The plan of `key`; None where there is none, or one that is not, to the bit, what was written."""
        noted = self._noted(key)
        try:
            plan = self.plan_file(key).read_bytes()
        except OSError:
            return None
        return plan if noted.get("sha256") == hashlib.sha256(plan).hexdigest() else None

    def noted_ms(self, key: Key) -> float | None:
        """Time of a tick, in milliseconds, that was measured when the plan of `key` passed its goldens."""
        told = self._noted(key).get("told")
        ms = told.get("median_ms") if isinstance(told, Mapping) else None
        return ms if isinstance(ms, float) and self.find(key) is not None else None

    def keep(self, key: Key, plan: bytes, told: Mapping[str, Any] | None = None) -> None:
        """Write the plan, then the note that makes it count; a kill in between leaves a plan that is built again."""
        file = self.plan_file(key)
        write_bytes(file, plan)
        noted = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest(), "told": dict(told or {})}
        write_json(file.with_suffix(".json"), noted)

    def keep_problem(self, key: Key, problem: str) -> None:
        """Note why the plan of `key` may not fly, so that it is not tried at every start."""
        self.drop(key)
        write_json(self.plan_file(key).with_suffix(".json"), {"key": asdict(key), "problem": problem})

    def noted_problem(self, key: Key) -> str:
        """Why the plan of `key` may not fly; nothing where that was not noted."""
        return str(self._noted(key).get("problem", ""))

    def drop(self, key: Key) -> None:
        """Forget the plan of `key`, which did not load or gave a wrong answer."""
        for file in (self.plan_file(key).with_suffix(".json"), self.plan_file(key)):
            file.unlink(missing_ok=True)

    def _noted(self, key: Key) -> Mapping[str, Any]:
        """What was noted of the plan of `key`; nothing where that is of another, or cannot be read."""
        try:
            noted = read_json(self.plan_file(key).with_suffix(".json"), EngineError)
        except EngineError:
            return {}
        return noted if isinstance(noted, Mapping) and noted.get("key") == asdict(key) else {}


def folder_of(bundle: Bundle) -> Path:
    """The folder of plans beside `bundle`; a file within would break its seal."""
    return bundle.path.resolve().parent / FOLDER
