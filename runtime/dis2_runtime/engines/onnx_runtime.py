"""The ONNX Runtime engine: one session a scenario, activations of all in one memory arena.

Left alone, the idle threads of the last scenario's session spin on the cores that the next scenario needs: twice the
latency at every switch, measured. ONNX Runtime's process-wide pool cures that but forbids every other session in the
process a pool of its own; spinning that stops with each run cures it too and forbids nothing, so that is what is used.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError, MissingExtraError
from dis2_edge.settings import nearest
from dis2_runtime.engine import Answer, Engine, Frames, frame_for
from dis2_runtime.engines.rows import rows_at

WARM_UPS = 1
"""Runs on zeros when a model is opened, which allocate; a second one found nothing left to do, measured."""
FAILURES = [
    "EPFail",
    "EngineError",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoadCanceled",
    "ModelLoaded",
    "ModelRequiresCompilation",
    "NoModel",
    "NoSuchFile",
    "NotFound",
    "NotImplemented",
    "RuntimeException",
]
"""Exceptions of ONNX Runtime's own; a version that lacks one never raises it."""
_QUIET = 4
_TYPES = {"tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(float)": "float32"}
_arena = {"shared": False}
"""Whether ONNX Runtime's arena for the whole process stands; it cannot be made twice."""


class OnnxModel:
    """One model file of io `frame`, loaded and warmed."""

    def __init__(self, file: Path, threads: int = 0, *, warm: bool = True) -> None:
        """`warm` also runs it on zeros; else that is left to `warm`."""
        self._file = file
        self._session, self._failures = open_session(file, threads)
        self.inputs = {value.name: declared(file, value) for value in self._session.get_inputs()}
        self.grid = _answer_grid(file, self._session.get_outputs())
        self._binding = self._session.io_binding()
        if warm:
            self.warm()

    def warm(self) -> None:
        """Run on zeros, so that the first frames find everything in place."""
        zeros = {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.inputs.items()}
        for _ in range(WARM_UPS):
            self.run(zeros)

    def run(self, frames: Frames, into: Answer | None = None) -> Answer:
        """Mask and confidence of `frames` (one HxWxC array for each input; others are not read), new or in `into`."""
        answer = Answer.empty(*self.grid) if into is None else into
        self._check_buffers(answer)
        self._binding.clear_binding_outputs()
        bound = [
            np.ascontiguousarray(frame_for(frames, name, shape, dtype, self._file.name))
            for name, (shape, dtype) in self.inputs.items()
        ]
        try:
            for name, frame in zip(self.inputs, bound, strict=True):
                self._binding.bind_cpu_input(name, frame)
            for name, buffer in (("mask", answer.mask), ("confidence", answer.confidence)):
                self._binding.bind_output(name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)
            self._session.run_with_iobinding(self._binding)
        except self._failures as error:
            raise EngineError(f"{self._file.name} failed while running: {first_line(error)}") from error
        return answer

    def _check_buffers(self, answer: Answer) -> None:
        """ONNX Runtime writes through a bare pointer: a buffer of another size would be overrun."""
        for name, buffer in (("mask", answer.mask), ("confidence", answer.confidence)):
            if buffer.shape != self.grid or buffer.dtype != np.uint8 or not buffer.flags.c_contiguous:
                found = f"buffer {name!r} is {buffer.shape} {buffer.dtype}"
                raise EngineError(f"{self._file.name}: {found}", expected=f"contiguous {self.grid} uint8")


class OnnxEngine:
    """Every scenario of a bundle at one precision."""

    def __init__(self, bundle: Bundle, precision: str, threads: int = 0) -> None:
        rows = rows_at(bundle, "onnxruntime", precision)
        with ThreadPoolExecutor(len(rows)) as pool:  # opening a session keeps one core busy; a flight waits for all
            opened = pool.map(lambda row: OnnxModel(bundle.file(row.file), threads, warm=False), rows)
            self._models = {row.scenario: model for row, model in zip(rows, opened, strict=True)}
        for model in self._models.values():
            model.warm()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._models = {}

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that this engine serves, in the order of the manifest."""
        return tuple(self._models)

    def infer(self, scenario: str, frames: Frames, into: Answer | None = None) -> Answer:
        """Segment `frames` with the model of `scenario`; see `dis2_runtime.engine.Engine.infer`."""
        if scenario not in self._models:
            raise EngineError(f"scenario {scenario!r} is not served", mend=nearest(scenario, self._models))
        return self._models[scenario].run(frames, into)


def open_model(file: Path, threads: int = 0) -> OnnxModel:
    """Load and warm one model file on its own; `threads` 0 takes all cores that this process may use."""
    return OnnxModel(Path(file), threads)


def open_session(file: Path, threads: int = 0, instead: bytes | None = None) -> tuple[Any, tuple[type[Exception], ...]]:
    """A session on `file`, and the exceptions that it may raise; `threads` 0 takes all cores that it may use.

    A model that is given `instead` of the file's own bytes is run node by node as it is written: Q/DQ fuse to nothing.
    """
    ort, failures = _onnxruntime()
    try:
        options = _options(ort, threads or _cores(), failures)
        if instead is not None:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = ort.InferenceSession(
            instead or str(file), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except failures as error:
        mend = "check the bundle with: dis2-edge bundle verify"
        raise EngineError(f"{file} cannot be loaded by ONNX Runtime: {first_line(error)}", mend=mend) from error
    return session, failures


def _onnxruntime() -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        ort = importlib.import_module("onnxruntime")
        state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "host") from error
    own = [getattr(state, name) for name in FAILURES if hasattr(state, name)]
    return ort, (*own, RuntimeError, ValueError, MemoryError)


def _options(ort: Any, threads: int, failures: tuple[type[Exception], ...]) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if _shares_arena(ort, failures):
        options.add_session_config_entry("session.use_env_allocators", "1")
    return options


def _shares_arena(ort: Any, failures: tuple[type[Exception], ...]) -> bool:
    """Make the process's arena, once; False where this version of ONNX Runtime cannot."""
    try:
        if not _arena["shared"]:
            place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
            ort.create_and_register_allocator(place, ort.OrtArenaCfg(0, -1, -1, -1))
            _arena["shared"] = True
    except AttributeError:
        return False
    except failures:  # the host program made one already
        _arena["shared"] = True
    return _arena["shared"]


def declared(file: Path, value: Any) -> tuple[tuple[int, ...], npt.DTypeLike]:
    """Shape and dtype of a model's input or output; both must be fixed."""
    shape = tuple(value.shape)
    if value.type not in _TYPES or not all(isinstance(size, int) for size in shape):
        found = f"{file.name}: {value.name!r} is {value.type} of shape {list(shape)}"
        raise EngineError(found, expected=f"a fixed shape of {', '.join(_TYPES.values())}")
    return shape, np.dtype(_TYPES[value.type])


def _answer_grid(file: Path, outputs: list[Any]) -> tuple[int, int]:
    """Height and width of the outputs `mask` and `confidence`, which must be alike."""
    found: Mapping[str, Any] = {value.name: declared(file, value) for value in outputs}
    shape, _ = found.get("mask", ((), None))
    if found != dict.fromkeys(("mask", "confidence"), (shape, np.dtype("uint8"))) or len(shape) != 2:
        raise EngineError(f"{file.name} gives {found}", expected="mask and confidence, HxW uint8 (io frame)")
    return shape[0], shape[1]


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it says nothing."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
