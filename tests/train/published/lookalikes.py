"""Small folders in the true formats and names of the published sets, written with rasterio as their makers did."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

COLOURS = {
    "impervious": (255, 255, 255),
    "building": (0, 0, 255),
    "low_vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
    "clutter": (255, 0, 0),
}
POTSDAM_CORNER = (366976.5, 5809761.0)


def write_raster(
    path: Path,
    pixels: npt.NDArray[Any],
    *,
    corner: tuple[float, float] | None = None,
    pixel_m: float = 0.05,
    epsg: int = 0,
    **profile: Any,
) -> None:
    """HxW or HxWxC as GeoTIFF (or what `driver` says)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if corner is not None:
        profile["transform"] = Affine(pixel_m, 0, corner[0], 0, -pixel_m, corner[1])
    if epsg:
        profile["crs"] = f"EPSG:{epsg}"
    count, height, width = bands.shape
    options = {"driver": "GTiff", "dtype": bands.dtype, **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, **options) as file:
            file.write(bands)


def world_file(path: Path, corner: tuple[float, float], pixel_m: float = 0.05) -> None:
    """A `.tfw`, which names the centre of the first pixel."""
    centre = corner[0] + pixel_m / 2, corner[1] - pixel_m / 2
    path.write_text("".join(f"{value:.6f}\r\n" for value in (pixel_m, 0, 0, -pixel_m, *centre)))


def label_codes(size: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    """HxW places in `COLOURS`, in blocks of 16 pixels, each of which occurs."""
    down, across = (-(-length // 16) for length in size)
    random = np.random.default_rng(seed)
    small = random.permutation(np.arange(down * across) % 6).reshape(down, across)
    return np.kron(small, np.ones((16, 16)))[: size[0], : size[1]].astype(np.uint8)


def paint(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """HxWx3 colours."""
    return np.array(list(COLOURS.values()), np.uint8)[codes]


def potsdam(root: Path, ids: tuple[str, ...], size: int = 96) -> dict[str, npt.NDArray[np.uint8]]:
    """The folders of Potsdam's archives: RGB with `.tfw`, DSM, normalised heights, labels. Returns the codes by id."""
    truth = {}
    for number, id_ in enumerate(ids):
        row, column = map(int, id_.split("_"))
        padded = f"{row:02}_{column:02}"
        truth[id_] = codes = label_codes((size, size), number)
        corner = (POTSDAM_CORNER[0] + number * size * 0.05, POTSDAM_CORNER[1])
        rgb = np.random.default_rng(number).integers(0, 256, (size, size, 4)).astype(np.uint8)
        ortho = root / "2_Ortho_RGB" / "2_Ortho_RGB" / f"top_potsdam_{id_}_RGB.tif"
        write_raster(ortho, rgb[..., :3], compress="lzw")
        world_file(ortho.with_suffix(".tfw"), corner)
        write_raster(
            root / "4_Ortho_RGBIR" / f"top_potsdam_{id_}_RGBIR.tif", rgb, corner=corner, epsg=32633, alpha="unspecified"
        )
        heights = np.where(codes == 1, 8.0, np.where(codes == 3, 5.0, 0.0)).astype(np.float32)
        dsm = root / "1_DSM" / "1_DSM" / f"dsm_potsdam_{padded}.tif"
        write_raster(dsm, heights + 35, corner=corner, epsg=32633)
        grey = np.rint(heights * 10).astype(np.uint8)
        name = f"dsm_potsdam_{padded}_normalized_lastools.jpg"
        folder = root / "1_DSM_normalisation"
        folder.mkdir(exist_ok=True)
        Image.fromarray(grey).save(folder / name, quality=100)
        labels = root / "5_Labels_all" / f"top_potsdam_{id_}_label.tif"
        write_raster(labels, paint(codes), corner=corner, epsg=32633, compress="lzw")
        eroded = paint(codes)
        eroded[::16], eroded[:, ::16] = 0, 0
        labels = root / "5_Labels_all_noBoundary" / f"top_potsdam_{id_}_label_noBoundary.tif"
        write_raster(labels, eroded, corner=corner, epsg=32633)
    return truth


def vaihingen(root: Path, ids: tuple[str, ...], size: tuple[int, int] = (80, 100)) -> None:
    """The folders of Vaihingen's archives: no georeference in the pictures, world files of the DSM elsewhere."""
    for number, id_ in enumerate(ids):
        codes = label_codes(size, number)
        colour = np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8)
        write_raster(root / "top" / f"top_mosaic_09cm_area{id_}.tif", colour)
        slope = 250 + 0.01 * np.arange(size[1])
        heights = (slope + np.where(codes == 1, 9.0, 0.0)).astype(np.float32)
        write_raster(root / "dsm" / f"dsm_09cm_matching_area{id_}.tif", heights)
        folder = root / "Vaihingen_dsm_tiles_geoinfo"
        folder.mkdir(exist_ok=True)
        world_file(folder / f"dsm_09cm_matching_area{id_}.tfw", (497000.0, 5420000.0), 0.09)
        complete = root / "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE"
        write_raster(complete / f"top_mosaic_09cm_area{id_}.tif", paint(codes))


def mfnet(root: Path, size: tuple[int, int] = (48, 64)) -> dict[str, npt.NDArray[np.uint8]]:
    """MFNet's 4-channel PNGs, index labels and lists, train naming mirrored copies that are not there."""
    lists = {
        "train": ["00001D", "00001D_flip", "00002N", "00002N_flip"],
        "val": ["00003D"],
        "test": ["00004D", "00005N"],
        "test_day": ["00004D"],
        "test_night": ["00005N"],
    }
    frames = {}
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number, id_ in enumerate(("00001D", "00002N", "00003D", "00004D", "00005N")):
        random = np.random.default_rng(number)
        frames[id_] = random.integers(0, 256, (*size, 4)).astype(np.uint8)
        Image.fromarray(frames[id_]).save(root / "images" / f"{id_}.png")
        Image.fromarray(random.integers(0, 9, size).astype(np.uint8)).save(root / "labels" / f"{id_}.png")
    for name, ids in lists.items():
        (root / f"{name}.txt").write_text("".join(f"{id_}\n" for id_ in ids))
    return frames


def pst900(root: Path, size: tuple[int, int] = (48, 64)) -> None:
    """PST900's folders: recordings of several frames, thermal with holes of 0."""
    for split, bags in (("train", ("31_bag1a", "32_bag2b", "33_bag1")), ("test", ("40_bag9",))):
        for bag in bags:
            for frame in range(4):
                random = np.random.default_rng([frame, len(bag)])
                pictures = {
                    "rgb": random.integers(0, 256, (*size, 3)).astype(np.uint8),
                    "thermal": random.integers(60, 200, size).astype(np.uint8),
                    "thermal_raw": random.integers(7000, 9000, size).astype(np.uint16),
                    "labels": random.integers(0, 5, size).astype(np.uint8),
                }
                pictures["thermal"][:6] = 0
                pictures["thermal_raw"][:6] = 0
                for folder, pixels in pictures.items():
                    path = root / split / folder / f"{bag}_rect_rgb_frame{frame:010}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)


def msrs(root: Path, size: tuple[int, int] = (48, 64)) -> None:
    """MSRS's folders: one numbering over train and test, D by day and N by night, thermal of one channel."""
    ids = {"train": [f"{number:05}{'DN'[number % 2]}" for number in range(1, 30)], "test": ["00032D", "00036N"]}
    for split, names in ids.items():
        for id_ in names:
            random = np.random.default_rng(int(id_[:5]))
            pictures = {
                "vi": random.integers(0, 256, (*size, 3)).astype(np.uint8),
                "ir": random.integers(0, 256, size).astype(np.uint8),
                "Segmentation_labels": random.integers(0, 9, size).astype(np.uint8),
            }
            for folder, pixels in pictures.items():
                path = root / split / folder / f"{id_}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
