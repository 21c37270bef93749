"""What bringing frames to a 512x512 grid takes: the NumPy reference, both fast ways, and ONNX Runtime's operators.

    python -m benchmarks.align [--n 50]

One thread each, in turns within one run. `off` is the largest difference to the reference, in the sensor's own unit.
The last lines are the blending of a 1080x1920 frame from windows, without the engine's own time.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from dis2_edge.geometry import is_bent, places
from dis2_edge.lens import Lens
from dis2_edge.prepare import bring
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import say, table
from dis2_edge.timing import WARM_UP, describe_machine, measure, take_turns
from dis2_runtime.align.aligner import Aligner
from dis2_runtime.align.tiler import Tiler
from dis2_runtime.engine import Answer
from dis2_runtime.frames import Frame

Pixels = npt.NDArray[np.generic]
GRID = (512, 512)
_RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, mean=(110.0,) * 3, std=(50.0,) * 3)
_NDSM = Sensor("ndsm", "height", 1, "float32", "metres", -100, 100, mean=(4.0,), std=(5.0,))
_TILT = (0.6, 0.05, 20, -0.03, 0.65, 10, 1e-5, 2e-5, 1)
_LENS = Lens(700, 700, 640, 360, k1=-0.2, k2=0.05, p1=1e-3, p2=-1e-3, k3=-0.005)
CASES = {
    "resize 1080x1920x3 uint8": dataclasses.replace(_RGB, size=(1080, 1920)),
    "homography 720x1280x3 uint8": dataclasses.replace(_RGB, size=(720, 1280), to_grid=_TILT),
    "lens 720x1280x3 uint8": dataclasses.replace(_RGB, size=(720, 1280), lens=_LENS),
    "lens and homography 720x1280x3 uint8": dataclasses.replace(_RGB, size=(720, 1280), lens=_LENS, to_grid=_TILT),
    "resize 480x640x1 float32": dataclasses.replace(_NDSM, size=(480, 640)),
    "homography 480x640x1 float32": dataclasses.replace(_NDSM, size=(480, 640), to_grid=_TILT),
}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.align", description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=50, help="timed calls of each, 20 or more for a p95")
    args = parser.parse_args(words)
    machine = describe_machine(("numpy", "onnxruntime", "opencv-python-headless"))
    say(f"machine: {machine.cpu}, 1 thread; {machine.packages}; n {args.n}, warm-up {WARM_UP}, median ms")
    rows = [cells for name, sensor in CASES.items() for cells in measured(name, sensor, args.n)]
    table("to 512x512", ("case", "way", "median ms", "p95 ms", "reference / it", "off"), rows)
    _say_blending(args.n)
    return 0


def measured(name: str, sensor: Sensor, n: int) -> list[tuple[str, ...]]:
    """One row for each way of `sensor`."""
    random = np.random.default_rng(0)
    noise = random.uniform(max(sensor.valid_min, -50), min(sensor.valid_max, 255), (*sensor.size, sensor.channels))
    pixels = noise.astype(sensor.dtype)
    reference, _ = bring(pixels, sensor, GRID)
    ways = {
        "reference": lambda: bring(pixels, sensor, GRID)[0],
        "OpenCV (flies)": _aligner(sensor, pixels, fast=True),
        "NumPy (flies without it)": _aligner(sensor, pixels, fast=False),
        "ONNX Runtime": _operators(sensor, pixels),
    }
    off = {way: np.abs(call().astype(np.float64) - reference)[_covered(sensor)].max() for way, call in ways.items()}
    took = take_turns({way: lambda _, call=call: call() for way, call in ways.items()}, n, name, pause_s=0)
    base = took["reference"].median_ms
    return [
        (name, way, f"{of.median_ms:.3f}", f"{of.p95_ms or 0:.3f}", f"{base / of.median_ms:.1f}", f"{off[way]:.2g}")
        for way, of in took.items()
    ]


def _aligner(sensor: Sensor, pixels: Pixels, *, fast: bool) -> Callable[[], Pixels]:
    aligner = Aligner(Task((sensor,), ("a",), ("#000000",), GRID), fast=fast)
    return lambda: aligner.align(Frame(sensor.name, pixels, 0, 0)).pixels  # a new frame each time: nothing is reused


def _covered(sensor: Sensor) -> npt.NDArray[np.bool_]:
    """Where results are compared: ONNX Runtime has no value of ours for what is outside."""
    return places(sensor, sensor.size, GRID).inside


def _operators(sensor: Sensor, pixels: Pixels) -> Callable[[], Pixels]:
    """Resize, or GridSample between casts and transposes, as ONNX Runtime runs them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(_model(sensor).SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds: dict[str, Pixels] = {"frame": pixels[None]}
    if is_bent(sensor):
        found = places(sensor, sensor.size, GRID)
        scaled = [
            2 * way / (side - 1) - 1 for way, side in zip((found.columns, found.rows), sensor.size[::-1], strict=True)
        ]
        feeds["places"] = np.stack(scaled, axis=-1)[None].astype(np.float32)
    return lambda: session.run(None, feeds)[0][0]


def _model(sensor: Sensor) -> onnx.ModelProto:
    dtype = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}[sensor.dtype]
    inputs = [helper.make_tensor_value_info("frame", dtype, [1, *sensor.size, sensor.channels])]
    outputs = [helper.make_tensor_value_info("placed", dtype, [1, *GRID, sensor.channels])]
    constants = []
    if is_bent(sensor):
        inputs.append(helper.make_tensor_value_info("places", TensorProto.FLOAT, [1, *GRID, 2]))
        nodes = [
            helper.make_node("Cast", ["frame"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node(
                "GridSample", ["planes", "places"], ["sampled"], mode="bilinear", padding_mode="border", align_corners=1
            ),
            helper.make_node("Transpose", ["sampled"], ["back"], perm=[0, 2, 3, 1]),
            helper.make_node("Round" if sensor.dtype == "uint8" else "Identity", ["back"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["placed"], to=dtype),
        ]
    else:
        sizes = np.array([1, *GRID, sensor.channels], np.int64)
        constants.append(onnx.numpy_helper.from_array(sizes, "sizes"))
        nodes = [helper.make_node("Resize", ["frame", "", "", "sizes"], ["placed"], mode="linear")]
    graph = helper.make_graph(nodes, "align", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


class _Instant:
    """An engine that answers at once."""

    scenarios = ("rgb",)

    def infer(self, scenario: str, frames: dict[str, Pixels], into: Answer) -> Answer:
        return into


def _say_blending(n: int) -> None:
    task, size = Task((_RGB,), ("a",), ("#000000",), GRID), (1080, 1920)
    tiler, into = Tiler(_Instant(), task, size), Answer.empty(*size)
    random = np.random.default_rng(0)
    for answer in tiler._answers:
        answer.mask[...], answer.confidence[...] = random.integers(0, 6, GRID), random.integers(0, 256, GRID)
    frames = {"rgb": np.zeros((*size, 3), np.uint8)}
    latency = measure(lambda: tiler.infer("rgb", frames, into), n, WARM_UP)
    windows = len(tiler._answers)
    per = latency.median_ms / windows
    say(
        f"tiles: {windows} windows of a 1080x1920x3 frame cut and blended in {latency.median_ms:.1f} ms, {per:.2f} each"
    )


if __name__ == "__main__":
    raise SystemExit(main())
