"""The reader of data sets: splits, pairs, native frames, and samples on the grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.images import read_image, write_png, write_tiff

MakeSet = Callable[..., Path]


def test_splits_pairs_and_what_was_left_out_of_the_description(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set(("val", "train", "zoo", "test")))
    assert dataset.name == "data"
    assert dataset.splits == ("train", "val", "test", "zoo")
    assert dataset.ids("val") == ("000", "001", "002")
    assert dataset.task.grid == (8, 12)
    assert dataset.task.full == "rgb+ndsm"
    rgb, ndsm = dataset.task.sensors
    assert (rgb.channels, rgb.dtype, rgb.unit, rgb.valid_max) == (3, "uint8", "DN", 255)
    assert (ndsm.channels, ndsm.dtype, ndsm.unit) == (1, "float32", "metres")
    assert rgb.mean == ()


def test_read_gives_native_frames_and_checked_labels(make_set: MakeSet) -> None:
    root = make_set()
    sample = open_dataset(root).read("train", "001")
    assert sample.frames["rgb"].shape == (8, 12, 3)
    assert sample.frames["ndsm"].dtype == np.float32
    np.testing.assert_array_equal(sample.label, (sample.frames["ndsm"][..., 0] > 3).astype(np.uint8))


def test_holes_are_filled_and_counted_on_the_grid_and_kept_before(make_set: MakeSet) -> None:
    root = make_set()
    height = np.full((8, 12, 1), 2, np.float32)
    height[0, :4], height[3, 3], height[4, 4] = np.nan, np.inf, 1e9
    write_tiff(root / "train" / "ndsm" / "000.tif", height)
    dataset = open_dataset(root)
    sample = dataset.read("train", "000")
    assert np.isnan(sample.frames["ndsm"]).sum() == 4
    on_grid = dataset.on_grid(sample)
    assert on_grid.holes == {"rgb": 0, "ndsm": 6}
    assert (on_grid.frames["ndsm"] == 2).all()


def test_narrowed_takes_sensors_in_order_and_another_grid(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set()).narrowed(("ndsm",), (4, 6))
    sample = dataset.on_grid(dataset.read("train", "000"))
    assert list(sample.frames) == ["ndsm"]
    assert sample.frames["ndsm"].shape == (4, 6, 1)
    assert sample.label is not None
    assert sample.label.shape == (4, 6)
    assert open_dataset(make_set()).narrowed(("ndsm", "rgb")).task.full == "ndsm+rgb"


def test_lists_name_the_samples_of_a_split(make_set: MakeSet) -> None:
    root = make_set(("all",))
    text = (root / "dataset.toml").read_text().replace("{split}", "all")
    (root / "dataset.toml").write_text(f'{text}\n[split]\nby = "list"\nlist = "lists/{{split}}.txt"\n')
    (root / "lists").mkdir()
    (root / "lists" / "test.txt").write_text("002\n")
    (root / "lists" / "train.txt").write_text("001\n000\n\n")
    dataset = open_dataset(root)
    assert {split: dataset.ids(split) for split in dataset.splits} == {"train": ("001", "000"), "test": ("002",)}


def test_description_beside_read_only_data(make_set: MakeSet, tmp_path: Path) -> None:
    root = make_set()
    (root / "dataset.toml").rename(tmp_path / "mine.toml")
    assert open_dataset(root, tmp_path / "mine.toml").ids("train") == ("000", "001", "002")


def test_without_labels(make_set: MakeSet) -> None:
    root = make_set()
    text = (root / "dataset.toml").read_text().replace('labels = "{split}/gt/{id}.png"', "")
    (root / "dataset.toml").write_text(text)
    dataset = open_dataset(root)
    assert dataset.on_grid(dataset.read("val", "000")).label is None


def test_bands_are_chosen_in_order_from_files_of_many(make_set: MakeSet) -> None:
    root = make_set(("train",))
    text = (root / "dataset.toml").read_text().replace('path = "{split}/rgb/{id}.png"', 'path = "{split}/ms/{id}.tif"')
    (root / "dataset.toml").write_text(text.replace('kind = "optical"', 'kind = "optical"\nbands = [4, 1]'))
    stack = np.arange(8 * 12 * 5, dtype=np.uint16).reshape(8, 12, 5)
    for number in range(3):
        write_tiff(root / "train" / "ms" / f"{number:03d}.tif", stack)
    dataset = open_dataset(root)
    assert (dataset.task.sensors[0].dtype, dataset.task.sensors[0].channels) == ("uint16", 2)
    np.testing.assert_array_equal(dataset.read("train", "000").frames["rgb"], stack[..., [3, 0]])


def test_labels_in_the_colours_of_the_classes(make_set: MakeSet) -> None:
    root = make_set()
    text = (root / "dataset.toml").read_text().replace("labels =", 'colours = ["#ffffff", "#0000ff"]\nlabels =')
    (root / "dataset.toml").write_text(text)
    label = np.full((8, 12, 3), 255, np.uint8)
    label[2:4, 5] = (0, 0, 255)
    write_png(root / "train" / "gt" / "001.png", label)
    read = open_dataset(root).read("train", "001").label
    assert read is not None
    assert read.sum() == 2
    assert read[2:4, 5].all()


def test_ids_that_differ_in_leading_zeros_are_one_place(tmp_path: Path) -> None:
    for name in ("2_10", "2_11", "12_1"):
        row, column = name.split("_")
        write_png(tmp_path / "train" / f"top_{name}_RGB.png", np.zeros((4, 4, 3), np.uint8))
        write_png(tmp_path / "dsm" / f"dsm_{int(row):02d}_{int(column):02d}.png", np.full((4, 4), int(row), np.uint8))
        write_png(tmp_path / "gt" / f"top_{name}_label.png", np.ones((4, 4), np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'classes = ["a", "b"]\nlabels = "gt/top_{id}_label.png"\n'
        '[sensors.rgb]\nkind = "optical"\npath = "{split}/top_{id}_RGB.png"\n'
        '[sensors.dsm]\nkind = "height"\npath = "dsm/dsm_{id}.png"\n'
    )
    dataset = open_dataset(tmp_path)
    assert set(dataset.ids("train")) == {"2_10", "2_11", "12_1"}
    assert dataset.read("train", "12_1").frames["dsm"][0, 0, 0] == 12


def test_sensors_of_their_own_geometry_come_to_one_grid(make_set: MakeSet) -> None:
    root = make_set(("train",), count=1, shape=(8, 8))
    write_tiff(root / "train" / "ndsm" / "000.tif", np.arange(16, dtype=np.float32).reshape(4, 4, 1))
    text = (root / "dataset.toml").read_text().replace('kind = "height"', 'kind = "height"\nsize = [4, 4]')
    (root / "dataset.toml").write_text(f'alignment = "declared"\ngrid = [8, 8]\nlabels_like = "rgb"\n{text}')
    dataset = open_dataset(root)
    raw = dataset.read("train", "000")
    assert raw.frames["ndsm"].shape == (4, 4, 1)
    sample = dataset.on_grid(raw)
    assert sample.frames["ndsm"].shape == (8, 8, 1)
    np.testing.assert_array_equal(sample.label, raw.label)


@pytest.mark.parametrize("grid", [(8, 8), (16, 12)])
def test_a_scene_cut_into_tiles_counts_each_labelled_pixel_once(tmp_path: Path, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    scene = rng.integers(0, 256, (21, 27, 3), dtype=np.uint8)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (21, 27))
    write_png(tmp_path / "rgb.png", scene)
    write_png(tmp_path / "gt_train.png", label)
    (tmp_path / "dataset.toml").write_text(
        f'classes = ["a", "b"]\nlabels = "gt_{{split}}.png"\ngrid = [{grid[0]}, {grid[1]}]\n'
        '[sensors.rgb]\nkind = "optical"\npath = "rgb.png"\nfit = "tile"\n'
    )
    dataset = open_dataset(tmp_path)
    samples = [dataset.read("train", id_) for id_ in dataset.ids("train")]
    assert {sample.frames["rgb"].shape[:2] for sample in samples} == {grid}
    for index in (0, 1):
        assert sum(int((sample.label == index).sum()) for sample in samples) == (label == index).sum()
    np.testing.assert_array_equal(samples[-1].frames["rgb"], scene[-grid[0] :, -grid[1] :])


def test_blocks_share_one_scene_out_without_overlap(tmp_path: Path) -> None:
    scene = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    write_png(tmp_path / "t.png", scene)
    write_png(tmp_path / "gt.png", np.zeros((64, 64), np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'classes = ["a"]\nlabels = "gt.png"\ngrid = [8, 8]\n[split]\nby = "block"\nblock_px = 16\n'
        '[sensors.t]\nkind = "thermal"\npath = "t.png"\n'
    )
    dataset = open_dataset(tmp_path)
    assert dataset.splits == ("train", "val", "test")
    seen = {split: set() for split in dataset.splits}
    for split in dataset.splits:
        for id_ in dataset.ids(split):
            seen[split] |= set(dataset.read(split, id_).frames["t"].ravel().tolist())
    assert sum(map(len, seen.values())) == 64 * 64
    assert set.union(*seen.values()) == set(range(64 * 64))
    assert len(seen["train"]) > 2 * len(seen["test"]) > 0
    narrower = dataset.narrowed(grid=(16, 16))
    assert narrower.read("train", narrower.ids("train")[0]).frames["t"].shape == (16, 16, 1)


def test_reading_leaves_the_folder_as_it_was(make_set: MakeSet) -> None:
    root = make_set()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    dataset = open_dataset(root)
    for split in dataset.splits:
        for id_ in dataset.ids(split):
            dataset.on_grid(dataset.read(split, id_))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert read_image(root / "train" / "rgb" / "000.png").shape == (8, 12, 3)
