"""The real sets for CSK-Net, where they lie beside the checkout: recipes begin on each, `data check` accuses none.

A few files of each set are taken, by links; nothing is written beside them.
"""

from pathlib import Path

import pytest

from dis2_edge.cli import main
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_train.data import polarity, registration
from dis2_train.networks import build

HERE = Path(__file__).parents[3]
SETS = HERE.parent / "shared" / "data"
DESCRIPTIONS = HERE / "train" / "datasets"
FOLDERS = {"hituav": "hituav_ir_boxmask", "landsat": "landsat_rgb_tir_dem", "ombria": "ombria_s1s2_flood"}
RECIPE = """
network = "{network}"
sensors = [{sensors}]
grid = [{grid}]
width = 0.25
epochs = 1
batch = 2
crop = 32
evaluate_every = 1
average_decay = 0
threads = 1
"""

pytestmark = pytest.mark.skipif(not SETS.is_dir(), reason="the real sets are not at hand")


def _whole(name: str) -> DataSet:
    return open_dataset(SETS / FOLDERS[name], DESCRIPTIONS / f"{name}.toml")


def _few(name: str, into: Path, count: int = 2) -> Path:
    """A folder of links to the first `count` samples of each split of a set; of one scene, to all its files."""
    data = _whole(name)
    for split in data.splits[:3]:
        for id_ in data.ids(split)[:count]:
            pair = data.entry(split, id_).pair
            for file in (*pair.frames.values(), *([pair.label] if pair.label else [])):
                place = into / file.relative_to(data.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    place.symlink_to(file)
    return into


@pytest.mark.parametrize(
    ("name", "network", "sensors", "grid", "scenarios"),
    [
        ("ombria", "csknet", ("opt", "sar"), (64, 64), {"opt+sar", "opt", "sar"}),
        ("ombria", "deeplabv3", ("sar",), (64, 64), {"sar"}),
        ("landsat", "csknet", ("rgb", "tir"), (144, 144), {"rgb+tir", "rgb", "tir"}),
        ("landsat", "deeplabv3", ("tir",), (144, 144), {"tir"}),
        ("hituav", "deeplabv3", (), (64, 80), {"ir"}),
    ],
)
def test_a_recipe_begins_on_it(
    name: str, network: str, sensors: tuple[str, ...], grid: tuple[int, int], scenarios: set[str], tmp_path: Path
) -> None:
    quoted = ", ".join(f'"{sensor}"' for sensor in sensors)
    (tmp_path / "r.toml").write_text(RECIPE.format(network=network, sensors=quoted, grid=", ".join(map(str, grid))))
    words = ["train", str(tmp_path / "r.toml"), "--data", str(_few(name, tmp_path / "data"))]
    words += ["--describe", str(DESCRIPTIONS / f"{name}.toml"), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    metrics = (tmp_path / "run" / "metrics.json").read_text()
    assert all(f'"{scenario}"' in metrics for scenario in scenarios)


def test_two_sensors_cannot_be_had_of_an_infrared_set() -> None:
    with pytest.raises(RecipeError, match="csknet is a two-sensor network, and this task has 1: ir"):
        build(Recipe(network="csknet"), _whole("hituav").task)


@pytest.mark.parametrize(
    ("name", "sensors", "verdict"),
    [
        ("ombria", (), "registered"),
        ("landsat", ("rgb", "tir"), "registered"),
        ("landsat", ("rgb", "dem"), "registered"),
    ],
)
def test_pairs_that_lie_on_each_other_are_not_accused(name: str, sensors: tuple[str, ...], verdict: str) -> None:
    data = _whole(name).narrowed(sensors)
    found = registration.offsets(data)
    assert registration.warnings_of(found, data) == []
    assert registration.rows(found)[1][0][-1] == verdict


def test_real_thermal_runs_one_way_by_day_and_night() -> None:
    data = _whole("hituav")
    found = polarity.polarities(data, images=14)
    assert [row.split for row in found] == ["train", "val", "test"]  # the parts are looked at once
    assert polarity.warnings_of(found, data) == []
    assert found[0].sign == 1
