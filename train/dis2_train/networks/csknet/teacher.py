"""What a teacher must be for a student to learn from it, trained for this or given; and how it may begin as it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from dis2_edge.errors import CheckpointError
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train.networks.deeplab.encoder import Encoder
from dis2_train.networks.deeplab.network import DeepLabV3
from dis2_train.networks.seam import Network

if TYPE_CHECKING:
    from dis2_train.networks.csknet.network import CskNet

_NEAR = 0.05
"""Share of the spread of a sensor's values by which what the teacher took for their mean and spread may be off."""
_PROBE = 64, 64
"""Height and width of the frame by which maps are compared."""


def check_fit(teacher: Network, student: Network, optical: str, taps: tuple[str, ...]) -> None:
    """CheckpointError unless `teacher` sees the sensor `optical` alone, as `student` does, and has its maps `taps`.

    It must tell the same classes apart, have been normalised by nearly the same statistics, and its maps must have the
    channels and sides of the student's.
    """
    ours = student.task.sensor(optical)
    found, wanted = _known(teacher.task, teacher.task.sensors), _known(student.task, [ours])
    if found != wanted:
        raise _unfit(f"it {found}", f"one that {wanted}")
    (theirs,) = teacher.task.sensors
    if not _alike(theirs, ours):
        raise _unfit(
            f"{optical} had mean {_rounded(theirs.mean)} and spread {_rounded(theirs.std)} where it learned",
            f"near these data's {_rounded(ours.mean)} and {_rounded(ours.std)}",
        )
    if not set(taps) <= set(teacher.tap_names(optical)):
        raise _unfit(f"it has no maps {' and '.join(taps)}", "a deeplabv3")
    sizes, asked = (_map_sizes(network, ours, taps) for network in (teacher, student))
    if sizes != asked:
        here = f"of a frame of {_PROBE[0]}x{_PROBE[1]} its maps are {sizes}"
        raise _unfit(here, f"{asked}, by this recipe's width and output_stride")


def begin_as(teacher: Network, student: CskNet) -> None:
    """Give both branches of `student`, alone and side by side, the weights and batch norms of `teacher`, that fits it.

    The other sensor's first convolution stays as it was drawn, for it reads other channels; so does the fusion.
    """
    assert isinstance(teacher, DeepLabV3)
    both = student.both()
    for place, name in enumerate(student.task.sensor_names):
        own = student.lone(name)
        for encoder, at in ((own.encoder, 0), (both.encoder, place)):
            _give_units(teacher.encoder, encoder, at, with_stem=name == student.optical)
        for decoder in (own.decoder, both.decoders[place]):
            decoder.load_state_dict(teacher.decoder.state_dict())
        own.head.load_state_dict(teacher.head.state_dict())


def _give_units(teacher: Encoder, student: Encoder, place: int, with_stem: bool) -> None:
    """Copy the units of the teacher's one sensor into those of the student's sensor at `place`."""
    source, target = teacher.sensors[0], student.sensors[place]
    assert isinstance(source, nn.ModuleDict)
    assert isinstance(target, nn.ModuleDict)
    for name, unit in source.items():
        if with_stem or name != "stem":
            target[name].load_state_dict(unit.state_dict())


def _unfit(found: str, expected: str) -> CheckpointError:
    mend = "leave --teacher out: it is then trained first"
    return CheckpointError(f"the teacher does not fit: {found}", expected=expected, mend=mend)


def _known(task: Task, sensors: Sequence[Sensor]) -> str:
    """What a network sees and tells apart, in words."""
    seen = [f"{each.name} ({each.kind}, {each.channels} x {each.unit})" for each in sensors]
    return f"sees {' and '.join(seen)} and tells {', '.join(task.classes)} apart"


def _alike(one: Sensor, other: Sensor) -> bool:
    """Whether two sensors are normalised nearly alike."""
    if len(one.mean) != len(other.mean):
        return False
    rows = zip(one.mean, other.mean, one.std, other.std, strict=True)
    return all(abs(a - b) <= _NEAR * t and abs(s - t) <= _NEAR * t for a, b, s, t in rows)


def _rounded(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


@torch.no_grad()
def _map_sizes(network: Network, sensor: Sensor, taps: tuple[str, ...]) -> str:
    """Channels and sides of the maps of a lone sensor, from a small frame of nothing; no statistic moves."""
    flown = copy.deepcopy(network.deployable(sensor.name, taps)).cpu().eval()
    _, *maps = flown(torch.zeros(1, sensor.channels, *_PROBE))
    return ", ".join("x".join(map(str, each.shape[1:])) for each in maps)
