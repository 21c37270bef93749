"""Whole scenes two ways: plain tiles against blended windows, and holes read as values against holes that are known.

    python -m benchmarks.scenes MODEL DATA

MODEL is anything that `dis2-edge predict` takes, trained on rgb and ndsm; DATA was made by `dis2-edge data synth --kind
aerial`: its flight strip is the scene. For the second half, an ellipse is cut out of the camera's picture (glare) and a
band out of the heights (no overlap of flight lines), and the model is asked with the holes unknown, black and 0 m as a
reader of bare arrays has them, and with an alpha band and a nodata value.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from dis2_edge.errors import UserError
from dis2_edge.images import read_image, read_indices
from dis2_edge.scores import confusion, scores
from dis2_edge.terminal import say, table
from dis2_edge.timing import describe_machine
from dis2_train.scenes import Request, predict_scene
from dis2_train.segmenters import Pixels, Segmenter, open_segmenter

NODATA_M = -9999.0
SEAM_PX = 8


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scenes", description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a run, a quantised run or a bundle")
    parser.add_argument("data", type=Path, help="folder made by dis2-edge data synth --kind aerial")
    args = parser.parse_args(words)
    try:
        segmenter = open_segmenter(args.model)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            measure(segmenter, args.data / "flight", Path(folder))
    except UserError as error:
        say(f"error: {error}")
        return 2
    return 0


def measure(segmenter: Segmenter, flight: Path, folder: Path) -> None:
    """Print both tables; files go to `folder`."""
    rgb, ndsm = read_image(flight / "rgb.png"), read_image(flight / "ndsm.tif")
    truth = read_indices(flight / "gt.png")
    machine = describe_machine()
    say(f"machine: {machine.cpu}, {machine.cores} cores; one scene, one run each")
    say(f"model: {segmenter.label}, {segmenter.precision}")
    row = slice(0, segmenter.task.grid[0])  # one row of windows: without overlap they are plain tiles
    tiles = [
        ("plain tiles", _mask(segmenter, {"rgb": rgb[row], "ndsm": ndsm[row]}, folder, "0")),
        ("blended, overlap 0.25", _mask(segmenter, {"rgb": rgb[row], "ndsm": ndsm[row]}, folder, "0.25")),
        ("blended, overlap 0.5", _mask(segmenter, {"rgb": rgb[row], "ndsm": ndsm[row]}, folder, "0.5")),
    ]
    near = _near_seams(truth[row].shape, segmenter.task.grid[1])
    areas = {"all": np.ones_like(near), f"within {SEAM_PX} px of a tile's edge": near}
    _show("tiles and windows", tiles, truth[row], areas)

    glare, gap = _holes(truth.shape)
    bare = {"rgb": np.where(glare[..., None], np.uint8(0), rgb), "ndsm": np.where(gap[..., None], np.float32(0), ndsm)}
    known = {
        "rgb": np.dstack([bare["rgb"], np.where(glare, 0, 255).astype(np.uint8)]),
        "ndsm": np.where(gap[..., None], np.float32(NODATA_M), ndsm),
    }
    holes = [
        ("holes read as black and 0 m", _mask(segmenter, bare, folder)),
        ("holes known: scenario by region", _mask(segmenter, known, folder)),
    ]
    areas = {"all": np.ones_like(gap), "camera gone": glare & ~gap, "height gone": gap & ~glare}
    _show("holes", holes, truth, areas)


def _mask(
    segmenter: Segmenter, pixels: dict[str, Pixels], folder: Path, overlap: str = "0.25"
) -> npt.NDArray[np.uint8]:
    files = {name: _write(folder / f"{name}.tif", array) for name, array in pixels.items()}
    predict_scene(segmenter, Request(files, folder / "mask.tif", overlap=overlap))
    with rasterio.open(folder / "mask.tif") as file:
        return file.read(1)  # type: ignore[no-any-return]


def _write(path: Path, pixels: Pixels) -> Path:
    height, width, count = pixels.shape
    kind = {"photometric": "rgb", "alpha": "yes"} if count == 4 else {}
    kind |= {"nodata": NODATA_M} if pixels.dtype.kind == "f" else {}
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype=pixels.dtype, **kind) as file:
        file.write(np.moveaxis(pixels, 2, 0))
    return path


def _near_seams(shape: tuple[int, ...], side: int) -> npt.NDArray[np.bool_]:
    """Pixels near the edge of a plain tile that is no edge of the scene."""
    columns = np.arange(shape[1])
    seams = np.arange(side, shape[1], side)
    near = np.abs(columns[:, None] + 0.5 - seams).min(1, initial=np.inf) < SEAM_PX
    return np.broadcast_to(near, shape)


def _holes(shape: tuple[int, ...]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where the camera is blind and where heights are missing; they do not meet."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / np.array(shape[:2])[:, None, None]
    glare = ((rows - 0.5) / 0.4) ** 2 + ((columns - 0.25) / 0.13) ** 2 < 1
    return glare, np.abs(columns - 0.6) < 0.06


def _show(
    title: str,
    masks: list[tuple[str, npt.NDArray[np.uint8]]],
    truth: npt.NDArray[np.uint8],
    areas: dict[str, npt.NDArray[np.bool_]],
) -> None:
    """mIoU and overall accuracy of each mask, in per cent, over each area."""
    classes = int(truth[truth != 255].max()) + 1
    rows = []
    for name, mask in masks:
        found = [scores(confusion(truth[area], mask[area], classes)) for area in areas.values()]
        rows.append([name, *(f"{100 * value:.1f}" for each in found for value in (each.miou, each.oa))])
    columns = [f"{kind}, {area}" for area in areas for kind in ("mIoU", "OA")]
    pixels = ", ".join(f"{area} {int(mask.sum())}" for area, mask in areas.items())
    table(f"{title}, per cent; pixels: {pixels}", ["way", *columns], rows)


if __name__ == "__main__":
    sys.exit(main())
