"""Raw files that are missing, damaged, elsewhere or of another resolution: named, and nothing half-written."""

import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lookalikes
import numpy as np
import pytest
import rasterio
from PIL import Image

from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError, StorageError
from dis2_edge.files import write_json
from dis2_train.published import prepare as preparing
from dis2_train.published import raster as rasters
from dis2_train.published.prepare import Choices, prepare

PARTIAL = Choices(tile=32, partial=True)
DSM = Choices(tile=32, partial=True, variants={"height": "dsm"})
RESAMPLED = Choices(tile=32, partial=True, variants={"height": "dsm"}, resample=True)
EAST, NORTH = lookalikes.POTSDAM_CORNER


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """One scene of Potsdam's train, 64 pixels."""
    lookalikes.potsdam(tmp_path / "raw", ("2_10",), 64)
    return tmp_path / "raw"


def _refused(raw: Path, choices: Choices = PARTIAL, name: str = "potsdam") -> str:
    out = raw.parent / "out"
    with pytest.raises(DataError) as caught:
        prepare(name, raw, out, choices)
    assert not out.exists()
    assert not list(raw.parent.glob(".out*"))
    return str(caught.value)


def _dsm(raw: Path) -> Path:
    return raw / "1_DSM" / "1_DSM" / "dsm_potsdam_02_10.tif"


def _label(raw: Path) -> Path:
    return raw / "5_Labels_all" / "top_potsdam_2_10_label.tif"


def test_georeferences_that_do_not_overlap_name_both_extents(raw: Path) -> None:
    lookalikes.write_raster(_dsm(raw), np.zeros((64, 64), np.float32), corner=(EAST + 900, NORTH), epsg=32633)
    for choices in (DSM, RESAMPLED):
        said = _refused(raw, choices)
        assert f"x {EAST + 900:.2f} to {EAST + 903.2:.2f}" in said
        assert f"x {EAST:.2f} to {EAST + 3.2:.2f}" in said
        assert "do not overlap" in said


def test_another_resolution_is_named_or_resampled(raw: Path) -> None:
    rows = np.arange(16, dtype=np.float32)[:, None] * 0.2 + 0.1 + np.zeros((16, 16), np.float32)  # metres down
    lookalikes.write_raster(_dsm(raw), rows, corner=(EAST, NORTH), pixel_m=0.2, epsg=32633)
    said = _refused(raw, DSM)
    assert "0.2 x 0.2" in said
    assert "0.05 x 0.05" in said
    assert "--resample" in said
    prepare("potsdam", raw, raw.parent / "out", RESAMPLED)
    heights = open_dataset(raw.parent / "out").read("train", "2_10_r0c0").frames["ndsm"][..., 0]
    np.testing.assert_allclose(heights[4:, 5], (np.arange(4, 32) + 0.5) * 0.05, atol=0.01)


def test_finer_heights_are_averaged(raw: Path) -> None:
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 10.0 + 30
    lookalikes.write_raster(_dsm(raw), checks.astype(np.float32), corner=(EAST, NORTH), pixel_m=0.0125, epsg=32633)
    prepare("potsdam", raw, raw.parent / "out", RESAMPLED)
    heights = open_dataset(raw.parent / "out").read("train", "2_10_r0c0").frames["ndsm"]
    np.testing.assert_allclose(heights, 35.0, atol=0.01)


def test_another_reference_system_is_named_or_resampled(raw: Path) -> None:
    from rasterio.warp import transform

    xs, ys = transform("EPSG:32633", "EPSG:3857", [EAST - 5], [NORTH + 5])
    flat = np.full((200, 200), 33, np.float32)
    lookalikes.write_raster(_dsm(raw), flat, corner=(xs[0], ys[0]), pixel_m=0.1, epsg=3857)
    said = _refused(raw, DSM)
    assert "EPSG:3857" in said
    prepare("potsdam", raw, raw.parent / "out", RESAMPLED)
    data = open_dataset(raw.parent / "out")
    heights = np.concatenate([data.read("train", id_).frames["ndsm"].ravel() for id_ in data.ids("train")])
    np.testing.assert_allclose(heights, 33.0)


def test_a_part_that_the_heights_do_not_cover_is_a_hole(raw: Path) -> None:
    heights = np.full((64, 64), 40, np.float32)
    lookalikes.write_raster(_dsm(raw), heights, corner=(EAST + 0.5, NORTH - 0.25), epsg=32633)
    prepare("potsdam", raw, raw.parent / "out", DSM)
    data = open_dataset(raw.parent / "out")
    sample = data.read("train", "2_10_r0c0")
    assert np.isnan(sample.frames["ndsm"][:5]).all()
    assert np.isnan(sample.frames["ndsm"][:, :10]).all()
    assert np.isfinite(sample.frames["ndsm"][5:, 10:]).all()
    assert data.on_grid(sample).holes["ndsm"] == 32 * 32 - 27 * 22


@pytest.mark.parametrize("declared", [True, False])
def test_nodata_is_a_hole_even_when_undeclared(declared: bool, raw: Path) -> None:
    heights = np.full((64, 64), 40, np.float32)
    heights[3, 4] = -9999
    options: dict[str, Any] = {"nodata": -9999.0} if declared else {}
    lookalikes.write_raster(_dsm(raw), heights, corner=(EAST, NORTH), epsg=32633, **options)
    for variant in ("dsm", "ground"):
        out = raw.parent / variant
        prepare("potsdam", raw, out, Choices(tile=32, partial=True, variants={"height": variant}))
        frame = open_dataset(out).read("train", "2_10_r0c0").frames["ndsm"][..., 0]
        assert np.isnan(frame[3, 4])
        np.testing.assert_allclose(np.delete(frame.ravel(), 3 * 32 + 4), 40.0 if variant == "dsm" else 0.0, atol=1e-4)


def test_where_the_colours_have_no_data_labels_are_ignored(raw: Path) -> None:
    colour = np.full((64, 64, 3), 90, np.uint8)
    colour[:, :7] = 0
    path = raw / "2_Ortho_RGB" / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tif"
    lookalikes.write_raster(path, colour, corner=(EAST, NORTH), epsg=32633, nodata=0)
    counts = prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert counts.splits["train"].codes[-1] == 7 * 64
    assert (open_dataset(raw.parent / "out").read("train", "2_10_r0c0").label[:, :7] == 255).all()


def test_a_height_one_column_short_is_a_hole_there(raw: Path) -> None:
    """As 03_13 of the archive."""
    path = raw / "1_DSM_normalisation" / "dsm_potsdam_02_10_normalized_lastools.jpg"
    Image.fromarray(np.full((64, 63), 70, np.uint8)).save(path)
    prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    frame = open_dataset(raw.parent / "out").read("train", "2_10_r32c32").frames["ndsm"][..., 0]
    assert np.isnan(frame[:, -1]).all()
    np.testing.assert_allclose(frame[:, :-1], 7.0)


def test_sizes_far_apart_without_a_georeference_are_refused_or_stretched(raw: Path) -> None:
    path = raw / "1_DSM_normalisation" / "dsm_potsdam_02_10_normalized_lastools.jpg"
    Image.fromarray(np.full((32, 32), 70, np.uint8)).save(path)
    said = _refused(raw)
    assert "32x32" in said
    assert "64x64" in said
    prepare("potsdam", raw, raw.parent / "out", Choices(tile=32, partial=True, resample=True))
    frame = open_dataset(raw.parent / "out").read("train", "2_10_r32c32").frames["ndsm"]
    np.testing.assert_allclose(frame, 7.0, atol=0.11)


def test_the_lossy_labels_of_the_archive_are_read_and_counted(raw: Path) -> None:
    codes = lookalikes.label_codes((64, 64), 0)
    noise = np.random.default_rng(0).integers(0, 60, (64, 64, 3))
    painted = lookalikes.paint(codes).astype(int)
    off = np.where(painted > 127, painted - noise, painted + noise).astype(np.uint8)
    lookalikes.write_raster(_label(raw), off, corner=(EAST, NORTH), epsg=32633)
    counts = prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert counts.off_colour["top_potsdam_2_10_label.tif"] == np.count_nonzero(noise.any(axis=2))
    assert counts.splits["train"].codes[:6].tolist() == np.bincount(codes.ravel(), minlength=6).tolist()
    shutil.rmtree(raw.parent / "out")
    said = _refused(raw, Choices(tile=32, partial=True, colour_tolerance=20))
    assert "colour #" in said
    assert "--colour-tolerance above 20" in said


def test_labels_that_went_through_jpeg(raw: Path, tmp_path: Path) -> None:
    codes = lookalikes.label_codes((64, 64), 0)
    Image.fromarray(lookalikes.paint(codes)).save(tmp_path / "label.jpg", quality=95, subsampling=0)
    lookalikes.write_raster(_label(raw), np.asarray(Image.open(tmp_path / "label.jpg")), corner=(EAST, NORTH))
    counts = prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert counts.splits["train"].codes[:6].tolist() == np.bincount(codes.ravel(), minlength=6).tolist()
    assert sum(counts.off_colour.values()) > 0


def test_an_unknown_colour_names_file_colour_and_pixels(raw: Path) -> None:
    painted = lookalikes.paint(lookalikes.label_codes((64, 64), 0))
    painted[33, 33:40] = (128, 64, 128)
    lookalikes.write_raster(_label(raw), painted, corner=(EAST, NORTH), epsg=32633)
    said = _refused(raw)
    assert "top_potsdam_2_10_label.tif at row 32, column 32" in said
    assert "#804080" in said
    assert "on 7 pixels" in said
    assert "building #0000ff" in said


def test_a_tolerance_that_leaves_colours_unclear_is_refused(raw: Path) -> None:
    assert "0 to 127" in _refused(raw, Choices(tile=32, partial=True, colour_tolerance=128))


def test_an_unknown_index_names_file_and_pixels(tmp_path: Path) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    label = np.zeros((48, 64), np.uint8)
    label[0, :5] = 9
    Image.fromarray(label).save(tmp_path / "raw" / "labels" / "00003D.png")
    said = _refused(tmp_path / "raw", Choices(), "mfnet")
    assert "00003D.png" in said
    assert "class index 9 on 5 pixels" in said


class Break(NamedTuple):
    """Something done to the raw files, and what the message must say."""

    do: Callable[[Path], object]
    says: tuple[str, ...]
    choices: Choices = PARTIAL


def _label_of(codes: Any) -> Callable[[Path], None]:
    return lambda raw: lookalikes.write_raster(_label(raw), codes, corner=(EAST, NORTH), epsg=32633)


@pytest.mark.parametrize(
    "fault",
    [
        Break(lambda raw: _label(raw).unlink(), ("no whole scene", "top_potsdam_2_10_label.tif")),
        Break(lambda raw: None, ("lacks 111 files", "top_potsdam_3_10_RGB.tif", "--partial"), Choices(tile=32)),
        Break(
            lambda raw: (shutil.rmtree(raw / "2_Ortho_RGB"), (raw / "2_Ortho_RGB.zip").touch()),
            ("unpack 2_Ortho_RGB.zip first",),
        ),
        Break(lambda raw: shutil.rmtree(raw), ("does not exist",)),
        Break(lambda raw: _label(raw).write_bytes(b"II*\0 no more"), ("damaged", "top_potsdam_2_10_label.tif")),
        Break(lambda raw: _label(raw).write_bytes(_label(raw).read_bytes()[:300]), ("top_potsdam_2_10_label.tif",)),
        Break(_label_of(np.zeros((64, 64), np.uint8)), ("1 bands", "colours")),
        Break(lambda raw: None, ("64x64", "tile of 128x128"), Choices(tile=128, partial=True)),
        Break(lambda raw: None, ("overlap 32",), Choices(tile=32, overlap=32, partial=True)),
        Break(lambda raw: None, ("no variant 'lidar'", "ndsm or dsm"), Choices(variants={"height": "lidar"})),
        Break(lambda raw: None, ("no thermal sensor",), Choices(variants={"thermal": "raw"})),
        Break(lambda raw: None, ("no variant 'best'",), Choices(labels="best")),
        Break(lambda raw: lookalikes.write_raster(_dsm(raw), np.zeros((64, 64), np.float32), corner=None), (), DSM),
    ],
    ids=lambda fault: " ".join(fault.says) or "fine",
)
def test_faults_are_named(fault: Break, raw: Path) -> None:
    fault.do(raw)
    if not fault.says:
        prepare("potsdam", raw, raw.parent / "out", fault.choices)
        return
    said = _refused(raw, fault.choices)
    for words in fault.says:
        assert words in said


def test_test_without_labels_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lookalikes.potsdam(tmp_path / "raw", ("2_10", "2_11", "2_13"), 64)
    for path in (tmp_path / "raw").rglob("top_potsdam_2_13_label.tif"):
        path.unlink()
    prepare("potsdam", tmp_path / "raw", tmp_path / "out", PARTIAL)
    assert open_dataset(tmp_path / "out").splits == ("train", "val")
    assert "split test is left out" in capsys.readouterr().err


def test_a_turned_world_file_is_refused(raw: Path) -> None:
    path = raw / "2_Ortho_RGB" / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tfw"
    path.write_text("0.05\n0.01\n0.01\n-0.05\n366976.5\n5809761\n")
    assert "turns or mirrors" in _refused(raw)


def test_frames_of_two_sizes_want_tiles(tmp_path: Path) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    for folder, shape in (("images", (50, 64, 4)), ("labels", (50, 64))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "raw" / folder / "00005N.png")
    said = _refused(tmp_path / "raw", Choices(), "mfnet")
    assert "00005N 50x64" in said
    assert "--tile" in said


def test_sixteen_bits_where_eight_belong(tmp_path: Path) -> None:
    lookalikes.pst900(tmp_path / "raw")
    raw = tmp_path / "raw"
    shutil.rmtree(raw / "train" / "thermal")
    shutil.copytree(raw / "train" / "thermal_raw", raw / "train" / "thermal")
    assert "holds uint16; expected uint8 of 'thermal'" in _refused(raw, Choices(), "pst900")


def test_a_list_that_is_missing(tmp_path: Path) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    (tmp_path / "raw" / "val.txt").unlink()
    assert "no val.txt" in _refused(tmp_path / "raw", Choices(), "mfnet")
    (tmp_path / "raw" / "val.txt").write_bytes(b"\xff\xfe0\x000\x00")
    assert "val.txt cannot be read as text" in _refused(tmp_path / "raw", Choices(), "mfnet")


def test_a_list_that_an_editor_of_windows_wrote(tmp_path: Path) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    plain = prepare("mfnet", tmp_path / "raw", tmp_path / "plain")
    for file in (tmp_path / "raw").glob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert prepare("mfnet", tmp_path / "raw", tmp_path / "marked").record() == plain.record()


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing_and_the_next_run_starts_clean(
    trouble: BaseException, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def write(path: Path, *rest: Any) -> None:
        calls.append(path)
        if len(calls) == 5:
            raise trouble
        real(path, *rest)

    real = preparing.write_png
    monkeypatch.setattr(preparing, "write_png", write)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]
    monkeypatch.setattr(preparing, "write_png", real)
    prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert len(open_dataset(raw.parent / "out").ids("train")) == 4


def test_a_disk_too_small_is_said_before_anything_is_written(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(StorageError, match="GB are free"):
        prepare("potsdam", raw, raw.parent / "out", PARTIAL)
    assert not (raw.parent / "out").exists()


def test_a_folder_in_use_is_refused_before_the_work(raw: Path) -> None:
    write_json(raw.parent / "out" / "mine.json", {})
    with pytest.raises(StorageError, match="not empty"):
        prepare("potsdam", raw, raw.parent / "out", PARTIAL)


def test_without_rasterio_the_pip_line(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("dis2_train.published.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert main(["data", "prepare", "potsdam", "--raw", str(raw), "--out", str(raw.parent / "out")]) == 2
    assert "pip install 'dis2-edge[geo]'" in capsys.readouterr().err


def test_memory_stays_flat_on_a_large_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2000 x 2000 pixels: read whole, the heights take 16 MB, the colours 12; no read may be larger than a tile."""
    size, tile = 2000, 400
    ramp = np.add.outer(np.arange(size), np.arange(size))
    stored: dict[str, Any] = {"corner": (EAST, NORTH), "epsg": 32633, "tiled": True, "compress": "deflate"}
    lookalikes.write_raster(tmp_path / "raw" / "top_potsdam_2_10_RGB.tif", _three(ramp // 64 % 251), **stored)
    lookalikes.write_raster(tmp_path / "raw" / "dsm_potsdam_02_10.tif", (ramp // 64).astype(np.float32), **stored)
    codes = (ramp // 64 % 6).astype(np.uint8)
    lookalikes.write_raster(tmp_path / "raw" / "top_potsdam_2_10_label.tif", lookalikes.paint(codes), **stored)
    del ramp, codes
    areas: list[int] = []
    real = rasterio.open

    class Watched:
        """A file that notes how much is read at once."""

        def __init__(self, path: Path) -> None:
            self._file = real(path)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def read(self, bands: Any, window: Any) -> Any:
            areas.append(window.height * window.width)
            return self._file.read(bands, window=window)

    monkeypatch.setattr(rasters.rasterio, "open", Watched)
    tracemalloc.start()
    choices = Choices(tile=tile, partial=True, variants={"height": "ground"})
    prepare("potsdam", tmp_path / "raw", tmp_path / "out", choices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(areas) > 25
    assert max(areas) <= tile * tile
    assert peak < 12e6, f"{peak / 1e6:.0f} MB"


def _three(band: Any) -> Any:
    return np.repeat(band[..., None], 3, axis=2).astype(np.uint8)
