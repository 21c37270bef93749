"""Synthetic scenes: the same every time, whole, and made so that two sensors tell what one cannot."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError, StorageError
from dis2_edge.images import image_size
from dis2_edge.scores import confusion, scores
from dis2_edge.statistics import measure
from dis2_train.synth.make import KINDS, draw, synthesise
from dis2_train.synth.world import Kind

AERIAL, THERMAL = "aerial", "thermal"


@pytest.mark.parametrize(("count", "size", "seed"), [(2, 64, 0), (3, 16, 0), (3, 64, -1)])
def test_what_cannot_be_made(tmp_path: Path, count: int, size: int, seed: int) -> None:
    with pytest.raises(DataError, match="expected 3 scenes, 32 pixels and seed 0, or more"):
        synthesise(tmp_path / "out", AERIAL, count, size, seed)
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(StorageError, match="not empty"):
        synthesise(tmp_path, AERIAL, 3, 32, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("kind", [AERIAL, THERMAL])
def test_the_data_set_is_whole_and_read_by_the_one_reader(tmp_path: Path, kind: str) -> None:
    synthesise(tmp_path / "set", kind, 10, 48, 3)
    dataset = open_dataset(tmp_path / "set")
    assert {split: len(dataset.ids(split)) for split in dataset.whole_splits} == {"train": 6, "val": 2, "test": 2}
    assert dataset.task.classes == KINDS[kind].classes
    sample = dataset.on_grid(dataset.read("test", dataset.ids("test")[1]))
    drawn = draw(kind, (48, 48), 3, "test", 1)
    np.testing.assert_array_equal(sample.label, drawn.label)
    np.testing.assert_array_equal(sample.frames["rgb"], drawn.frames["rgb"])
    other = dataset.task.sensor_names[1]
    assert sample.frames[other].dtype == drawn.frames[other].dtype
    assert all(row.std[0] > 0 for row in measure(dataset, "train"))


@pytest.mark.parametrize("kind", [AERIAL, THERMAL])
def test_the_flight_is_one_long_strip_of_every_sensor(tmp_path: Path, kind: str) -> None:
    synthesise(tmp_path / "set", kind, 3, 32, 0)
    flight = tmp_path / "set" / "flight"
    names = sorted(path.name for path in flight.iterdir())
    assert names == sorted(["gt.png", "rgb.png", "ndsm.tif" if kind == AERIAL else "thermal.tif"])
    assert {image_size(path) for path in flight.iterdir()} == {(48, 256)}


def test_height_frames_carry_their_place_on_the_map(tmp_path: Path) -> None:
    synthesise(tmp_path / "set", AERIAL, 4, 32, 0)
    places = set()
    for path in sorted((tmp_path / "set" / "train" / "ndsm").iterdir()):
        with Image.open(path) as image:
            assert image.tag_v2[33550][0] == pytest.approx(0.3)
            places.add(image.tag_v2[33922])
    assert len(places) == 2


@pytest.mark.parametrize("kind", [AERIAL, THERMAL])
def test_seed_split_and_number_alone_decide(kind: str) -> None:
    one, same = draw(kind, (64, 80), 5, "train", 2), draw(kind, (64, 80), 5, "train", 2)
    for name, frame in one.frames.items():
        np.testing.assert_array_equal(frame, same.frames[name])
    for other in (draw(kind, (64, 80), 6, "train", 2), draw(kind, (64, 80), 5, "val", 2)):
        assert (other.label != one.label).any()


def test_the_aerial_kind_is_drawn_as_it_always_was() -> None:
    """Published models and the plan of the reproduction lean on it; sums were taken at commit 2f971f8."""
    scene, strip = draw(AERIAL, (64, 80), 5, "train", 2), draw(AERIAL, (48, 256), 0)
    assert np.bincount(scene.label.ravel()).tolist() == pytest.approx([1690, 1177, 1370, 883], abs=2)
    assert np.bincount(strip.label.ravel()).tolist() == pytest.approx([4305, 2474, 3734, 1441, 334], abs=2)
    assert [one.frames["rgb"].mean() for one in (scene, strip)] == pytest.approx([107.0553, 123.3863], abs=0.01)
    assert [np.nansum(one.frames["ndsm"]) for one in (scene, strip)] == pytest.approx([12864.91, 20885.87], abs=0.5)
    assert [np.isnan(one.frames["ndsm"]).sum() for one in (scene, strip)] == pytest.approx([42, 150], abs=1)


def test_every_class_occurs_and_none_rules() -> None:
    for kind in KINDS:
        labels = np.stack([draw(kind, (128, 128), 0, "train", number).label for number in range(16)])
        shares = np.bincount(labels.ravel(), minlength=5) / labels.size
        assert shares.min() > 0.002
        assert shares.max() < 0.6


def test_height_frames_have_the_faults_of_real_ones() -> None:
    scenes = [draw(AERIAL, (128, 128), 1, "train", number) for number in range(12)]
    holes = [np.isnan(scene.frames["ndsm"]).mean() for scene in scenes]
    assert max(holes) > 0.01
    assert np.mean(holes) < 0.1
    cars = [scene.frames["ndsm"][..., 0][scene.label == Kind.CAR] for scene in scenes]
    unseen = np.concatenate(cars)
    assert 0.1 < np.nanmean(unseen < 0.4) < 0.7  # cars that drove are not in a height map of another day


@pytest.mark.parametrize(("kind", "margin"), [(AERIAL, 0.10), (THERMAL, 0.05)])
def test_both_sensors_beat_either_alone_by_a_clear_margin(kind: str, margin: float) -> None:
    train = [draw(kind, (96, 96), 7, "train", number) for number in range(48)]
    test = [draw(kind, (96, 96), 7, "test", number) for number in range(16)]
    both, rgb, other = (_miou(train, test, chosen) for chosen in ((0, 1, 2, 3), (0, 1, 2), (3,)))
    assert both > rgb + margin, f"both {both:.3f}, rgb {rgb:.3f}"
    assert both > other + margin, f"both {both:.3f}, other {other:.3f}"


def _miou(train: list, test: list, chosen: tuple[int, ...]) -> float:
    """mIoU of a per-pixel classifier: the likeliest class of each cell of a joint histogram of the chosen features."""
    edges = [np.unique(np.quantile(np.concatenate([_features(s)[:, f] for s in train]), _levels(f))) for f in range(4)]
    shape = [len(edges[feature]) + 1 for feature in chosen]

    def cells(scene: object) -> np.ndarray:
        features = _features(scene)
        indices = [np.searchsorted(edges[feature], features[:, feature]) for feature in chosen]
        return np.ravel_multi_index(indices, shape)

    counts = np.zeros((int(np.prod(shape)), 5))
    for scene in train:
        np.add.at(counts, (cells(scene), scene.label.ravel()), 1)
    share = counts.sum(0) / counts.sum()
    table = (counts + 0.5 * share).argmax(1).astype(np.uint8)
    total = sum(confusion(scene.label.ravel(), table[cells(scene)], 5) for scene in test)
    return scores(total).miou


def _levels(feature: int) -> np.ndarray:
    return np.linspace(0, 1, 24 if feature == 3 else 11)[1:-1]


def _features(scene: object) -> np.ndarray:
    """(pixels, 4): brightness, excess of green, of red; and what the other sensor measured."""
    rgb = scene.frames["rgb"].reshape(-1, 3).astype(np.float32) + 1
    other = next(frame for name, frame in scene.frames.items() if name != "rgb")
    total = rgb.sum(1)
    return np.column_stack([total, rgb[:, 1] / total, rgb[:, 0] / total, np.nan_to_num(other.ravel(), nan=0.0)])
