"""The TensorRT engine: every scenario of a bundle at one precision, one stream, one scratch memory for all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.errors import EngineError
from dis2_edge.goldens import Arrays
from dis2_edge.settings import nearest
from dis2_edge.terminal import note, say, step, warn
from dis2_runtime.driver import Driver
from dis2_runtime.driver.opening import open_driver
from dis2_runtime.engine import Answer, Frames
from dis2_runtime.engines.rows import rows_at
from dis2_runtime.engines.tensorrt import bindings
from dis2_runtime.engines.tensorrt.apart import Bounds, build_apart
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.buffers import Buffers
from dis2_runtime.engines.tensorrt.builder import Options
from dis2_runtime.engines.tensorrt.cache import Cache, Form, Key, folder_of
from dis2_runtime.engines.tensorrt.choosing import Candidate, Site, choose
from dis2_runtime.engines.tensorrt.kernels import FOLDER as KERNELS
from dis2_runtime.engines.tensorrt.kernels import load_kernels
from dis2_runtime.engines.tensorrt.model import LayerTime, Loaded
from dis2_runtime.engines.tensorrt.plugins import registered, serves
from dis2_runtime.engines.tensorrt.plugins.form import own_operators, plugin_form
from dis2_runtime.engines.tensorrt.tick import Tick
from dis2_runtime.kernels.loading import Kernels
from dis2_runtime.selftest.goldens import Check, check_row, read_goldens

__all__ = ["Settings", "TensorRtEngine"]


@dataclass(frozen=True)
class Settings:
    """How an engine is opened."""

    options: Options = field(default_factory=Options)
    """Of every build."""
    bounds: Bounds = field(default_factory=Bounds)
    """What a build may take."""
    cache: Path | None = None
    """Folder of plans; beside the bundle when None."""
    forms: tuple[Form, ...] = ("function", "plugin")
    """Forms that are tried, of those that the file and this TensorRT allow."""


class TensorRtEngine:
    """All scenarios of a bundle at one precision (fp16 or int8), built where they are not yet, proven and warmed."""

    def __init__(
        self,
        bundle: Bundle,
        precision: str,
        settings: Settings | None = None,
        *,
        trt: Trt | None = None,
        open_gpu: Callable[[], Driver] = open_driver,
        build: Callable[..., bytes] = build_apart,
        load: Callable[[Driver, Sequence[Path], Path | None], Kernels] = load_kernels,
    ) -> None:
        """`trt`, `open_gpu`, `build` and `load` are there for tests and for who has them open already.

        Raises EngineError where TensorRT, the driver or a GPU is missing, where no plan can be built, and BundleError
        where an answer is not the golden's.
        """
        self._bundle, self._settings, self._build, self._load = bundle, settings or Settings(), build, load
        self._warned: set[str] = set()
        self._ticks: dict[str, Tick] = {}
        self.checks: list[Check] = []
        """What each row's loaded plan answered to the goldens when it was opened, in the order of the manifest."""
        rows = rows_at(bundle, "tensorrt", precision)
        self._trt = trt or bindings.load()
        with contextlib.ExitStack() as gpu:
            self._driver = gpu.enter_context(open_gpu())
            with self._driver.make_current(), contextlib.ExitStack() as held:
                self._open(rows, held)
                self._held = held.pop_all()
            self._gpu = gpu.pop_all()

    def __enter__(self) -> TensorRtEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticks = {}
        try:
            with self._gpu, self._driver.make_current():  # of this thread, which need not be the one that opened
                self._held.close()
        except EngineError as failure:  # on a GPU that failed nothing can be given back; the flight goes on without it
            warn(f"the GPU was let go with a failure: {failure}")

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that this engine serves, in the order of the manifest."""
        return tuple(self._ticks)

    def infer(self, scenario: str, frames: Frames, into: Answer | None = None) -> Answer:
        """Segment `frames` with the model of `scenario`; see `dis2_runtime.engine.Engine.infer`."""
        with self._driver.make_current():
            return self._tick(scenario).run(frames, into)

    def profile(self, scenario: str) -> tuple[LayerTime, ...]:
        """What each layer of a scenario took, in the order of the plan."""
        with self._driver.make_current():
            return self._tick(scenario).profile(self._scratch)

    def _tick(self, scenario: str) -> Tick:
        if scenario not in self._ticks:
            raise EngineError(f"scenario {scenario!r} is not served", mend=nearest(scenario, self._ticks))
        return self._ticks[scenario]

    def _open(self, rows: list[ModelRow], held: contextlib.ExitStack) -> None:
        """Choose and load a plan a row, then settle all on one scratch memory; the last golden check is on these."""
        goldens = read_goldens(self._bundle)
        if not goldens:
            raise EngineError(f"{self._bundle.path} holds no golden: no engine of it can be proven")
        self._stream = self._driver.stream()
        site = self._site(goldens)
        made_here = site.cache.folder / KERNELS
        self._kernels = self._load(self._driver, [self._bundle.path / KERNELS], made_here)
        chosen = [(row, *choose(site, row, self._candidates(row, site.cache))) for row in rows]
        buffers = Buffers(self._driver)
        held.callback(buffers.free)
        if any(candidate.form == "plugin" for _, candidate, _ in chosen):
            held.enter_context(self._plugins())
        for row, _, plan in chosen:
            loaded = Loaded(self._trt, plan, row.file)
            held.callback(loaded.close)
            self._ticks[row.scenario] = self._make(loaded, row, buffers)
        self._scratch = buffers.scratch(max(tick.plan.memory_bytes for tick in self._ticks.values()))
        for row, _, _ in chosen:
            self._ticks[row.scenario].settle(self._scratch)
            self.checks.append(check_row(self._bundle, row, goldens, self._ticks[row.scenario].run))

    def _make(self, loaded: Loaded, row: ModelRow, buffers: Buffers) -> Tick:
        task, modules = self._bundle.manifest.task, self._kernels.modules
        return Tick(self._driver, self._stream, loaded, task, row.scenario, buffers, modules, self._once)

    def _once(self, text: str) -> None:
        """Warn of what every scenario would say again."""
        if text not in self._warned:
            self._warned.add(text)
            warn(text)

    def _site(self, goldens: Sequence[Arrays]) -> Site:
        cache = Cache(self._settings.cache or folder_of(self._bundle))
        return Site(self._trt, self._driver, self._stream, cache, self._bundle, goldens, self._alone)

    @contextlib.contextmanager
    def _alone(self, loaded: Loaded, row: ModelRow) -> Iterator[Tick]:
        """A plan on buffers of its own, for as long as it is tried."""
        buffers = Buffers(self._driver)
        try:
            tick = self._make(loaded, row, buffers)
            tick.settle(buffers.scratch(loaded.memory_bytes))
            yield tick
        finally:
            buffers.free()

    def _candidates(self, row: ModelRow, cache: Cache) -> list[Candidate]:
        """The forms of the row's file that can be had here, the portable one first."""
        model = self._bundle.file(row.file).read_bytes()
        own = own_operators(model)
        forms: list[Form] = [form for form in self._settings.forms if form == "function" or own]
        if "plugin" in forms and not serves(self._kernels.modules, own):
            forms.remove("plugin")
        return [self._candidate(row, form, model, cache) for form in forms]

    def _candidate(self, row: ModelRow, form: Form, model: bytes, cache: Cache) -> Candidate:
        version, options, device = self._trt.version, self._settings.options, self._driver.device
        sha256 = self._bundle.manifest.files[row.file].sha256
        key = Key.of(sha256, form, version, device, self._kernels.digest, options)

        def build() -> bytes:
            say(f"building an engine of {row.file} as {form}: minutes, once")
            ready, places = (model, ()) if form == "function" else (plugin_form(model), self._kernels.folders)
            return self._build(ready, options, self._settings.bounds, cache.timings(key), places, _phases(row.file))

        return Candidate(form, key, build, self._plugins if form == "plugin" else contextlib.nullcontext)

    def _plugins(self) -> contextlib.AbstractContextManager[None]:
        return registered(self._trt, self._driver, self._kernels)


def _phases(file: str) -> Callable[[str], None]:
    """Tells each phase of a build once, out of its lines `phase: step of steps`; each step to who reads along."""
    seen: set[str] = set()

    def tell(line: str) -> None:
        phase, _, steps = line.rpartition(": ")
        done, _, total = steps.partition(" of ")
        if phase and phase not in seen:
            seen.add(phase)
            note(phase)
        if phase and done.isdecimal() and total.isdecimal():
            step(f"{file}: {phase}", int(done), int(total))

    return tell
