"""How far the predictor of latency is off, each against something that was measured.

    python -m benchmarks.predictor host [--calibrate] [--clock wall --threads 2] [--write MINE.toml]
    python -m benchmarks.predictor orin
    python -m benchmarks.predictor gpu MEASURED

`host` measures our networks under ONNX Runtime on this processor; `orin` leaves out each of five published latencies of
a Jetson AGX Orin in turn; `gpu` holds what `gpu_measuring` took on a card against its roofline. A busy machine is
measured by the time that the processor gives to one thread; on a quiet one take `--clock wall` and as many threads as
will fly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.predictor import gpu, host, orin
from dis2_edge.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the comparisons; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    try:
        return int(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predictor", description=(__doc__ or "").split("\n")[0])
    against = parser.add_subparsers(required=True)
    _host(against.add_parser("host", help="ONNX Runtime on this processor"))
    against.add_parser("orin", help="five published latencies").set_defaults(run=orin.run)
    card = against.add_parser("gpu", help="a card, by what gpu_measuring took there")
    card.add_argument("measured", type=Path, help="what `python -m benchmarks.predictor.gpu_measuring` wrote")
    card.add_argument("--files", type=Path, default=Path("out/predictor"), help="where the model files are made")
    card.add_argument("--keep", action="store_true", help="keep the figures beside this benchmark")
    card.set_defaults(run=gpu.run)
    return parser.parse_args(argv)


def _host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calibrate", action="store_true", help="choose the figures anew by files that do not judge")
    parser.add_argument("--files", type=Path, default=Path("out/predictor"), help="where the model files are made")
    parser.add_argument("--rounds", type=int, default=15, help="timed calls of each file")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime")
    parser.add_argument("--clock", choices=("thread", "wall"), default="thread", help="what is read before and after")
    parser.add_argument("--board", default="host", help="the board whose roofline predicts")
    parser.add_argument("--keep", action="store_true", help="keep the figures beside this benchmark")
    parser.add_argument("--write", type=Path, metavar="TOML", help="a new board file with the figures")
    parser.set_defaults(run=host.run)


if __name__ == "__main__":
    raise SystemExit(main())
