"""Whether a model can be judged on a data set: the same classes, and sensors that give what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dis2_edge.errors import DataError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import nearest

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet
    from dis2_edge.task import Task
    from dis2_train.segmenters import Segmenter


def check_match(segmenter: Segmenter, data: DataSet) -> None:
    """Raise DataError, with what was found, what was expected and a mend, unless `data` are of the model's task.

    Classes must be the same names in the same order: an index means what the model was taught that it means. Of the
    sensors the data may have more than the model reads.
    """
    check_task(segmenter.task, segmenter.label, data)


def check_task(task: Task, label: str, data: DataSet) -> None:
    """The same for a model's `task`; `label` is what messages call the model."""
    _check_classes(task, label, data)
    held = {sensor.name: sensor for sensor in data.task.sensors}
    for sensor in task.sensors:
        if sensor.name not in held:
            raise DataError(
                f"{label} reads the sensor {sensor.name!r}, which {data.root} does not have",
                expected=f"its sensors, {', '.join(task.sensor_names)}",
                mend=f"{nearest(sensor.name, held)} Name it so in dataset.toml, or give another by --describe",
            )
        if _form(sensor) != _form(held[sensor.name]):
            raise DataError(
                f"sensor {sensor.name!r} of {data.root} gives {_form(held[sensor.name])}",
                expected=f"{_form(sensor)}, which {label} was made for",
                mend="describe its bands and dtype so (see docs/data.md), or judge another model",
            )


def _check_classes(task: Task, label: str, data: DataSet) -> None:
    wanted, found = task.classes, data.task.classes
    if wanted == found:
        return
    same = "in that order; " if sorted(wanted) == sorted(found) else ""
    raise DataError(
        f"{data.root} has the classes {', '.join(found)}",
        expected=f"{', '.join(wanted)}, {same}the classes of {label}",
        mend="give labels and a dataset.toml with the model's classes, or judge a model of these",
    )


def _form(sensor: Sensor) -> str:
    return f"{sensor.channels} channel{'s' if sensor.channels > 1 else ''} of {sensor.dtype}"
