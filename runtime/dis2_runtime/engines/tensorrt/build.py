"""`python -m dis2_runtime.engines.tensorrt.build MODEL --out PLAN`: one build, in the process that may die of it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from dis2_edge.errors import EngineError, UserError
from dis2_edge.files import read_json, write_bytes
from dis2_edge.settings import from_table
from dis2_runtime.driver.opening import open_driver
from dis2_runtime.engines.tensorrt import bindings, builder, plugins
from dis2_runtime.engines.tensorrt.kernels import load_kernels
from dis2_runtime.own_python import expendable


def main(arguments: list[str] | None = None) -> int:
    """Build, and say on stdout how far it is; a failure goes to stderr as `error: ...` and is exit 2."""
    args = _parser().parse_args(arguments)
    expendable()
    try:
        _build(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _build(args: argparse.Namespace) -> None:
    options = builder.Options()
    if args.options:
        options = from_table(
            builder.Options, read_json(args.options, EngineError), where=str(args.options), error=EngineError
        )
    trt = bindings.load()
    with contextlib.ExitStack() as stack:
        if args.kernels:
            driver = stack.enter_context(open_driver())
            stack.enter_context(driver.make_current())
            stack.enter_context(plugins.registered(trt, driver, load_kernels(driver, args.kernels)))
        plan = builder.build(trt, args.model.read_bytes(), options, args.timing_cache, _tell)
    write_bytes(args.out, plan)


def _tell(phase: str, done: int, steps: int) -> None:
    print(f"{phase}: {done} of {steps}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dis2_runtime.engines.tensorrt.build", description=__doc__)
    parser.add_argument("model", type=Path, help="ONNX file of the trt dialect")
    parser.add_argument("--out", type=Path, required=True, help="where the plan goes")
    parser.add_argument("--options", type=Path, help="JSON of the build's options")
    parser.add_argument("--timing-cache", type=Path, help="timings of layers, read and added to")
    parser.add_argument("--kernels", type=Path, action="append", default=[], help="folder of kernels for plug-ins")
    return parser


if __name__ == "__main__":
    sys.exit(main())
