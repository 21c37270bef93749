"""The thermal kind: conditions in turns, and what each does to light and to heat."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.images import read_image
from dis2_train.publish import synthetic_origin
from dis2_train.synth.heat import HOURS, SURFACES, apparent_heat, radiated
from dis2_train.synth.infrared import counts
from dis2_train.synth.light import Sun
from dis2_train.synth.make import draw, synthesise
from dis2_train.synth.scene import Scene
from dis2_train.synth.thermal import CONDITIONS, evening, thermal_scene
from dis2_train.synth.world import Material, empty_world

THERMAL = "thermal"
NOON = Sun(0.0, 1.0, 1.0, 0.35)
By = dict[str, list[Scene]]


@pytest.fixture(scope="module")
def scenes() -> By:
    drawn = [draw(THERMAL, (64, 64), 2, "train", number) for number in range(48)]
    return {name: [scene for scene in drawn if scene.condition == name] for name in CONDITIONS}


def test_conditions_take_turns_in_every_split() -> None:
    for split in ("train", "val", "test"):
        assert [draw(THERMAL, (32, 32), 1, split, number).condition for number in range(5)] == [*CONDITIONS, "day"]


def test_a_condition_changes_what_is_seen_and_nothing_of_what_is_there() -> None:
    seen = [thermal_scene(np.random.default_rng(4), (48, 48), number) for number in range(4)]
    for other in seen[1:]:
        np.testing.assert_array_equal(other.label, seen[0].label)
        assert all((other.frames[name] != seen[0].frames[name]).any() for name in ("rgb", "thermal"))


def test_light_fades_at_dusk_is_gone_by_night_and_burns_out_in_glare(scenes: By) -> None:
    light = {name: np.mean([scene.frames["rgb"].mean() for scene in some]) for name, some in scenes.items()}
    assert light["night"] < light["day"] / 8
    assert light["day"] / 5 < light["dusk"] < light["day"] / 2
    burnt = {name: np.mean([(scene.frames["rgb"] == 255).mean() for scene in some]) for name, some in scenes.items()}
    assert burnt["glare"] > 0.05
    assert burnt["glare"] > 4 * burnt["day"]


def test_by_night_something_shines_in_some_pictures_and_never_much(scenes: By) -> None:
    bright = [(scene.frames["rgb"].max(axis=2) > 120).mean() for scene in scenes["night"]]
    assert sum(share > 0.001 for share in bright) >= 2
    assert max(bright) < 0.3


def test_by_night_heat_tells_the_ground_apart_and_light_does_not(scenes: By) -> None:
    heat, light = (
        {name: np.mean([told(s, of) for s in some]) for name, some in scenes.items()} for of in (_heat, _light)
    )
    assert heat["night"] > 0.35
    assert light["night"] < heat["night"] / 3
    assert light["glare"] < heat["glare"] / 2
    assert light["day"] > 3 * light["night"]


def test_at_dusk_heat_tells_least_as_surfaces_pass_each_other(scenes: By) -> None:
    heat = {name: np.mean([told(scene, _heat) for scene in some]) for name, some in scenes.items()}
    assert heat["dusk"] < 0.9 * min(heat["day"], heat["night"])
    gap = {name: np.mean([abs(_kelvin(s, 0) - _kelvin(s, 2)) for s in some]) for name, some in scenes.items()}
    assert gap["dusk"] < 0.6 * gap["night"]
    assert gap["night"] < gap["day"]


def test_people_stand_out_by_night_and_hardly_by_day(scenes: By) -> None:
    over = {
        name: np.nanmean([_kelvin(scene, 4) - np.median(_heat(scene)) for scene in some])
        for name, some in scenes.items()
    }
    assert over["night"] > 5
    assert abs(over["day"]) < 2.5


def test_contrast_turns_round_from_day_to_night() -> None:
    grass, canopy = (_flat(Material.GRASS), _flat(Material.CANOPY))
    assert grass["day"] > canopy["day"] + 1
    assert grass["night"] < canopy["night"] - 1
    road, car = _flat(Material.ASPHALT), _flat(Material.CAR_BODY)
    assert abs(road["day"] - car["day"]) < road["night"] - car["night"]


def test_an_engine_is_the_warmest_by_night_and_a_metal_roof_the_coldest() -> None:
    night = {material: _flat(material)["night"] for material in Material}
    assert max(night, key=night.__getitem__) == Material.ENGINE
    assert min(night, key=night.__getitem__) == Material.METAL_ROOF
    assert set(SURFACES) == set(Material)


def test_what_shines_less_mirrors_more_of_the_cold_sky() -> None:
    heat = np.full((1, 3), 290, np.float32)
    black, paint, metal = radiated(heat, np.array([[1, 0.9, 0.5]], np.float32), 240.0)[0]
    assert black == pytest.approx(290, abs=0.01)
    assert paint == pytest.approx((0.9 * 290**4 + 0.1 * 240**4) ** 0.25, abs=0.01)
    assert metal < paint - 10


def test_clouds_take_contrast_from_day_and_night() -> None:
    for hour in ("day", "night"):
        clear, dull = (np.ptp([_flat(m, clear)[hour] for m in Material if m < Material.ENGINE]) for clear in (1.0, 0.2))
        assert dull < 0.7 * clear


def test_the_camera_adds_noise_stripes_and_dead_pixels_and_little_else() -> None:
    found = [counts(np.random.default_rng(seed), np.full((96, 96), 290, np.float32), 290.0) for seed in range(6)]
    kelvin = np.stack(found).astype(np.float32) / 100
    dead = kelvin == 0
    assert 0 < dead.mean() < 0.002
    assert abs(np.median(kelvin) - 290) < 2.5
    steps = np.diff(np.where(dead, 290, kelvin), axis=2)
    noise = np.median(np.abs(steps), axis=(1, 2)) / 0.6745 / np.sqrt(2)
    assert 0.04 < noise.min() < noise.max() < 0.2
    columns = np.diff(np.median(kelvin, axis=1), axis=1).std(axis=1) / np.sqrt(2)
    assert (columns > 0.03).all()  # grain alone would leave 0.015 at most


def test_the_lens_blurs_and_air_dulls() -> None:
    heat = np.full((64, 64), 280, np.float32)
    heat[:, 32:] = 300
    seen = counts(np.random.default_rng(1), heat, 285.0).astype(np.float32) / 100
    step = np.median(seen[:, 40:], axis=1) - np.median(seen[:, :24], axis=1)
    assert 16 < step.mean() < 20
    edge = np.median(seen, axis=0)
    assert edge[31] - edge[28] > 0.5
    assert edge[35] - edge[32] > 0.5


def test_a_flight_goes_from_day_into_night() -> None:
    strip = draw(THERMAL, (48, 256), 3)
    assert strip.condition == "day to night"
    light = [part.mean() for part in np.array_split(strip.frames["rgb"], 8, axis=1)]
    assert max(light[6:]) < min(light[:2]) / 5
    kelvin = [np.median(part) / 100 for part in np.array_split(strip.frames["thermal"], 8, axis=1)]
    assert kelvin[0] - kelvin[-1] > 8
    assert min(told_of(part) for part in (strip.frames["thermal"][:, 192:], strip.frames["thermal"][:, :64])) > 1


def test_an_evening_is_whole_in_every_column_and_turns_without_a_jump() -> None:
    mix = evening(512)
    assert tuple(mix) == ("day", "glare", "dusk", "night")
    np.testing.assert_allclose(sum(mix.values()), 1, atol=1e-6)
    assert all(share.min() >= 0 and np.abs(np.diff(share)).max() < 0.1 for share in mix.values())
    assert [mix[name][0, place] for name, place in (("day", 0), ("dusk", 280), ("night", 511))] == [1, 1, 1]


def test_the_data_set_has_its_conditions_as_parts(tmp_path: Path) -> None:
    dataset = open_dataset(synthesise(tmp_path / "set", THERMAL, 40, 32, 9))
    assert {name: [len(ids) for ids in dataset.parts(name).values()] for name in dataset.whole_splits} == {
        "train": [7, 7, 7, 7],
        "val": [2, 2, 1, 1],
        "test": [2, 2, 1, 1],
    }
    assert tuple(dataset.parts("val")) == CONDITIONS
    drawn = draw(THERMAL, (32, 32), 9, "val", 2)
    np.testing.assert_array_equal(read_image(tmp_path / "set/val/thermal/00002_night.tif"), drawn.frames["thermal"])
    thermal = dataset.task.sensor("thermal")
    assert (thermal.pause_ms, thermal.pause_every_s) == (1000, 30)
    assert dataclasses.asdict(synthetic_origin(dataset)) == {"kind": THERMAL, "count": 40, "size": 32, "seed": 9}


def told(scene: Scene, of) -> float:
    """Share of a sensor's variance that ground, building and vegetation explain."""
    values, known = of(scene).ravel(), scene.label.ravel() < 3
    values, labels = values[known], scene.label.ravel()[known]
    within = sum(values[labels == k].var() * np.mean(labels == k) for k in range(3) if (labels == k).any())
    return float(1 - within / values.var())


def told_of(counted: np.ndarray) -> float:
    """Kelvin between the coldest and the warmest tenth."""
    return float(np.ptp(np.percentile(counted / 100, [10, 90])))


def _heat(scene: Scene) -> np.ndarray:
    """HxW kelvin, dead pixels at the median."""
    found = scene.frames["thermal"][..., 0] / 100.0
    return np.where(found == 0, np.median(found), found)


def _light(scene: Scene) -> np.ndarray:
    return scene.frames["rgb"].mean(axis=2)


def _kelvin(scene: Scene, kind: int) -> float:
    """Median of a class; the scene's where it is absent."""
    where = scene.label == kind
    return float(np.median(_heat(scene)[where] if where.any() else _heat(scene)))


def _flat(material: Material, clear: float = 1.0) -> dict[str, float]:
    """Condition -> kelvin that flat ground of `material` seems to have; the same rough ground each time."""
    world = empty_world(np.random.default_rng(0), (24, 24), 0.18)
    world.material[:] = material
    return {
        name: float(apparent_heat(np.random.default_rng(1), world, NOON, hour, clear).mean())
        for name, hour in HOURS.items()
    }
