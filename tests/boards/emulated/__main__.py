"""`make board`: make the board, go the whole way on it, then do to it what happens to boards.

    python -m tests.boards.emulated [--only flow|chaos] [--quick] [--suite bookworm] [--docs] [--go-on]

As root, on Linux with QEMU's user emulation and debootstrap. Where a board cannot be made it says `SKIPPED` and why,
and ends with 0; with --must it ends with 2. It ends with 1 where the board did not do what it must.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from dis2_edge.errors import DisError, InternalError, WheelError
from dis2_edge.terminal import say
from tests.boards.emulated import base, chaos, flow, means, scene, table
from tests.boards.emulated.machine import Board
from tests.boards.emulated.scene import Scene
from tests.boards.emulated.wire import Wire

OWN = "BOARD_OWN_MOUNTS"
"""Set in the process whose mounts are its own: they go with it, however it ends."""


def main(words: list[str]) -> int:
    """Do what was asked for."""
    args = _parser().parse_args(words)
    folder, wire = args.folder.resolve(), Wire()
    try:
        means.check()
        if OWN not in os.environ:
            return _in_own_mounts(words)
        means.register()
        root = base.make(folder / args.suite, args.suite, args.mirror, args.keyring)
        _start_once(Board(folder / args.suite, root, wire, scene.DISK_MB))
    except means.LackingError as why:
        say(f"SKIPPED: no board can be made here: {why}")
        return 2 if args.must else 0
    try:
        return _with_board(args, folder, root, wire)
    except WheelError as why:
        say(f"SKIPPED: the board's wheels cannot be had here: {why}")
        return 2 if args.must else 0
    except flow.FailedError as error:
        say(f"FAILED: {error}")
        return 1
    except DisError as error:
        say(f"error: {error}")
        return 1


def _start_once(board: Board) -> None:
    """Start the board and switch it off; LackingError where this machine's kernel or its guards do not let it."""
    try:
        board.wire.open()
        board.prepare()
        board.on()
        board.off()
    except (OSError, InternalError, subprocess.SubprocessError) as why:
        raise means.LackingError(f"a board was made and does not start ({why})") from why


def _with_board(args: argparse.Namespace, folder: Path, root: Path, wire: Wire) -> int:
    bench = Scene.opened(folder, args.suite, root, wire)
    try:
        say(f"a board: aarch64, {args.suite}, Python {base.python_of(root)}, at {bench.target}")
        steps: list[flow.Done] = []
        if args.only != "chaos":
            bench.on()
            bench.equip()
            steps = flow.run(bench)
        rows, listed = ([], 0) if args.only == "flow" else chaos.run(bench, folder / args.suite / "chaos.json", args)
        if args.docs:
            table.write(steps, rows, listed, args.suite, base.python_of(root))
        return 1 if any(row.bad for row in rows) else 0
    finally:
        bench.board.off()
        wire.close()


def _in_own_mounts(words: list[str]) -> int:
    """Begin again where every mount is this process's own, and gone with it."""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.boards.emulated", *words]
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, OWN: "1"})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.boards.emulated", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=("flow", "chaos"), help="the way of a version, or what happens to boards")
    parser.add_argument("--quick", action="store_true", help="a few blows of each kind")
    parser.add_argument("--suite", default="bookworm", choices=base.PYTHONS, help="what the board runs (bookworm)")
    parser.add_argument("--mirror", help="archive of Debian (default: that of this machine's apt)")
    parser.add_argument("--keyring", type=Path, help="keys that sign that archive (default: debootstrap's)")
    parser.add_argument("--folder", type=Path, default=Path("out/board"), help="where the board is kept (out/board)")
    parser.add_argument("--blow", default="", help="only blows whose name holds this text")
    parser.add_argument("--go-on", action="store_true", help="leave out blows that an earlier run has in its table")
    parser.add_argument(
        "--again",
        choices=("none", "one", "all"),
        default="one",
        help="after which blows of a kind to deploy again (one)",
    )
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/deploying")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no blow after so many minutes")
    parser.add_argument("--must", action="store_true", help="end with 2 where no board can be made")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
