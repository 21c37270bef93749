"""Build a plan of an ONNX file of the `trt` dialect: strongly typed, within a bounded workspace, telling its progress.

TensorRT 11 types every network strongly; 10 wants a flag for it. Nothing else differs in what is used here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_edge.errors import EngineError, StorageError
from dis2_edge.files import write_bytes
from dis2_edge.terminal import warn
from dis2_runtime.engines.tensorrt.bindings import Trt

__all__ = ["Options", "build"]

Tell = Callable[[str, int, int], None]
"""Gets a phase, the steps done and the steps in all."""
_MOST_ERRORS = 3


@dataclass(frozen=True)
class Options:
    """How a plan is built; all of it stands in the key of the cache."""

    workspace_mb: int = 1024
    """Memory that layers may use for scratch, in MiB; 8 GB boards run out of memory without a bound."""
    level: int = 3
    """How hard the builder searches, 0 to 5; 3 is TensorRT's own default."""
    detailed: bool = True
    """Whether layers keep their names, for the profile."""
    tf32: bool = False
    """Whether FP32 layers may round what they read to 10 bits: they are FP32 because FP16, of as many, does not do."""


def build(trt: Trt, onnx: bytes, options: Options, timing_cache: Path | None = None, tell: Tell | None = None) -> bytes:
    """The serialised plan of the model `onnx` for this GPU and this TensorRT.

    Timings of layers are taken from and added to the file `timing_cache`. Raises EngineError with the parser's or the
    builder's own words.
    """
    with trt.failures("building an engine", "see docs/tensorrt.md for what a board must have free"):
        builder = trt.module.Builder(trt.logger)
        network = builder.create_network(_creation_flags(trt))
        _parse(trt, network, onnx)
        config = _config(trt, builder, options, tell)
        cache = _attach_timings(trt, config, timing_cache)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise trt.error("TensorRT built no engine", _mend_for(trt, options))
        if timing_cache is not None and cache is not None:
            _keep_timings(config, timing_cache)
        return bytes(plan)


def _creation_flags(trt: Trt) -> int:
    flags = trt.module.NetworkDefinitionCreationFlag
    wanted = ("STRONGLY_TYPED",) if trt.release >= (11, 0) else ("STRONGLY_TYPED", "EXPLICIT_BATCH")
    return sum(1 << int(getattr(flags, name)) for name in wanted if hasattr(flags, name))


def _parse(trt: Trt, network: Any, onnx: bytes) -> None:
    parser = trt.module.OnnxParser(network, trt.logger)
    if parser.parse(onnx):
        return
    errors = [parser.get_error(place) for place in range(min(parser.num_errors, _MOST_ERRORS))]
    told = "; ".join(f"{error.node_operator() or 'model'} {error.node_name()}: {error.desc()}" for error in errors)
    raise EngineError(
        f"TensorRT {trt.version} cannot read the model: {told or 'it does not say why'}",
        mend="dis2-edge check FILE --board BOARD tells which operators a board's TensorRT knows",
    )


def _config(trt: Trt, builder: Any, options: Options, tell: Tell | None) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.module.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.builder_optimization_level = options.level
    if not options.tf32:  # TensorRT's default is to allow it
        config.clear_flag(trt.module.BuilderFlag.TF32)
    verbosity = trt.module.ProfilingVerbosity
    config.profiling_verbosity = verbosity.DETAILED if options.detailed else verbosity.LAYER_NAMES_ONLY
    if tell is not None:
        config.progress_monitor = _monitor(trt, tell)
    return config


def _attach_timings(trt: Trt, config: Any, file: Path | None) -> Any:
    """Give the builder what earlier builds measured; timings of another device or version are left out."""
    if file is None:
        return None
    try:
        kept = file.read_bytes() if file.is_file() else b""
    except OSError as error:
        warn(f"the timing cache {file} cannot be read ({error.strerror}): building takes longer")
        kept = b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _keep_timings(config: Any, file: Path) -> None:
    """Write what was measured, whole; a disk that refuses costs the next build time and nothing else."""
    try:
        write_bytes(file, bytes(config.get_timing_cache().serialize()))
    except (OSError, StorageError) as error:
        warn(f"the timing cache was not kept: {error}")


def _mend_for(trt: Trt, options: Options) -> str:
    """What may help, by what TensorRT said."""
    said = " ".join(trt.said).lower()
    if "memory" in said or "alloc" in said:
        return f"stop what else uses the GPU's memory, or lower the workspace (now {options.workspace_mb} MiB)"
    if "workspace" in said or "implementation" in said:
        return f"raise the workspace (now {options.workspace_mb} MiB)"
    return "dis2-edge check FILE --board BOARD tells what a board's TensorRT does not take"


def _monitor(trt: Trt, tell: Tell) -> Any:
    """TensorRT's progress, phase by phase; one monitor serves several phases within one another."""

    class Monitor(trt.module.IProgressMonitor):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.module.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            tell(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell(phase_name, step + 1, self._steps.get(phase_name, 0))
            return True  # False would end the build

        def phase_finish(self, phase_name: str) -> None:
            steps = self._steps.pop(phase_name, 0)
            tell(phase_name, steps, steps)

    return Monitor()
