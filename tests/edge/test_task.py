"""dis2_edge.task and dis2_edge.sensors: a schema of any number of sensors; what cannot be meant is refused."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from dis2_edge.errors import BundleError, RecipeError
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)
HEIGHT = Sensor("ndsm", "height", 1, "float32", "metres", -5, 100, to_grid=(1, 0, 2.5, 0, 1, 0, 0, 0, 1))
THERMAL = Sensor("ir", "thermal", 1, "uint16", "kelvin", 200, 400, mean=(280.0,), std=(9.0,), rate_hz=9)


def task(*sensors: Sensor, **changes: Any) -> Task:
    return dataclasses.replace(Task(sensors, ("ground", "roof"), ("#000000", "#FF8800"), (64, 96)), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensors": ()}, "expected one or more"),
        ({"sensors": (RGB, RGB)}, "each name once"),
        ({"classes": ("ground",)}, "1 classes and 2 colours"),
        ({"classes": ("roof", "roof")}, "each name once"),
        ({"classes": ("roof", "")}, "none empty"),
        ({"colours": ("#000000", "red")}, "colour 'red'; expected #rrggbb"),
        ({"ignore": 1}, "ignore is 1; expected 2..255"),
        ({"ignore": 256}, "ignore is 256"),
        ({"grid": (0, 8)}, "two sizes of 1 pixel or more"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        task(RGB, **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "RGB"}, "bad name"),
        ({"name": "a+b"}, "bad name"),
        ({"name": "blind"}, "the name is taken"),
        ({"name": "mask"}, "the name is taken"),
        ({"name": "truth"}, "the name is taken"),
        ({"channels": 0}, "channels is 0"),
        ({"valid_min": 255.0}, "expected min below max"),
        ({"valid_min": float("nan")}, "expected min below max"),
        ({"to_grid": (1.0,)}, "a 3x3 homography"),
        ({"rate_hz": 0.0}, "expected above 0"),
        ({"mean": (1.0,)}, "1 values of mean; expected 3, one a channel"),
    ],
)
def test_a_sensor_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        dataclasses.replace(RGB, **changes)
    assert message in str(caught.value)


def test_a_task_of_three_sensors_knows_seven_scenarios() -> None:
    three = task(RGB, HEIGHT, THERMAL)
    assert three.full == "rgb+ndsm+ir"
    assert three.scenarios == ("rgb+ndsm+ir", "rgb+ndsm", "rgb+ir", "ndsm+ir", "rgb", "ndsm", "ir")
    assert three.used("rgb+ir") == (RGB, THERMAL)


@pytest.mark.parametrize("sensors", [(RGB,), (RGB, HEIGHT), (THERMAL, RGB, HEIGHT)])
def test_a_task_comes_back_equal_from_json(sensors: tuple[Sensor, ...]) -> None:
    written = json.dumps(task(*sensors).to_table())
    assert Task.from_table(json.loads(written), where="task.json") == task(*sensors)


def test_a_broken_table_is_the_callers_error() -> None:
    table = task(RGB).to_table()
    table["sensors"][0]["knd"] = "optical"
    with pytest.raises(BundleError, match="unknown key 'knd'; did you mean 'kind'"):
        Task.from_table(table, where="manifest.json", error=BundleError)


def test_an_unknown_sensor_is_named_with_its_neighbour() -> None:
    with pytest.raises(RecipeError, match="unknown sensor 'nsdm'; did you mean 'ndsm'"):
        task(RGB, HEIGHT).sensor("nsdm")


def test_a_sensor_knows_its_type_and_period() -> None:
    assert np.zeros(1, HEIGHT.numpy_dtype).dtype == np.float32
    assert THERMAL.period_ms == pytest.approx(111.1, abs=0.1)
