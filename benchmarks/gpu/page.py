"""Findings for people: tables in the terminal, and docs/kernels/gpu.md out of docs/kernels/gpu.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.gpu.findings import Findings, Row
from benchmarks.gpu.verdicts import verdicts
from dis2_edge.files import write_text
from dis2_edge.terminal import say, table

ROOM = Path(__file__).parents[2] / "docs" / "kernels"
FINDINGS, PAGE = ROOM / "gpu.json", ROOM / "gpu.md"
COMMAND = "make gpu"
ROWS = ("shape", "contestant", "median us", "p95 us", "n", "of the roof", "roof", "error (1 is allowed)", "")
PROOFS = ("driver", "kernel", "cases", "worst error (1 is allowed)", "")
LOOKS = ("tool", "errors", "")
TARGETS = ("target", "shape", "held", "measured")

_HEAD = f"""# The kernels on a GPU

Written by `{COMMAND}` (`python -m benchmarks.gpu`); how it measures is told at the end.
"""
_NEVER = f"""
**Nothing has run on a GPU yet: none could be had.** Every figure that belongs here is missing:

- proofs of the four kernels on a device through pycuda and through cuda-bindings;
- what compute-sanitizer finds (memcheck, racecheck, synccheck, initcheck);
- times of fusion attention, class-wise attention, prepare and decide at 256, 512 and 1024 pixels, their share of the
  roof, and whether the targets below hold.

The targets are for an H100: fusion attention not slower than torch's best SDPA backend at batch 1 and 8; class-wise
attention at 70 % of copy bandwidth or more and three times eager; prepare and decide at 70 % or more.

On a machine with a CUDA device, torch's CUDA build and the repository, this fills the page in nine minutes at most:

```sh
{COMMAND}
```

Where that machine has no nvcc, build elsewhere and carry the folder:
`dis2-edge kernels --arch sm_90 --out out/kernels`, then `python -m benchmarks.gpu --kernels out/kernels`.
"""
_HOW = """
## How it is measured

Every part runs in a process of its own with a limit, and what it found is written at once: what breaks or hangs
costs its own rows. A time is that between two CUDA events around one call, on one stream shared by torch and our
driver, whose context is the device's primary one. Before each call a buffer of twice the level 2 cache (128 MB at
least) is read, which leaves the cache cold and clean, and a kernel spins for about a millisecond, so that no
contestant is charged for Python's launches. The median is of 20 to 100 calls.

"Of the roof" is the least time over the median; the least time is that of the bytes which have to be moved, at the
bandwidth of a 512 MB copy on the device, or of the operations, at the rate of an 8192 x 8192 half-precision
product, whichever is more. Targets of kernels bound by memory are judged by a copy of as many bytes, timed in the
same way: at small sizes a launch alone takes longer than the roof.

Errors are against float64 at that very shape. 1 is twice the error of the plain formula in halves (attention,
prepare), or a step of confidence or a class in a thousand (decide). A row of ours whose error is more than 1 counts
for nothing.
"""


def show(findings: Findings) -> None:
    """Print everything."""
    table("Machine", ("what", "is"), sorted(findings.facts.items()))
    if findings.proofs:
        table("Proofs", PROOFS, _proofs(findings))
    if findings.looked:
        table("compute-sanitizer", LOOKS, _looks(findings))
    for kernel in _kernels(findings.rows):
        table(kernel, ROWS, _rows(findings, kernel))
    if judged := verdicts(findings.rows):
        table("Targets", TARGETS, [(one.target, one.shape, _held(one.held), one.told) for one in judged])
    for told in findings.missing:
        say(f"missing: {told}")


def write(findings: Findings, page: Path = PAGE) -> None:
    """The same as a page of the docs."""
    write_text(page, text_of(findings))


def text_of(findings: Findings) -> str:
    """The page."""
    if not findings.rows and not findings.proofs:
        return _HEAD + _NEVER + _HOW
    parts = [_HEAD, "", *_markdown(("machine", ""), sorted(findings.facts.items()))]
    parts += ["", "## Proofs", "", *_markdown(PROOFS, _proofs(findings))]
    parts += ["", "## compute-sanitizer", "", *_markdown(LOOKS, _looks(findings))]
    parts += ["", "## Targets", ""]
    parts += _markdown(TARGETS, [(one.target, one.shape, _held(one.held), one.told) for one in verdicts(findings.rows)])
    for kernel in _kernels(findings.rows):
        parts += ["", f"## {kernel}", "", *_markdown(ROWS, _rows(findings, kernel))]
    parts += ["", "## Missing", "", *(f"- {told}" for told in findings.missing or ["nothing"])]
    return "\n".join(parts) + "\n" + _HOW


def _proofs(findings: Findings) -> list[tuple[object, ...]]:
    return [(one.driver, one.kernel, one.cases, _number(one.worst, 3), one.problem) for one in findings.proofs]


def _looks(findings: Findings) -> list[tuple[object, ...]]:
    return [(one.tool, "–" if one.errors is None else one.errors, one.problem) for one in findings.looked]


def _rows(findings: Findings, kernel: str) -> list[tuple[object, ...]]:
    """Rows of a shape together, though torch.compile's came later."""
    rows = [row for row in findings.rows if row.kernel == kernel]
    shapes = list(dict.fromkeys(row.shape for row in rows))
    return [_row(row) for row in sorted(rows, key=lambda row: shapes.index(row.shape))]


def _row(row: Row) -> tuple[object, ...]:
    share = "–" if row.share is None else f"{row.share:.0%}"
    times = (_number(row.median_us, 1), _number(row.p95_us, 1), row.n or "–")
    problem = f"failed: {row.problem}" if row.problem else ""
    return (row.shape, row.contestant, *times, share, row.roof or "–", _number(row.error, 2), problem)


def _kernels(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.kernel for row in rows))


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _held(held: bool | None) -> str:
    return "?" if held is None else "yes" if held else "no"


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines]
