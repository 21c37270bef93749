"""docs/data.md tells the truth: its description opens, and no key of a description is left out."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from dis2_edge import description
from dis2_edge.dataset import open_dataset

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")


def test_the_description_of_the_page_opens_a_data_set(make_set: Callable[..., Path]) -> None:
    root = make_set(shape=(256, 256), count=1)
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (root / "dataset.toml").write_text(example)
    dataset = open_dataset(root)
    assert dataset.task.scenarios == ("rgb+ndsm", "rgb", "ndsm")
    assert dataset.read("train", "000").label is not None


def test_every_key_is_told() -> None:
    told = set(re.findall(r"`(\w+)(?: =[^`]*)?`", PAGE))
    for table in (description.Description, description.SensorTable, description.Split):
        keys = {field.name for field in dataclasses.fields(table)} - {"sensors", "split"}
        assert keys <= told
