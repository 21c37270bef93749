"""The first convolution over bytes: groups of columns give the very integers that single columns give."""

import pytest
import torch
from small import RGB
from woven import bytes_of, lived_in_unit, same, written

from dis2_edge.sensors import Sensor
from dis2_quantize.rounding.stem import QuantStem, reads_bytes
from dis2_quantize.writing.ort.operators import Step, to_integers
from dis2_quantize.writing.ort.stems import ByteStem, side_by_side
from dis2_quantize.writing.ort.units import OUTPUTS_AT_ONCE
from dis2_quantize.writing.wrap import Normalise

RADAR = Sensor("sar", "radar", 1, "uint8", "DN", 0, 255, (90.0,), (30.0,))
MADE = Step(0.03, 0)


@pytest.mark.parametrize("size", [(16, 32), (16, 12), (12, 10), (8, 2)])
@pytest.mark.parametrize(
    ("sensor", "outputs", "kernel", "stride"), [(RGB, 16, 4, 2), (RADAR, 8, 4, 2), (RGB, 32, 4, 2), (RGB, 5, 3, 1)]
)
def test_a_stem_reads_bytes_as_they_are(sensor, outputs, kernel, stride, size):
    unit = lived_in_unit(sensor.channels, outputs, kernel, stride)
    assert reads_bytes(unit, sensor)
    stem, frame = QuantStem(unit, sensor).eval(), bytes_of(*size, sensor.channels)
    integer = ByteStem(stem, MADE)
    expected = to_integers(stem(Normalise(sensor)(frame)), MADE).permute(0, 2, 3, 1)
    assert expected.shape == (1, size[0] // stride, size[1] // stride, outputs)
    assert same(integer(frame[None]), expected, share=0.1)  # the border is the mean, rounded
    assert same(written(integer, frame[None]), integer(frame[None]), share=0.01)


@pytest.mark.parametrize(("sensor", "outputs"), [(RADAR, 16), (RGB, 16), (RGB, 32)])
def test_the_kernel_gets_inputs_by_four_and_outputs_by_sixteen(sensor, outputs):
    integer = ByteStem(QuantStem(lived_in_unit(sensor.channels, outputs, 4, 2), sensor).eval(), MADE)
    assert integer.weight.shape[0] % OUTPUTS_AT_ONCE == 0
    assert integer.weight.shape[1] % 4 == 0


@pytest.mark.parametrize("columns", [2, 4, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1), (2, 2)])
def test_side_by_side_is_the_same_convolution(columns, kernel, stride):
    weight = torch.randint(-127, 128, (3, 2, kernel, kernel), dtype=torch.int8)
    wide = side_by_side(weight, stride, columns)
    groups = 4
    x = torch.randint(0, 256, (1, 2, 9, columns * (groups + wide.shape[3] - 1))).float()
    expected = torch.conv2d(x, weight.float(), stride=stride)[..., : groups * columns // stride]
    folded = x.unflatten(3, (-1, columns)).permute(0, 4, 1, 2, 3).flatten(1, 2)  # channel: column, then channel
    found = torch.conv2d(folded, wide.float(), stride=(stride, 1)).unflatten(1, (columns // stride, 3))
    assert torch.equal(found.permute(0, 2, 3, 4, 1).flatten(3), expected)
