"""Prepare at the pictures' sizes: ours against the same steps in torch, and against a copy of as many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu.contest import COMPILED, COPY, Contest, Ready, copying
from benchmarks.gpu.findings import OURS
from benchmarks.gpu.lab import Lab
from dis2_edge.sensors import Sensor
from dis2_runtime.kernels.prepare import Prepare

KERNEL = "prepare"
RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 250, (100.0, 110.0, 90.0), (50.0, 55.0, 45.0))
HEIGHT = Sensor("ndsm", "height", 1, "float32", "metres", -10.0, 40.0, (5.0,), (6.0,))
"""A camera and a height map, both with values that are holes."""


def contests(
    lab: Lab, sizes: Sequence[int] = (256, 512, 1024), batches: Sequence[int] = (1,)
) -> Iterator[Callable[[], Contest]]:
    """Frames of `sizes` squared of either sensor, to halves; a frame comes alone."""
    for size in sizes:
        for sensor in (RGB, HEIGHT):
            yield partial(contest, lab, sensor, size)


def contest(lab: Lab, sensor: Sensor, size: int) -> Contest:
    """All contestants on the same frame."""
    frame = _frame(lab, sensor, size)
    numbers = _numbers(lab, sensor, "float32")
    moved = frame.numel() * (frame.element_size() + 2)
    return Contest(
        KERNEL,
        f"{size} px, {sensor.channels} x {sensor.dtype} to float16",
        bytes=moved,
        operations=0,
        judge=_judge(lab, frame, sensor),
        contestants={
            OURS: lambda: _ours(lab, frame, sensor),
            COPY: copying(lab, moved),
            "torch eager": lambda: Ready(lambda: plain(lab.torch, frame, sensor, *numbers)),
            COMPILED: lambda: _compiled(lab, frame, sensor, numbers),
        },
    )


def plain(torch: Any, frame: Any, sensor: Sensor, mean: Any, std: Any) -> tuple[Any, Any, Any]:
    """The frame (H, W, C) normalised, (C, H, W); its holes and (4, C) of what else health asks, of valid values.

    `mean` and `std` (C,) are the sensor's on the device; their type is the one that it computes in.
    """
    values = frame.to(mean.dtype)
    hole = ~((values >= sensor.valid_min) & (values <= sensor.valid_max))
    filled = torch.where(hole, mean, values)
    count = (~hole).sum(dim=(0, 1))
    centred = torch.where(hole, 0.0, values - mean)
    about = centred.sum(dim=(0, 1)) / count
    spread = (centred.square().sum(dim=(0, 1)) / count - about.square()).clamp(min=0).sqrt()
    least = torch.where(hole, float("inf"), values).amin(dim=(0, 1))
    most = torch.where(hole, float("-inf"), values).amax(dim=(0, 1))
    normal = ((filled - mean) / std).permute(2, 0, 1)
    ready = normal.half() if mean.dtype == torch.float32 else normal
    return ready.contiguous(), hole.sum(), torch.stack([mean + about, spread, least, most])


def _frame(lab: Lab, sensor: Sensor, size: int) -> Any:
    """Some values in a hundred lie outside the valid range."""
    mean, std = _numbers(lab, sensor, "float32")
    values = lab.random(size, size, sensor.channels, dtype="float32") * 1.5 * std + mean
    return values.clamp(0, 255).round().to(lab.torch.uint8) if sensor.dtype == "uint8" else values


def _numbers(lab: Lab, sensor: Sensor, kind: str) -> tuple[Any, Any]:
    """Mean and standard deviation of the channels, on the device."""
    dtype = getattr(lab.torch, kind)
    mean, std = (lab.torch.tensor(row, dtype=dtype, device=lab.device) for row in (sensor.mean, sensor.std))
    return mean, std


def _judge(lab: Lab, frame: Any, sensor: Sensor) -> Callable[[Any], float]:
    """Largest error against float64, over twice that of rounding once to half; the holes have to be counted right."""
    exact, holes, _ = plain(lab.torch, frame, sensor, *_numbers(lab, sensor, "float64"))
    allowed = 2 * float((exact.half().double() - exact).abs().max())

    def judge(answer: tuple[Any, Any, Any]) -> float:
        if int(answer[1]) != int(holes):
            return float("inf")
        return float((answer[0].double() - exact).abs().max()) / max(allowed, 1e-12)

    return judge


def _ours(lab: Lab, frame: Any, sensor: Sensor) -> Ready:
    height, width, channels = frame.shape
    kernel = Prepare(lab.driver, lab.module(KERNEL), sensor, (height, width), "float16")
    target = lab.empty(channels, height, width)
    statistics = lab.empty(kernel.statistics_bytes, dtype="uint8")
    frame_at, target_at, statistics_at = (part.data_ptr() for part in (frame, target, statistics))

    def answer() -> tuple[Any, int, None]:
        seen = kernel.statistics(statistics.cpu().numpy())
        return target, sum(seen.holes), None

    return Ready(lambda: kernel.launch(lab.stream, frame_at, target_at, statistics_at), answer, (frame,))


def _compiled(lab: Lab, frame: Any, sensor: Sensor, numbers: tuple[Any, Any]) -> Ready:
    function = lab.compiled(lambda given, mean, std: plain(lab.torch, given, sensor, mean, std))
    return Ready(lambda: function(frame, *numbers))
