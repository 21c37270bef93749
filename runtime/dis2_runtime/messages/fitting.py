"""Channels of a decoded picture as its sensor has them: no alpha, and no palette laid over temperatures."""

from __future__ import annotations

import numpy as np

from dis2_edge.errors import DataError
from dis2_edge.sensors import Sensor
from dis2_runtime.messages.picture import Pixels


def fitted(pixels: Pixels, sensor: Sensor) -> Pixels:
    """`pixels` with the channels of `sensor` where that loses nothing; else as they are, for health to judge.

    Alpha is dropped where the sensor has none; three equal channels are grey. DataError on the colours of a palette
    for a thermal sensor of one channel: from them no temperature can be told.
    """
    if pixels.shape[2] in (2, 4) and sensor.channels < pixels.shape[2]:
        pixels = np.ascontiguousarray(pixels[..., :-1])
    if sensor.channels != 1 or pixels.shape[2] != 3:
        return pixels
    if (pixels[..., :1] == pixels[..., 1:]).all():
        return np.ascontiguousarray(pixels[..., :1])
    if sensor.kind == "thermal":
        mend = "record the raw or grey picture (mono8, mono16)"
        raise DataError("a thermal picture in the colours of a palette", expected="temperatures", mend=mend)
    return pixels
