"""`dis2-edge predict` at the command line: its tables, its errors, and nothing half-written."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from ground_truth import CORNER, STEP, Smoother, pixels_of, read_mask, write_geo, write_pair
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin

from dis2_edge.cli import main
from dis2_edge.errors import CheckpointError
from dis2_edge.images import write_png
from dis2_train import segmenters
from dis2_train.scenes import Request, predict_scene

SIZE = (60, 90)


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, Path]:
    return write_pair(tmp_path / "in", pixels_of(SIZE))


def words(bundle: Path, scene: dict[str, Path], out: Path, *more: str) -> list[str]:
    given = [word for name, file in scene.items() for word in ("--scene", f"{name}={file}")]
    return ["predict", str(bundle), *given, "--out", str(out), *more]


def test_it_prints_areas_scenarios_and_speed(bundle: Path, scene: dict[str, Path], tmp_path: Path, capsys) -> None:
    assert main(words(bundle, scene, tmp_path / "new/folder/mask.tif")) == 0
    told = capsys.readouterr()
    mask = read_mask(tmp_path / "new/folder/mask.tif")
    bright = int((mask == 1).sum())
    assert f"bright  {bright * 0.25:.0f}" in told.out
    assert "m²" in told.out
    assert "rgb+ndsm    5400           100.0" in told.out
    assert "60x90 pixels in" in told.out
    assert "megapixels a second" in told.out
    assert told.out.rstrip().endswith(f"mask: {tmp_path / 'new/folder/mask.tif'}")
    assert "segment mask.tif ... (9)" in told.err
    assert sorted(os.listdir(tmp_path / "new/folder")) == ["mask.tif", "mask.tif.aux.xml"]


def test_a_file_and_a_precision_can_be_chosen(bundle: Path, scene: dict[str, Path], tmp_path: Path) -> None:
    for precision in ("fp32", "int8"):
        assert main(words(bundle, scene, tmp_path / f"{precision}.tif", "--precision", precision)) == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "fp32.tif"), read_mask(tmp_path / "int8.tif"))


def foreign(tmp_path: Path, name: str, **changes) -> Path:
    return write_geo(tmp_path / f"{name}.tif", pixels_of(SIZE)["ndsm"], **changes)


def far(tmp_path: Path) -> dict[str, Path]:
    east = (CORNER[0] + 5000, CORNER[1])
    return {"ndsm": foreign(tmp_path, "far", transform=from_origin(*east, STEP, STEP))}


def farther(tmp_path: Path) -> dict[str, Path]:
    return {"ndsm": foreign(tmp_path, "berlin", crs="EPSG:4326", transform=from_origin(13.4, 52.5, 1e-5, 1e-5))}


def coarse(tmp_path: Path) -> dict[str, Path]:
    return {"ndsm": foreign(tmp_path, "coarse", transform=from_origin(*CORNER, 2 * STEP, 2 * STEP))}


def shifted(tmp_path: Path) -> dict[str, Path]:
    return {"ndsm": foreign(tmp_path, "shifted", transform=from_origin(CORNER[0] + 1, CORNER[1], STEP, STEP))}


def bare(tmp_path: Path) -> dict[str, Path]:
    write_png(tmp_path / "bare.png", pixels_of((30, 30))["rgb"])
    return {"rgb": tmp_path / "bare.png"}


def cut_short(tmp_path: Path) -> dict[str, Path]:
    file = write_geo(tmp_path / "cut.tif", pixels_of(SIZE)["ndsm"], blockysize=8, compress="none")
    file.write_bytes(file.read_bytes()[:-8000])
    return {"ndsm": file}


def text(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "text.tif").write_text("not a picture")
    return {"ndsm": tmp_path / "text.tif"}


def grey(tmp_path: Path) -> dict[str, Path]:
    return {"rgb": write_geo(tmp_path / "grey.tif", pixels_of(SIZE)["rgb"][..., :1])}


def deep(tmp_path: Path) -> dict[str, Path]:
    return {"rgb": write_geo(tmp_path / "deep.tif", pixels_of(SIZE)["rgb"].astype(np.uint16))}


BAD_SCENES = {
    far: ("rgb.tif covers x 500000..500045, y 5399970..5400000 and far.tif x 505000", "ground in common"),
    farther: ("berlin.tif x", "EPSG:32633", "ground in common"),
    coarse: ("60x90 pixels of 0.5 from", "coarse.tif has 60x90 pixels of 1 from", "--resample brings 'ndsm'"),
    shifted: ("from (500000, 5400000)", "from (500001, 5400000)", "--resample"),
    bare: ("30x30 pixels without a georeference", "expected one size, or georeferences in both"),
    cut_short: ("cut.tif is damaged or cut short near row", "copy or download it again"),
    text: ("text.tif is no picture that can be read", "GeoTIFF or PNG"),
    grey: ("grey.tif has 1 bands; expected 3 for 'rgb'; choose them: --bands rgb=1,2,3",),
    deep: ("deep.tif holds uint16; expected uint8 for 'rgb'",),
}


@pytest.mark.parametrize("make", BAD_SCENES, ids=lambda make: make.__name__)
def test_scenes_that_cannot_be_used_are_told_and_leave_nothing(bundle, scene, tmp_path, capsys, make) -> None:
    out = tmp_path / "out"
    assert main(words(bundle, {**scene, **make(tmp_path)}, out / "m.tif")) == 2
    told = capsys.readouterr().err
    assert told.count("error:") == 1
    for part in BAD_SCENES[make]:
        assert part in told
    assert not out.exists() or not os.listdir(out)


BAD_WORDS = {
    ("--scene", "red=x.tif"): "unknown sensor 'red'",
    ("--scene", "rgb"): "expected --scene SENSOR=...",
    ("--scene", "rgb=other.tif"): "--scene names 'rgb' twice",
    ("--scenario", "blue"): "unknown scenario 'blue'; expected rgb+ndsm or rgb or ndsm",
    ("--overlap", "1.5.2"): "expected a share of 0..0.75",
    ("--overlap", "0.9"): "of windows of 32x48 pixels",
    ("--window", "wide"): "as in 512 or 512x768",
    ("--window", "64"): "was exported for 32x48 pixels",
    ("--batch", "0"): "expected 1 or more",
    ("--bands", "rgb=0,1,2"): "whole numbers from 1",
    ("--bands", "rgb=1,2,9"): "and [1, 2, 9] were chosen",
    ("--bands", "heat=1"): "unknown sensor 'heat'",
    ("--probabilities", "p.png"): "expected a name that ends in .tif",
    ("--probabilities", "in/../m.tif"): "mask and probabilities are both to be",
    ("--precision", "int8", "--scene", "x=y"): "unknown sensor 'x'",
}


@pytest.mark.parametrize("more", BAD_WORDS, ids=" ".join)
def test_wrong_words_are_told(bundle, scene, tmp_path, monkeypatch, capsys, more) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words(bundle, scene, tmp_path / "m.tif", *more)) == 2
    assert BAD_WORDS[more] in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_a_scene_must_be_given_and_be_there(bundle: Path, tmp_path: Path, capsys) -> None:
    assert main(words(bundle, {}, tmp_path / "m.tif")) == 2
    assert "--scene NAME=FILE" in capsys.readouterr().err
    assert main(words(bundle, {"rgb": tmp_path / "gone.tif"}, tmp_path / "m.tif")) == 2
    assert "gone.tif does not exist" in capsys.readouterr().err


def test_a_scenario_needs_its_sensors_and_a_model_its_scenario(bundle, scene, tmp_path, capsys) -> None:
    only = {"rgb": scene["rgb"]}
    assert main(words(bundle, only, tmp_path / "m.tif", "--scenario", "rgb+ndsm")) == 2
    assert "without a scene of 'ndsm'; --scene ndsm=FILE" in capsys.readouterr().err
    model = segmenters.open_segmenter(bundle)
    model.scenarios = ("rgb+ndsm",)
    with pytest.raises(CheckpointError, match=r"cannot answer from rgb alone; expected rgb\+ndsm"):
        predict_scene(model, Request(only, tmp_path / "m.tif"))


def test_the_scene_itself_is_never_overwritten(bundle, scene, tmp_path, capsys) -> None:
    before = scene["rgb"].read_bytes()
    assert main(words(bundle, scene, scene["rgb"])) == 2
    assert "is the scene of 'rgb' itself" in capsys.readouterr().err
    assert scene["rgb"].read_bytes() == before
    assert main(words(bundle, scene, tmp_path / "m.png")) == 2
    assert "ends in .tif" in capsys.readouterr().err


class Interrupted(Smoother):
    """Breaks off in the middle, as Ctrl-C does."""

    def many(self, frames, scenario):
        if len(self.calls) == 2:
            raise KeyboardInterrupt
        return super().many(frames, scenario)


def test_breaking_off_leaves_the_old_mask_whole_and_nothing_else(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(segmenters, "open_segmenter", lambda *_, **__: Interrupted())
    file = write_geo(tmp_path / "in/n.tif", np.ones((200, 200, 1), np.float32))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/m.tif").write_bytes(b"the mask of yesterday")
    more = ("--batch", "1", "--probabilities", str(tmp_path / "out/p.tif"))
    assert main(words(tmp_path, {"ndsm": file}, tmp_path / "out/m.tif", *more)) == 130
    assert "interrupted" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["m.tif"]
    assert (tmp_path / "out/m.tif").read_bytes() == b"the mask of yesterday"


def test_a_full_disk_is_told_and_leaves_nothing(bundle, scene, tmp_path, monkeypatch, capsys) -> None:
    def full(*_args, **_options):
        raise RasterioIOError("Write error at scanline 3")

    monkeypatch.setattr(rasterio.shutil, "copy", full)
    assert main(words(bundle, scene, tmp_path / "out/m.tif")) == 2
    assert "m.tif cannot be written (Write error at scanline 3); free some space" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


def test_without_rasterio_the_answer_is_the_pip_line(bundle, scene, tmp_path, monkeypatch, capsys) -> None:
    for name in [name for name in sys.modules if name.startswith("dis2_train.scenes")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert main(words(bundle, scene, tmp_path / "m.tif")) == 2
    assert "pip install 'dis2-edge[geo]'" in capsys.readouterr().err
