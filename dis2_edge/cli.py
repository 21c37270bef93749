"""The command `dis2-edge`: a table of verbs, each of whose modules is imported only when its verb was typed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, cast

from dis2_edge import __version__
from dis2_edge.errors import MissingExtraError, UserError
from dis2_edge.settings import nearest

USER_ERROR, OUR_ERROR, INTERRUPTED, PIPE_CLOSED = 2, 1, 130, 141


class Verb(NamedTuple):
    """A row of the verb table."""

    module: str
    """Module that provides EXAMPLE, configure and run."""
    summary: str
    """One line for `dis2-edge --help`."""
    extra: str
    """The extra of the distribution that the verb needs; empty when the base will do."""
    stage: str
    """Heading under which `--help` lists the verb."""


VERBS = {
    "demo": Verb("dis2_edge.verbs.demo", "see the whole way at a small size, in minutes", "quantize", "start here"),
    "data": Verb("dis2_train.verbs.data", "describe, check, make or prepare a data set", "", "train"),
    "train": Verb("dis2_train.verbs.train", "train the network of a recipe on a data set", "train", "train"),
    "import": Verb("dis2_train.verbs.import_", "make a run of a released DIS2 checkpoint", "train", "train"),
    "eval": Verb("dis2_train.verbs.eval", "judge a model on labelled data, in every scenario", "train", "judge"),
    "compare": Verb("dis2_train.verbs.compare", "judge models side by side, with paired intervals", "train", "judge"),
    "predict": Verb("dis2_train.verbs.predict", "segment a whole scene, GeoTIFF in, COG out", "geo", "use"),
    "quantize": Verb("dis2_quantize.verbs.quantize", "make a trained network INT8, judge it", "quantize", "quantise"),
    "check": Verb("dis2_quantize.verbs.check", "check a model file against a board's rules", "quantize", "quantise"),
    "boards": Verb("dis2_boards.verbs.boards", "list the boards, show one, detect this one", "", "deploy"),
    "plan": Verb("dis2_boards.verbs.plan", "predict latency, energy and memory on a board", "", "deploy"),
    "deploy": Verb("dis2_boards.verbs.deploy", "bring a quantised network to a board, safely", "deploy", "deploy"),
    "status": Verb("dis2_boards.verbs.status", "what a board runs, and whether it is well", "", "deploy"),
    "rollback": Verb("dis2_boards.verbs.rollback", "let a board fly the version before", "", "deploy"),
    "prune": Verb("dis2_boards.verbs.prune", "remove old versions from a board", "", "deploy"),
    "key": Verb("dis2_boards.verbs.key", "make a key that signs bundles; trust one", "deploy", "deploy"),
    "bundle": Verb("dis2_runtime.verbs.bundle", "look into a bundle (verify, prove, show)", "host", "fly"),
    "run": Verb("dis2_runtime.verbs.run", "stream sensors through a bundle: a mask every tick", "host", "fly"),
    "faults": Verb("dis2_runtime.verbs.faults", "list the sensor faults that can be played, check a file", "", "fly"),
    "health": Verb("dis2_runtime.verbs.health", "learn the limits of sensor health from a recording", "", "fly"),
    "campaign": Verb("dis2_runtime.verbs.campaign", "play every fault on every sensor, judge each tick", "host", "fly"),
    "kernels": Verb("dis2_runtime.verbs.kernels", "build the CUDA kernels, tell what they take", "", "fly"),
    "profile": Verb("dis2_runtime.verbs.profile", "measure accuracy and latency, write a report", "host", "fly"),
}

EXAMPLE = "dis2-edge demo --out out/demo"

_EXTRA_OF = {
    "onnxruntime": "host",
    "jinja2": "report",
    "torch": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "rasterio": "geo",
    "mcap": "stream",
    "lz4": "stream",
    "zstandard": "stream",
    "onnx": "quantize",
    "av": "stream",
    "cv2": "stream",
    "pycuda": "jetson",
    "cuda": "jetson",
    "cryptography": "deploy",
    "cyclonedx": "deploy",
    "torch_tensorrt": "tensorrt",
}


_WORKSTATION = ("dis2_train", "dis2_quantize")
"""Packages that the wheel for boards leaves out."""


class VerbModule(Protocol):
    """What a verb's module provides."""

    EXAMPLE: str
    """One full command line, shown at the end of the verb's `--help`."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code.

    0 done, 1 a fault of ours (with trace), 2 something the user can mend (one message), 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _mend_streams()
    # Torch's OpenMP threads spin while they wait. Beside other work on the same cores that makes small networks ten
    # times slower, so they sleep instead, unless the user chose. It must be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except SystemExit as stop:  # argparse, after --help or a wrong argument
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        _close_stdout()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return OUR_ERROR


def parser_of(verb: str) -> tuple[argparse.ArgumentParser, VerbModule]:
    """The argument parser of `verb` and its module; a package that is not installed is a MissingExtraError."""
    with _missing_extra(VERBS[verb].extra):
        module = cast(VerbModule, importlib.import_module(VERBS[verb].module))
    parser = argparse.ArgumentParser(
        prog=f"dis2-edge {verb}",
        description=_sentence(VERBS[verb].summary),
        epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    return parser, module


def help_text() -> str:
    """What `dis2-edge --help` prints: the verbs by stage, and an example."""
    lines = ["usage: dis2-edge VERB ...", "", "Segmentation that keeps working when a sensor fails."]
    stage = ""
    for name, verb in VERBS.items():
        if verb.stage != stage:
            stage = verb.stage
            lines += ["", f"{stage}:"]
        lines.append(f"  {name:<9} {verb.summary}")
    lines += ["", "options:", "  --help     this text; `dis2-edge VERB --help` tells a verb's arguments"]
    lines += ["  --version  the version", "", "example:", f"  {EXAMPLE}"]
    return "\n".join(lines)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if words[0] == "--version":
        print(f"dis2-edge {__version__}")
        return 0
    verb = words[0]
    if verb not in VERBS:
        raise UserError(f"unknown verb {verb!r}", mend=nearest(verb, VERBS))
    parser, module = parser_of(verb)
    with _missing_extra(VERBS[verb].extra):
        return module.run(parser.parse_args(words[1:]))


@contextlib.contextmanager
def _missing_extra(extra: str) -> Iterator[None]:
    """Answer a missing package with the pip line; a missing module of our own is a fault and keeps its trace."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _WORKSTATION and error.name == package:
            found = f"what a board installs holds no {package}"
            raise UserError(found, mend="use this verb on the workstation: pip install dis2-edge there") from error
        if not package or package.startswith("dis2_"):
            raise
        raise MissingExtraError(package, _EXTRA_OF.get(package, extra or "host")) from error


def _mend_streams() -> None:
    """Where a caller closed stdout or stderr, write to nowhere; what a terminal cannot show is shown by its number.

    The next file to be opened would take a closed stream's number, and whatever a library prints with it.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _close_stdout() -> None:
    """The reader is gone: let Python's flush at exit write to nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
