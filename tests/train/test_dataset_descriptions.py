"""The descriptions that dis2-edge carries fit folders laid out as the published sets are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dis2_train
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.images import write_png, write_tiff

DESCRIPTIONS = Path(dis2_train.__file__).parents[1] / "datasets"
RNG = np.random.default_rng(0)


def _grey(shape: tuple[int, int], channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (*shape, channels), dtype=np.uint8)


def _labels(shape: tuple[int, int], classes: int) -> np.ndarray:
    return RNG.choice(np.array([*range(classes), 255], np.uint8), shape)


def _all_read(dataset: DataSet) -> None:
    for split in dataset.splits:
        for id_ in dataset.ids(split):
            sample = dataset.on_grid(dataset.read(split, id_))
            assert sample.label is not None
            assert sample.label.shape == dataset.task.grid
            assert all(frame.shape[:2] == dataset.task.grid for frame in sample.frames.values())


def test_every_description_has_a_look_alike_here() -> None:
    elsewhere = {"mfnet", "msrs", "pst900", "pst900_raw"}  # published/test_as_distributed.py
    here = {"ombria", "hituav", "landsat", "mini_aerial"}
    assert {path.stem for path in DESCRIPTIONS.glob("*.toml")} == here | elsewhere


def test_ombria(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("omb_0001", "omb_0640"):
            write_png(tmp_path / split / "opt" / f"{name}.png", _grey((256, 256)))
            write_png(tmp_path / split / "sar" / f"{name}.png", _grey((256, 256), 1))
            write_png(tmp_path / split / "gt" / f"{name}.png", _labels((256, 256), 2))
    dataset = open_dataset(tmp_path, DESCRIPTIONS / "ombria.toml")
    assert dataset.splits == ("train", "val", "test")
    assert dataset.task.scenarios == ("opt+sar", "opt", "sar")
    assert dataset.task.classes == ("dry", "flood")
    _all_read(dataset)


def test_hituav(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "ir").mkdir(parents=True)
        Image.fromarray(_grey((512, 640))[..., 0]).save(tmp_path / split / "ir" / "1_90_40_0_04869.jpg")
        write_png(tmp_path / split / "gt" / "1_90_40_0_04869.png", _labels((512, 640), 5))
        (tmp_path / split / "boxes.json").write_text("{}")
    dataset = open_dataset(tmp_path, DESCRIPTIONS / "hituav.toml")
    assert dataset.task.scenarios == ("ir",)
    assert dataset.task.sensors[0].channels == 1
    _all_read(dataset)


def test_landsat_is_cut_into_windows_that_count_each_label_once(tmp_path: Path) -> None:
    shape = (310, 287)
    write_tiff(tmp_path / "rgb.tif", _grey(shape))
    write_tiff(tmp_path / "tir.tif", _grey(shape, 1))
    write_tiff(tmp_path / "nir.tif", _grey(shape, 1))
    write_tiff(tmp_path / "dem.tif", RNG.normal(100, 9, (*shape, 1)).astype(np.float32))
    truth = {split: _labels(shape, 4) for split in ("train", "test")}
    for split, label in truth.items():
        write_png(tmp_path / f"gt_{split}.png", label)
    dataset = open_dataset(tmp_path, DESCRIPTIONS / "landsat.toml")
    assert dataset.task.sensor_names == ("rgb", "tir", "dem")
    assert len(dataset.task.scenarios) == 7
    _all_read(dataset)
    for split, label in truth.items():
        cut = [dataset.read(split, id_).label for id_ in dataset.ids(split)]
        counted = np.sum([np.bincount(part.ravel(), minlength=256)[:4] for part in cut], axis=0)
        np.testing.assert_array_equal(counted, np.bincount(label.ravel(), minlength=256)[:4])


@pytest.mark.parametrize("name", ["zurich_a", "igntown_a"])
def test_mini_aerial(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "samples" / "rgb" / f"{name}.png", _grey((256, 256)))
    write_tiff(tmp_path / "samples" / "ndsm" / f"{name}.tif", RNG.normal(3, 2, (256, 256, 1)).astype(np.float32))
    write_png(tmp_path / "samples" / "gt" / f"{name}.png", _labels((256, 256), 4))
    write_png(tmp_path / "samples" / "nir" / "other.png", _grey((256, 256), 1))
    dataset = open_dataset(tmp_path, DESCRIPTIONS / "mini_aerial.toml")
    assert dataset.splits == ("samples",)
    assert dataset.ids("samples") == (name,)
    _all_read(dataset)
