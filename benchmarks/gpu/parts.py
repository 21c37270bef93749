"""The parts of a run, each in a process of its own with a limit: what breaks one, or the device, costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from benchmarks.gpu import sanitizer
from benchmarks.gpu.children import run_limited
from benchmarks.gpu.contest import COMPILED, hold, short
from benchmarks.gpu.facts import look_for_device, tell
from benchmarks.gpu.findings import Pen
from benchmarks.gpu.lab import Lab, open_lab
from benchmarks.gpu.proofs import prove_through, python
from dis2_edge.errors import MissingExtraError, told
from dis2_runtime.driver import DRIVERS

KERNELS = ("fusion_attention", "classwise_attention", "prepare", "decide")
SIZES = (256, 512, 1024)
"""Sides of the pictures, in pixels."""
DEVICE = "device"
"""The part without which none of the others makes sense."""
LIMITS_S = {DEVICE: 120.0, "facts": 120.0, "proofs": 60.0, "look": 45.0, "times": 120.0, "compiled": 90.0}
"""Longest time of a part, by its kind."""


@dataclass(frozen=True)
class Where:
    """What every part is given."""

    folders: tuple[Path, ...]
    """Where built kernels lie."""
    compile_into: Path | None
    """Where kernels that have to be compiled on the spot go; None: nowhere."""
    pretend: bool = False
    """On the processor, with the kernels' builds for it: a rehearsal."""
    sizes: tuple[int, ...] = SIZES
    limit_s: float = 60.0
    """Time that a part has, in seconds; one that starts children of its own keeps theirs below."""

    def words(self) -> list[str]:
        """The same as arguments of a child."""
        kernels = [word for folder in self.folders for word in ("--kernels", str(folder))]
        compiled = ["--compile-into", str(self.compile_into)] if self.compile_into else []
        flags = [*["--pretend"] * self.pretend, "--limit", str(self.limit_s)]
        return [*kernels, *compiled, *flags, "--sizes", *map(str, self.sizes)]


def names() -> tuple[str, ...]:
    """All parts in their order: what is wanted most, and is soonest done, comes first; torch.compile takes minutes."""
    return (
        DEVICE,
        "facts",
        *(f"proofs:{driver}" for driver in DRIVERS),
        *(f"times:{kernel}" for kernel in KERNELS),
        *(f"look:{tool}" for tool in sanitizer.TOOLS),
        *(f"compiled:{kernel}" for kernel in KERNELS),
    )


def run_child(part: str, where: Where, pen: Pen, limit_s: float) -> str:
    """Run a part in a process of its own; returns what is wrong, or nothing."""
    command = [*python(), "part", part, "--lines", str(pen.file), *replace(where, limit_s=limit_s).words()]
    ended = run_limited(command, limit_s)
    if ended.code is None:
        return f"{part}: cut short after {limit_s:.0f} s"
    return "" if ended.code == 0 else short(f"{part}: exit code {ended.code}: {ended.last}")


def run_part(part: str, where: Where, pen: Pen) -> None:
    """Do a part in this process."""
    kind, _, of = part.partition(":")
    DOES[kind](of, where, pen)


def _device(_: str, where: Where, pen: Pen) -> None:
    if not where.pretend:
        look_for_device()


def _facts(_: str, where: Where, pen: Pen) -> None:
    tell(pen)


def _proofs(driver: str, where: Where, pen: Pen) -> None:
    if where.pretend:
        from benchmarks.gpu.pretend import prove_here

        prove_here(driver, pen)
        return
    try:
        prove_through(driver, where.folders, where.compile_into, pen)
    except MissingExtraError as error:
        pen.fact(f"device by {driver}", error)


def _look(tool: str, where: Where, pen: Pen) -> None:
    built = (*where.folders, *((where.compile_into,) if where.compile_into else ()))
    inner = replace(where, folders=built, compile_into=None)  # what is compiled is not to be looked at
    scratch = pen.file.with_suffix(f".{tool}")
    child = [*python(), "part", f"proofs:{_sanitized_driver()}", "--lines", str(scratch), *inner.words()]
    pen.add(sanitizer.look(tool, child, 0.8 * where.limit_s))


def _sanitized_driver() -> str:
    """cuda-bindings where it is installed: it does least beside our own calls."""
    try:
        import_module("cuda.bindings.driver")
    except ImportError:
        return DRIVERS[0]
    return DRIVERS[1]


def _times(kernel: str, where: Where, pen: Pen) -> None:
    _contests(kernel, where, pen, lambda name: name != COMPILED)


def _compiled(kernel: str, where: Where, pen: Pen) -> None:
    _contests(kernel, where, pen, lambda name: name == COMPILED)


def _contests(kernel: str, where: Where, pen: Pen, wanted: Callable[[str], bool]) -> None:
    lab = _lab(where, (kernel,))
    roofs = lab.roofs()
    pen.fact("copy bandwidth", f"{roofs.bandwidth / 1e9:.0f} GB/s")
    pen.fact("half-precision peak", f"{roofs.tensor / 1e12:.1f} TFLOP/s")
    for shape in import_module(f"benchmarks.gpu.{kernel}").contests(lab, where.sizes):
        try:
            pen.add_all(hold(lab, shape(), roofs, wanted))
        except Exception as error:  # a shape that does not fit into memory, say
            pen.missing(short(f"{kernel}: {told(error)}"))
        lab.tidy()


def _lab(where: Where, wanted: Sequence[str]) -> Lab:
    if where.pretend:
        from benchmarks.gpu.pretend import pretend_lab

        return pretend_lab(wanted)
    return open_lab(where.folders, where.compile_into, wanted)


DOES: dict[str, Callable[[str, Where, Pen], None]] = {
    DEVICE: _device,
    "facts": _facts,
    "proofs": _proofs,
    "look": _look,
    "times": _times,
    "compiled": _compiled,
}
"""What a part does, by its kind."""
