"""Bad data sets: each fault is a DataError that names what is wrong and where."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError
from dis2_edge.images import write_png, write_tiff

MakeSet = Callable[..., Path]


def _set(root: Path, old: str, new: str) -> None:
    text = (root / "dataset.toml").read_text()
    assert old in text
    (root / "dataset.toml").write_text(text.replace(old, new))


def test_missing_description(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.toml does not exist.*data init"):
        open_dataset(tmp_path)


def test_missing_root(make_set: MakeSet, tmp_path: Path) -> None:
    root = make_set()
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_dataset(tmp_path / "nowhere", root / "dataset.toml")


def test_unknown_key_suggests_the_nearest(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, "labels =", "lables =")
    with pytest.raises(DataError, match="did you mean 'labels'"):
        open_dataset(root)


def test_unknown_sensor_key_suggests_the_nearest(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, 'kind = "height"', 'kind = "height"\nvalidmin = 0.0')
    with pytest.raises(DataError, match=r"sensors\.ndsm.*did you mean 'valid_min'"):
        open_dataset(root)


def test_missing_sensor_folder(make_set: MakeSet) -> None:
    root = make_set()
    shutil.rmtree(root / "val" / "ndsm")
    with pytest.raises(DataError, match=r"val/ndsm of sensor 'ndsm' is missing"):
        open_dataset(root)


def test_missing_label_folder(make_set: MakeSet) -> None:
    root = make_set()
    shutil.rmtree(root / "train" / "gt")
    with pytest.raises(DataError, match=r"train/gt of the labels is missing"):
        open_dataset(root)


def test_unpaired_names_are_named_and_counted(make_set: MakeSet) -> None:
    root = make_set()
    (root / "train" / "ndsm" / "001.tif").unlink()
    (root / "train" / "gt" / "001.png").rename(root / "train" / "gt" / "extra.png")
    told = "rgb lacks 1 of 4: extra; ndsm lacks 2 of 4: 001, extra; labels lacks 1 of 4: 001"
    with pytest.raises(DataError, match=f"train.*{told}"):
        open_dataset(root)


def test_empty_split(make_set: MakeSet) -> None:
    root = make_set()
    for folder in ("rgb", "ndsm", "gt"):
        for path in (root / "val" / folder).iterdir():
            path.unlink()
    with pytest.raises(DataError, match=r"split 'val'.*is empty"):
        open_dataset(root)


def test_no_split_at_all(make_set: MakeSet) -> None:
    root = make_set()
    for split in ("train", "val"):
        shutil.rmtree(root / split)
    with pytest.raises(DataError, match="no split found"):
        open_dataset(root)


def test_unknown_split_and_sample(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set())
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        dataset.ids("test")
    with pytest.raises(DataError, match="no sample '999'"):
        dataset.read("train", "999")


def test_sensors_of_different_size_without_alignment(make_set: MakeSet) -> None:
    root = make_set()
    write_tiff(root / "train" / "ndsm" / "001.tif", np.zeros((4, 6, 1), np.float32))
    with pytest.raises(DataError, match=r"'001'.*rgb 8x12, ndsm 4x6.*no alignment is declared"):
        open_dataset(root).read("train", "001")


def test_tiles_of_different_size_without_alignment(make_set: MakeSet) -> None:
    root = make_set()
    write_png(root / "train" / "rgb" / "002.png", np.zeros((6, 6, 3), np.uint8))
    write_tiff(root / "train" / "ndsm" / "002.tif", np.zeros((6, 6, 1), np.float32))
    write_png(root / "train" / "gt" / "002.png", np.zeros((6, 6), np.uint8))
    with pytest.raises(DataError, match=r"'002'.*6x6.*the grid's 8x12"):
        open_dataset(root).read("train", "002")


def test_labels_of_another_size(make_set: MakeSet) -> None:
    root = make_set()
    write_png(root / "train" / "gt" / "000.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"'000'.*labels 4x4"):
        open_dataset(root).read("train", "000")


def test_class_index_out_of_range(make_set: MakeSet) -> None:
    root = make_set()
    label = np.zeros((8, 12), np.uint8)
    label[2, 3:5] = 7
    write_png(root / "train" / "gt" / "001.png", label)
    with pytest.raises(DataError, match=r"001\.png: class index 7 on 2 pixels; expected 0\.\.1 \(low, high\) or 255"):
        open_dataset(root).read("train", "001")


def test_colour_of_no_class(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, "labels =", 'colours = ["#ffffff", "#0000ff"]\nlabels =')
    label = np.full((8, 12, 3), 255, np.uint8)
    label[0, 0] = (1, 2, 3)
    write_png(root / "train" / "gt" / "001.png", label)
    with pytest.raises(DataError, match=r"001\.png: colour #010203 of no class \(1 pixels"):
        open_dataset(root).read("train", "001")


@pytest.mark.parametrize("name", ["rgb/001.png", "ndsm/001.tif", "gt/001.png"])
def test_truncated_image_is_named(make_set: MakeSet, name: str) -> None:
    root = make_set(shape=(64, 64))
    path = root / "train" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=f"{name} is damaged or cut short"):
        open_dataset(root).read("train", "001")


def test_a_first_file_that_is_no_picture_leaves_the_next_to_look_into(make_set: MakeSet) -> None:
    root = make_set()
    whole = open_dataset(root).task
    (root / "train" / "rgb" / "000.png").write_text("not a picture")
    assert open_dataset(root).task == whole
    with pytest.raises(DataError, match=r"000\.png is no picture"):
        open_dataset(root).read("train", "000")


def test_when_the_first_files_are_no_pictures_one_is_named(make_set: MakeSet) -> None:
    root = make_set()
    for number in range(3):
        (root / "train" / "rgb" / f"00{number}.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"002\.png is no picture"):
        open_dataset(root)


def test_number_of_bands(make_set: MakeSet) -> None:
    root = make_set()
    write_png(root / "val" / "rgb" / "000.png", np.zeros((8, 12), np.uint8))
    with pytest.raises(DataError, match=r"000\.png has 1 bands; expected 3 of 'rgb'"):
        open_dataset(root).read("val", "000")


def test_bands_that_the_file_lacks(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, 'kind = "optical"', 'kind = "optical"\nbands = [1, 4]')
    with pytest.raises(DataError, match=r"3 bands; expected bands \[1, 4\]"):
        open_dataset(root).read("train", "000")


def test_number_type(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, 'kind = "optical"', 'kind = "optical"\ndtype = "uint16"')
    with pytest.raises(DataError, match=r"000\.png holds uint8; expected uint16"):
        open_dataset(root).read("train", "000")


def test_size_that_was_stated(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, 'kind = "height"', 'kind = "height"\nsize = [16, 16]')
    with pytest.raises(DataError, match="8x12 pixels; expected 16x16"):
        open_dataset(root).read("train", "000")


def test_different_fits_need_a_declaration(make_set: MakeSet) -> None:
    root = make_set()
    _set(root, 'kind = "height"', 'kind = "height"\nfit = "crop"')
    with pytest.raises(DataError, match=r"alignment = \"declared\""):
        open_dataset(root)


def test_empty_list(make_set: MakeSet) -> None:
    root = make_set()
    with (root / "dataset.toml").open("a") as file:
        file.write('[split]\nby = "list"\n')
    (root / "train.txt").write_text("\n")
    with pytest.raises(DataError, match="split 'train' is empty"):
        open_dataset(root)


def test_list_of_unknown_ids(make_set: MakeSet) -> None:
    root = make_set()
    with (root / "dataset.toml").open("a") as file:
        file.write('[split]\nby = "list"\n')
    (root / "train.txt").write_text("000\n777\n")
    with pytest.raises(DataError, match="lacks 1 of 2: 777"):
        open_dataset(root)


def test_block_smaller_than_the_grid(make_set: MakeSet) -> None:
    root = make_set()
    text = (root / "dataset.toml").read_text().replace("{split}", "train")
    (root / "dataset.toml").write_text(f'grid = [8, 8]\n{text}\n[split]\nby = "block"\nblock_px = 4\n')
    with pytest.raises(DataError, match="block_px is 4; expected at least the grid's 8x8"):
        open_dataset(root)
