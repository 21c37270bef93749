"""`dis2-edge kernels`: build our CUDA kernels for boards or architectures, print what they take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dis2_boards.profile import load as load_board
from dis2_edge.errors import BoardError, EngineError
from dis2_edge.files import write_bytes
from dis2_edge.terminal import say, table
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.building import FIRST_CLASS, PORTABLE, SOURCES, Built, build_all, names, take
from dis2_runtime.kernels.compiler import MEND, Compiler, check_target, find_compiler, number_of
from dis2_runtime.kernels.rehearsing import Launch, launches_of
from dis2_runtime.kernels.resources import Resources, blocks_an_sm, occupancy

EXAMPLE = "dis2-edge kernels --board orin-nx-16gb --out out/kernels"
COLUMNS = ("kernel", "for", "registers", "stack", "spilled", "shared", "threads", "blocks an SM", "occupancy %")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--board", help="build machine code for this board's GPU, and PTX")
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="sm_87",
        help="build for this architecture: sm_N machine code, compute_N PTX; may be given again "
        f"(default: {', '.join(FIRST_CLASS)} and {PORTABLE})",
    )
    parser.add_argument("--portable", action="store_true", help=f"beside what is named: PTX for {PORTABLE}")
    parser.add_argument(
        "--as-built", action="store_true", help="build nothing: everything must lie there, whole and of today's sources"
    )
    parser.add_argument("--sources", action="store_true", help="only copy the sources to the folder")
    parser.add_argument("--out", type=Path, default=Path("out/kernels"), help="folder (default: out/kernels)")


def run(args: argparse.Namespace) -> int:
    """Build what is not there yet, then print the resource report."""
    if args.sources:
        return _copy_sources(args.out)
    targets = targets_of(args.board, [*args.arch, *[PORTABLE] * args.portable])
    compiler = None if args.as_built else find_compiler()
    built = _lying_there(targets, args.out) if compiler is None else _built(compiler, targets, args.out)
    show(built)
    made = sum(one.fresh for one in built)
    ptx = sum(not one.resources for one in built)
    said = f"{made} built, {len(built) - made} were there" + f"; {ptx} of them PTX, which has no report" * bool(ptx)
    say(f"{args.out}: {len(built)} files ({said}), nvcc {', '.join(sorted({one.compiler for one in built}))}")
    return 0


def targets_of(board: str | None, architectures: Sequence[str]) -> tuple[str, ...]:
    """What to build for: a board's GPU and what was named; without either, the first class."""
    of_board = (_target_of(board), PORTABLE) if board else ()
    return tuple(dict.fromkeys((*of_board, *architectures))) or (*FIRST_CLASS, PORTABLE)


def show(built: Sequence[Built]) -> None:
    """The resource report, a row a kernel and architecture."""
    launches = launches_of(case for name in sorted({one.name for one in built}) for case in CASES[name]())
    rows = [
        line(resources, one.target, launches.get(resources.kernel))
        for one in sorted(built, key=lambda one: (one.name, one.target))
        for resources in one.resources
    ]
    table("What a kernel takes (bytes a thread and, of shared memory, a block)", COLUMNS, rows)


def line(row: Resources, target: str, launch: Launch | None) -> tuple[object, ...]:
    """A row of the table; what depends on a launch that no case makes, or on limits not known, is a dash."""
    number = number_of(target)
    blocks = blocks_an_sm(row, number, launch.threads, launch.shared_bytes) if launch else None
    share = f"{100 * occupancy(blocks, launch.threads, number):.0f}" if blocks is not None and launch else "–"
    shared = row.shared_bytes + (launch.shared_bytes if launch else 0)
    told = (launch.threads if launch else "–", "–" if blocks is None else blocks, share)
    return (row.kernel, target, row.registers, row.stack_bytes, row.spill_bytes, shared, *told)


def _copy_sources(folder: Path) -> int:
    """Lay the sources of all kernels, and the headers that they share, into a folder: a bundle carries them."""
    files = sorted(path for pattern in ("*.cu", "*.cuh") for path in SOURCES.glob(pattern))
    for path in files:
        write_bytes(folder / path.name, path.read_bytes())
    say(f"{folder}: {len(files)} sources")
    return 0


def _built(compiler: Compiler, targets: Sequence[str], folder: Path) -> list[Built]:
    for target in targets:
        check_target(target, compiler.targets)
    return build_all(compiler, targets, folder)


def _lying_there(targets: Sequence[str], folder: Path) -> list[Built]:
    """Without a compiler: what was built before, if nothing is missing."""
    for target in targets:
        number_of(target)
    found, missing = [], []
    for name, target in ((name, target) for target in targets for name in names()):
        try:
            found.append(take(folder, name, target)[1])
        except EngineError:
            missing.append(f"{target}/{name}")
    if missing:
        told = f"{len(missing)} of {len(missing) + len(found)} files below {folder} are missing or of other sources"
        raise EngineError(f"{told} ({missing[0]} first), and no nvcc that answers was found", mend=MEND)
    return found


def _target_of(board: str) -> str:
    hardware = load_board(board).hardware
    if "compute_capability" not in hardware:
        raise BoardError(f"the board {board!r} has no GPU that kernels could be built for", mend="give --arch")
    return f"sm_{round(10 * hardware['compute_capability'].value)}"
