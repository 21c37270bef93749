"""A whole scene through a model: the mask is right wherever it can be known, and a GIS can read it."""

import dataclasses
import json
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from ground_truth import CORNER, STEP, TASK, UTM, Smoother, pixels_of, read_mask, write_geo, write_pair
from rasterio.transform import from_bounds, from_origin
from rasterio.warp import transform_bounds
from tiny_bundle import NDSM, expected, task_of

from dis2_edge.errors import DataError
from dis2_edge.images import write_png
from dis2_train.scenes import Request, Summary, predict_scene
from dis2_train.segmenters import open_segmenter

SIZE = (150, 130)


def predict(bundle: Path, files: dict[str, Path], out: Path, **choices) -> Summary:
    return predict_scene(open_segmenter(bundle), Request(files, out, **choices))


def agreement(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask == truth).mean())


@pytest.mark.parametrize("size", [SIZE, (32, 48), (20, 200), (9, 11)])
@pytest.mark.parametrize("overlap", ["0", "0.25", "20"])
def test_the_mask_is_what_the_model_says_of_every_pixel(bundle: Path, tmp_path: Path, size, overlap) -> None:
    pixels = pixels_of(size)
    found = predict(bundle, write_pair(tmp_path, pixels), tmp_path / "m.tif", overlap=overlap)
    mask = read_mask(tmp_path / "m.tif")
    assert mask.shape == size
    assert agreement(mask, expected(TASK, "rgb+ndsm", pixels)) > 0.99
    assert found.scenario_pixels == {"rgb+ndsm": size[0] * size[1]}
    assert found.class_pixels == {"dark": int((mask == 0).sum()), "bright": int((mask == 1).sum())}
    assert found.empty == 0


def test_the_file_is_a_cog_with_palette_names_overviews_and_the_scenes_georeference(bundle, tmp_path) -> None:
    files = write_pair(tmp_path, pixels_of((140, 1300)))
    predict(bundle, files, tmp_path / "m.tif", batch=16)
    with rasterio.open(tmp_path / "m.tif") as mask, rasterio.open(files["rgb"]) as scene:
        assert mask.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert mask.block_shapes == [(512, 512)]
        assert mask.overviews(1) == [2, 4]
        assert (mask.crs, mask.transform, mask.shape) == (scene.crs, scene.transform, scene.shape)
        assert (mask.nodata, mask.dtypes, mask.count) == (255, ("uint8",), 1)
        palette = mask.colormap(1)
        assert (palette[0], palette[1]) == ((0x20, 0x40, 0x80, 255), (0xF0, 0xE0, 0x20, 255))
        assert palette[255][3] == 0
        assert json.loads(mask.tags()["CLASSES"]) == ["dark", "bright"]
        small = mask.read(1, out_shape=(70, 650))
        assert set(np.unique(small)) <= {0, 1}  # the commonest class, never a mean of classes
    names = ET.parse(tmp_path / "m.tif.aux.xml").getroot().iter("Category")
    assert [name.text for name in names] == ["dark", "bright"]


def test_where_a_sensor_has_no_data_the_scenario_without_it_answers(bundle: Path, tmp_path: Path) -> None:
    pixels = pixels_of((160, 192))
    there = {name: np.ones((160, 192), bool) for name in pixels}
    there["ndsm"][:64, :80] = False
    there["rgb"][96:, 112:] = False
    for mask in there.values():
        mask[80:96, :16] = False  # neither
    pixels["ndsm"][~there["ndsm"]] = -9999
    pixels["rgb"][~there["rgb"]] = 0
    changes = {"ndsm": {"nodata": -9999}, "rgb": {"mask": there["rgb"]}}
    done = predict(bundle, write_pair(tmp_path, pixels, **changes), tmp_path / "m.tif", overlap="0")
    mask = read_mask(tmp_path / "m.tif")
    both, only_rgb, only_ndsm = (there["rgb"] & there["ndsm"], ~there["ndsm"], ~there["rgb"])
    assert (mask[80:96, :16] == 255).all()
    assert done.empty == 16 * 16
    # Blocks of 16 lie along the windows: 32x48 windows of 160x192 pixels start at multiples of 32 and 48.
    for where, scenario in ((both, "rgb+ndsm"), (only_rgb & there["rgb"], "rgb"), (only_ndsm & there["ndsm"], "ndsm")):
        assert agreement(mask[where], expected(TASK, scenario, pixels)[where]) > 0.99
    assert done.scenario_pixels == {
        "rgb+ndsm": int(both.sum()),
        "rgb": int((there["rgb"] & ~there["ndsm"]).sum()),
        "ndsm": int((there["ndsm"] & ~there["rgb"]).sum()),
    }
    assert next(iter(done.scenario_pixels)) == "rgb+ndsm"


@pytest.mark.parametrize("kind", ["nodata", "nan", "alpha", "mask", "range"])
def test_every_kind_of_missing_data_is_seen(bundle: Path, tmp_path: Path, kind: str) -> None:
    pixels = pixels_of((64, 96))
    name = "rgb" if kind in ("alpha", "mask") else "ndsm"
    hole, changes = np.zeros((64, 96), bool), {}
    hole[32:, 48:] = True
    if kind == "nodata":
        pixels[name][hole], changes = -1.5, {name: {"nodata": -1.5}}
    elif kind == "mask":
        changes = {name: {"mask": ~hole}}
    elif kind == "alpha":
        pixels[name] = np.dstack([pixels[name], np.where(hole, 0, 255).astype(np.uint8)])
        changes = {name: {"photometric": "rgb", "alpha": "yes"}}
    else:
        pixels[name][hole] = np.nan if kind == "nan" else 500
    done = predict(bundle, write_pair(tmp_path, pixels, **changes), tmp_path / "m.tif", overlap="0")
    other = {"rgb": "ndsm", "ndsm": "rgb"}[name]
    assert done.scenario_pixels == {"rgb+ndsm": 64 * 96 - 32 * 48, other: 32 * 48}


def test_one_sensor_alone_and_a_named_scenario(bundle: Path, tmp_path: Path, capsys) -> None:
    pixels = pixels_of(SIZE)
    files = write_pair(tmp_path, pixels)
    alone = predict(bundle, {"ndsm": files["ndsm"]}, tmp_path / "a.tif")
    assert set(alone.scenario_pixels) == {"ndsm"}
    assert agreement(read_mask(tmp_path / "a.tif"), expected(TASK, "ndsm", pixels)) > 0.99
    named = predict(bundle, files, tmp_path / "b.tif", scenario="ndsm")
    assert set(named.scenario_pixels) == {"ndsm"}
    assert "the scene of 'rgb' is not read" in capsys.readouterr().err
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), read_mask(tmp_path / "b.tif"))


def test_probabilities_are_written_beside_the_mask(bundle: Path, tmp_path: Path) -> None:
    pixels = pixels_of(SIZE)
    pixels["ndsm"][:, 48:] = np.nan
    predict(
        bundle, {"ndsm": write_pair(tmp_path, pixels)["ndsm"]}, tmp_path / "m.tif", probabilities=tmp_path / "p.tif"
    )
    with rasterio.open(tmp_path / "p.tif") as file:
        stored = file.read()
        assert file.descriptions == ("dark", "bright")
        assert file.scales == (1 / 254,) * 2
        assert (file.nodata, file.crs.to_string()) == (255, UTM)
    mask = read_mask(tmp_path / "m.tif")
    empty = mask == 255
    assert empty[:, 48:].all()
    assert (stored[:, empty] == 255).all()
    np.testing.assert_allclose(stored[:, ~empty].sum(0) / 254, 1, atol=0.01)
    sure = np.abs(stored[0].astype(int) - stored[1]) > 2
    np.testing.assert_array_equal(stored.argmax(0)[~empty & sure], mask[~empty & sure])


def test_batches_change_nothing(bundle: Path, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pixels_of(SIZE))
    for batch in (1, 3, 64):
        predict(bundle, files, tmp_path / f"{batch}.tif", batch=batch)
    assert (tmp_path / "1.tif").read_bytes() == (tmp_path / "3.tif").read_bytes() == (tmp_path / "64.tif").read_bytes()


def test_pictures_without_a_georeference_give_a_mask_without_one(bundle: Path, tmp_path: Path, capsys) -> None:
    pixels = pixels_of(SIZE)
    write_png(tmp_path / "rgb.png", pixels["rgb"])
    bare = predict(bundle, {"rgb": tmp_path / "rgb.png"}, tmp_path / "bare.tif")
    assert bare.pixel_m2 is None
    files = {"rgb": tmp_path / "rgb.png", "ndsm": write_geo(tmp_path / "ndsm.tif", pixels["ndsm"])}
    placed = predict(bundle, files, tmp_path / "placed.tif")
    assert placed.pixel_m2 == pytest.approx(STEP * STEP)
    assert "rgb.png has no georeference: taken to lie as ndsm.tif does" in capsys.readouterr().err
    with rasterio.open(tmp_path / "placed.tif") as mask:
        assert mask.crs.to_string() == UTM
        assert mask.transform == from_origin(*CORNER, STEP, STEP)


def test_areas_are_in_square_metres_only_where_the_system_is(bundle: Path, tmp_path: Path) -> None:
    pixels = pixels_of((40, 60))
    degrees = {"crs": "EPSG:4326", "transform": from_origin(15, 48.7, 1e-5, 1e-5)}
    feet = {"crs": "EPSG:2263", "transform": from_origin(1e6, 2e5, 2, 2)}
    found = [
        predict(bundle, {"rgb": write_geo(tmp_path / f"{n}.tif", pixels["rgb"], **place)}, tmp_path / "m.tif").pixel_m2
        for n, place in enumerate(({}, degrees, feet))
    ]
    assert found[0] == pytest.approx(0.25)
    assert found[1] is None
    assert found[2] == pytest.approx((2 * 0.3048006096) ** 2)


def test_another_resolution_is_resampled_on_request(bundle: Path, tmp_path: Path) -> None:
    pixels = pixels_of((128, 160))
    coarse = pixels["ndsm"].reshape(64, 2, 80, 2, 1).mean((1, 3)).astype(np.float32)
    files = {"rgb": write_geo(tmp_path / "rgb.tif", pixels["rgb"])}
    files["ndsm"] = write_geo(tmp_path / "ndsm.tif", coarse, transform=from_origin(*CORNER, 2 * STEP, 2 * STEP))
    done = predict(bundle, files, tmp_path / "m.tif", resample=True, overlap="0")
    mask = read_mask(tmp_path / "m.tif")
    assert mask.shape == (128, 160)
    assert agreement(mask, expected(TASK, "rgb+ndsm", pixels)) > 0.9  # a smoothed height
    assert done.scenario_pixels == {"rgb+ndsm": 128 * 160}


@pytest.mark.parametrize("kind", ["short", "mask", "nodata", "int16"])
def test_what_is_missing_stays_missing_when_it_is_resampled(bundle: Path, tmp_path: Path, kind: str) -> None:
    pixels = pixels_of((128, 144))
    name = "rgb" if kind == "mask" else "ndsm"
    hole, coarse = np.zeros((64, 72), bool), pixels[name][::2, ::2]
    hole[48:] = True
    changes: dict[str, object] = {"transform": from_origin(*CORNER, 2 * STEP, 2 * STEP)}
    if kind == "short":
        coarse = coarse[:48]
    if kind == "mask":
        changes["mask"] = ~hole
    if kind == "nodata":
        coarse, changes["nodata"] = np.where(hole[..., None], np.float32(-9999), coarse), -9999
    if kind == "int16":
        coarse = np.rint(coarse[:48]).astype(np.int16)
    files = write_pair(tmp_path, pixels)
    files[name] = write_geo(tmp_path / "coarse.tif", coarse, **changes)
    first = {key: files[key] for key in sorted(files, key=lambda key: key == name)}
    done = predict(bundle, first, tmp_path / "m.tif", resample=True, overlap="0")
    other = {"rgb": "ndsm", "ndsm": "rgb"}[name]
    assert done.scenario_pixels == {"rgb+ndsm": 96 * 144, other: 32 * 144}
    assert agreement(read_mask(tmp_path / "m.tif")[96:], expected(TASK, other, pixels)[96:]) > 0.99


@pytest.mark.parametrize("name", ["ndsm", "rgb"])
def test_another_system_is_resampled_on_request(bundle: Path, tmp_path: Path, name: str) -> None:
    pixels = pixels_of((96, 96))
    files = write_pair(tmp_path, pixels)
    west, north = CORNER
    here = (west, north - 96 * STEP, west + 96 * STEP, north)
    there = transform_bounds(UTM, "EPSG:32632", *here)  # the neighbouring zone, turned by its convergence
    changes = {"crs": "EPSG:32632", "transform": from_bounds(*there, 96, 96)}
    files[name] = write_geo(tmp_path / "other.tif", pixels[name], **changes)
    first = {key: files[key] for key in sorted(files, key=lambda key: key == name)}
    done = predict(bundle, first, tmp_path / "m.tif", resample=True)
    assert sum(done.scenario_pixels.values()) == 96 * 96
    with rasterio.open(tmp_path / "m.tif") as mask:
        assert mask.crs.to_string() == UTM


SOUTH_UP = Affine(STEP, 0, CORNER[0], 0, STEP, CORNER[1] - 96 * STEP)
TURNED = Affine.translation(*CORNER) @ Affine.rotation(30) @ Affine.scale(STEP, -STEP)


@pytest.mark.parametrize("transform", [SOUTH_UP, TURNED], ids=["south up", "turned"])
def test_a_scene_that_is_not_north_up_keeps_its_pixels_and_its_place(bundle: Path, tmp_path: Path, transform) -> None:
    pixels = pixels_of((96, 80))
    files = write_pair(tmp_path, pixels, rgb={"transform": transform}, ndsm={"transform": transform})
    done = predict(bundle, files, tmp_path / "m.tif")
    with rasterio.open(tmp_path / "m.tif") as mask:
        assert mask.transform.almost_equals(transform, 1e-6)
        assert agreement(mask.read(1), expected(TASK, "rgb+ndsm", pixels)) > 0.99
    assert done.pixel_m2 == pytest.approx(STEP * STEP)


@pytest.mark.parametrize("first", ["rgb", "ndsm"])
def test_south_up_and_north_up_files_of_one_ground_are_resampled_without_loss(bundle, tmp_path, first) -> None:
    pixels = pixels_of((96, 80))
    upright = {name: write_geo(tmp_path / f"{name}.tif", array) for name, array in pixels.items()}
    files = {first: write_geo(tmp_path / "flipped.tif", pixels[first][::-1], transform=SOUTH_UP)}
    files |= {name: file for name, file in upright.items() if name != first}
    with pytest.raises(DataError, match="--resample"):
        predict(bundle, files, tmp_path / "m.tif")
    done = predict(bundle, files, tmp_path / "m.tif", resample=True)
    assert done.scenario_pixels == {"rgb+ndsm": 96 * 80}
    assert agreement(read_mask(tmp_path / "m.tif")[::-1], expected(TASK, "rgb+ndsm", pixels)) > 0.99


def test_bands_are_chosen_and_stored_integers_scaled(bundle: Path, tmp_path: Path) -> None:
    pixels = pixels_of(SIZE)
    infrared = np.dstack([np.zeros(SIZE, np.uint8), pixels["rgb"]])
    stored = np.rint(pixels["ndsm"] * 100).astype(np.int16)
    files = {"rgb": write_geo(tmp_path / "irrgb.tif", infrared), "ndsm": write_geo(tmp_path / "cm.tif", stored)}
    with rasterio.open(files["ndsm"], "r+") as file:
        file.scales = (0.01,)
    predict(bundle, files, tmp_path / "m.tif", bands={"rgb": (2, 3, 4)})
    assert agreement(read_mask(tmp_path / "m.tif"), expected(TASK, "rgb+ndsm", pixels)) > 0.98


def test_blending_mends_the_seams_that_plain_tiling_leaves(tmp_path: Path) -> None:
    height = pixels_of((192, 256))["ndsm"]  # whole windows: without overlap they are plain tiles
    files = {"ndsm": write_geo(tmp_path / "ndsm.tif", height)}
    model, wrong = Smoother(), {}
    whole = model.answer(height[..., 0])[1]
    for overlap in ("0", "0.25", "0.5"):
        request = Request(files, tmp_path / "m.tif", probabilities=tmp_path / "p.tif", overlap=overlap)
        predict_scene(model, request)
        with rasterio.open(tmp_path / "p.tif") as file:
            error = np.abs(file.read(2) / 254 - whole)
        wrong[overlap] = np.where(error > 0.51 / 254, error, 0)  # less is the rounding of the file
    edge = model.reach
    assert all(not error[:20, :20].any() for error in wrong.values())  # of the first window, touched by no other
    for error in wrong.values():  # at the scene's own border, both have zeros around them
        assert not error[:edge, edge:20].any()
    assert wrong["0"][:, 60:68].max() > 0.05  # a seam that one would see
    assert wrong["0.25"].mean() < wrong["0"].mean() / 3
    assert wrong["0.25"].max() < wrong["0"].max() / 3
    assert wrong["0.5"].max() < wrong["0.25"].max()


def test_memory_does_not_grow_with_the_height_of_a_scene(tmp_path: Path) -> None:
    task = task_of(NDSM, grid=(64, 64))
    model, peaks = Smoother(task, reach=0), []
    for height in (256, 2048):
        file = write_geo(tmp_path / f"{height}.tif", np.ones((height, 200, 1), np.float32), blockysize=16)
        tracemalloc.start()
        predict_scene(model, Request({"ndsm": file}, tmp_path / "m.tif"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_batches_are_filled(tmp_path: Path) -> None:
    file = write_geo(tmp_path / "n.tif", np.ones((64, 64 * 5, 1), np.float32))
    model = Smoother()
    predict_scene(model, Request({"ndsm": file}, tmp_path / "m.tif", overlap="0", batch=3))
    assert model.calls == [3, 2]


def test_a_request_is_a_value(tmp_path: Path) -> None:
    request = Request({"rgb": tmp_path / "a.tif"}, tmp_path / "m.tif")
    assert dataclasses.replace(request, batch=9).batch == 9
