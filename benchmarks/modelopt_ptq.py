"""An outside baseline, not a dependency: NVIDIA ModelOpt's post-training INT8 on the networks that we quantise.

    python -m benchmarks.modelopt_ptq RUN --data DATA [--describe FILE] [--rounds 20] [--out out/modelopt.json]

Both quantise the FP32 network of each scenario of RUN, calibrated on the same images: ModelOpt by its default INT8
configuration (its own placement: convolutions and linear layers, largest value), we by the recipe's observer without
tuning. Both are judged as fake-quantised torch graphs on the test split. Both are then written by the same exporter
with batch norms folded and attention fused, and timed under ONNX Runtime in turns, where ModelOpt's can be written.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.tuning import Bench, Figure, judged, prepare
from dis2_edge.errors import EngineError, UserError
from dis2_edge.files import write_json
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import progress, say, table, warn
from dis2_edge.timing import describe_machine, take_turns
from dis2_quantize.rounding import placement
from dis2_quantize.teaching.student import calibrate, logits_of, make_student
from dis2_quantize.writing.export import OPSET, export
from dis2_quantize.writing.wrap import FrameModel, FromFrames, fuse_attention
from dis2_runtime.engines.onnx_runtime import OnnxModel, open_model
from dis2_train.data.batches import whole_images
from dis2_train.networks.blocks import ConvUnit
from dis2_train.networks.seam import Frames

PIP = "pip install nvidia-modelopt==0.47 requests 'huggingface_hub<1.0'   # in an environment of its own"
COLUMNS = ("scenario", "by", "mIoU test", "drop test", "agreement %", "median ms", "p95 ms", "n")


@dataclass(frozen=True)
class Contestant:
    """One way to INT8 in one scenario."""

    scenario: str
    by: str
    figure: Figure
    """mIoU and agreement of the fake-quantised graph."""
    median_ms: float | None = None
    """Under ONNX Runtime, raw frames to mask; None where there is no file."""
    p95_ms: float | None = None
    n: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Quantise both ways, judge, time, print; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    try:
        modelopt = _modelopt()
        rows = compare(prepare(args), modelopt, args.rounds, args.threads)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(rows, args)
    if args.out:
        write_json(args.out, [asdict(row) for row in rows])
    return 0


def compare(bench: Bench, modelopt: Any, rounds: int, threads: int) -> list[Contestant]:
    """FP32, ModelOpt and ours in every scenario."""
    scenarios, run = bench.run.task.scenarios, bench.run
    theirs = {scenario: quantised_by(modelopt, bench, scenario) for scenario in scenarios}
    students = [make_student(run.network, scenario, bench.recipe) for scenario in scenarios]
    calibrate(students, bench.train, bench.recipe.calibration_images)
    ours = {student.scenario: student.network for student in students}
    found = {
        "FP32": judged(lambda frames, scenario: run.network(frames, scenario).logits, bench),
        "ModelOpt": judged(partial(_segment, theirs), bench),
        "ours": judged(logits_of(students), bench),
    }
    rows = []
    for scenario in scenarios:
        files = {"ModelOpt": partial(_write, theirs[scenario]), "ours": partial(export, ours[scenario])}
        timed = _timed(files, bench, scenario, rounds, threads)
        for by, figures in found.items():
            rows.append(Contestant(scenario, by, figures[scenario], *timed.get(by, ())))
    return rows


def quantised_by(modelopt: Any, bench: Bench, scenario: str) -> nn.Module:
    """The deployable network of `scenario`, norms folded, with ModelOpt's default INT8, calibrated on our images."""
    network = copy.deepcopy(placement.trace(bench.run.network.deployable(scenario)))
    for unit in [module for module in network.modules() if isinstance(module, ConvUnit)]:
        unit.conv = fuse_conv_bn_eval(unit.conv, unit.norm)
        unit.norm = nn.Identity()  # type: ignore[assignment]
    images = bench.recipe.calibration_images

    def show_images(model: nn.Module) -> None:
        batches = islice(whole_images(bench.train, 1), images)
        for batch in progress(batches, f"calibrate ModelOpt, {scenario}", images):
            _segment({scenario: model}, batch.frames, scenario)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised: nn.Module = modelopt.quantize(network, modelopt.INT8_DEFAULT_CFG, show_images)
    return quantised.eval()


def show(rows: Sequence[Contestant], args: argparse.Namespace) -> None:
    """Print one table, and what it was measured on."""
    whole = {row.scenario: row.figure for row in rows if row.by == "FP32"}
    table(
        "post-training INT8, in torch; ms under ONNX Runtime, in turns", COLUMNS, (_cells(row, whole) for row in rows)
    )
    machine = describe_machine(("torch", "onnxruntime", "nvidia-modelopt"))
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    say(f"{args.run}; {machine.cpu}, {args.threads} threads, {versions}")


def _timed(
    files: dict[str, Callable[..., None]], bench: Bench, scenario: str, rounds: int, threads: int
) -> dict[str, tuple[float, float | None, int]]:
    """Milliseconds (median, 95th percentile, n) of what can be written and run; a warning names what cannot."""
    models: dict[str, OnnxModel] = {}
    with tempfile.TemporaryDirectory() as folder:
        for by, write in files.items():
            file = Path(folder) / f"{by}.onnx"
            try:
                write(bench.run.task, scenario, file, {})
                models[by] = open_model(file, threads)
            except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError, EngineError) as cause:
                warn(f"{by}, {scenario}: no file that runs ({str(cause).splitlines()[0]})")
        calls = {by: partial(_run, model, _frames(model)) for by, model in models.items()}
        taken = take_turns(calls, rounds, f"time {scenario}")
    return {by: (found.median_ms, found.p95_ms, found.n) for by, found in taken.items()}


def _frames(model: OnnxModel) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {name: random.integers(0, 255, shape).astype(dtype) for name, (shape, dtype) in model.inputs.items()}


def _run(model: OnnxModel, frames: dict[str, Any], turn: int) -> object:
    return model.run(frames)


def _write(network: nn.Module, task: Any, scenario: str, file: Path, metadata: object) -> None:
    """ModelOpt's graph as a file of io `frame`, by the exporter that writes ours."""
    sensors = task.used(scenario)
    frames = tuple(torch.zeros(*task.grid, sensor.channels) for sensor in sensors)
    fused = fuse_attention(copy.deepcopy(network))  # type: ignore[arg-type]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            FrameModel(FromFrames(fused, sensors)).eval(),
            frames,
            file,
            opset_version=OPSET,
            dynamo=False,
            autograd_inlining=False,
            input_names=[sensor.name for sensor in sensors],
            output_names=["mask", "confidence"],
        )


def _segment(networks: dict[str, nn.Module], frames: Frames, scenario: str) -> Tensor:
    answer: Tensor = networks[scenario](*(frames[name] for name in sensors_of(scenario)))
    return answer


def _cells(row: Contestant, whole: dict[str, Figure]) -> Iterator[str]:
    test, times = 100 * row.figure.test, (row.median_ms, row.p95_ms)
    yield from (row.scenario, row.by, f"{test:.2f}", f"{100 * whole[row.scenario].test - test:.2f}")
    yield f"{100 * row.figure.agreement:.2f}"
    yield from ("-" if value is None else f"{value:.1f}" for value in times)
    yield str(row.n or "-")


def _modelopt() -> Any:
    try:
        import modelopt.torch.quantization as modelopt
    except ImportError as cause:
        raise EngineError(f"NVIDIA ModelOpt is not installed ({cause})", mend=PIP) from cause
    return modelopt


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.modelopt_ptq", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished training")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of its data set")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each file")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and of ONNX Runtime")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.set_defaults(epochs=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
