"""The GeoTIFF sink: each fresh mask where it lies on the ground, for any GIS. A tick without a pose gives no file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from dis2_edge import tiff
from dis2_edge.errors import StorageError
from dis2_edge.labels import rgb_of
from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.poses.pose import Pose
from dis2_runtime.sinks import Wants
from dis2_runtime.sinks.whole_files import WholeFiles

_USER_DEFINED = 32767
_SHORT, _ASCII, _DOUBLE = 3, 2, 12


@dataclass(frozen=True)
class GeotiffSettings:
    """The table `[geotiff]` of a rig."""

    confidence: bool = False
    """Write NUMBER-confidence.tif as well: the probability of each pixel's class, 255 is 1."""
    cog: bool = False
    """Write Cloud-Optimised GeoTIFFs, which needs the extra `geo`; else plain ones."""


class GeotiffSink:
    """Writes geotiff/NUMBER.tif. Held and blind masks show no new ground and are not written."""

    def __init__(
        self, folder: Path, task: Task, settings: GeotiffSettings | None = None, *, durable: bool = False
    ) -> None:
        """A `durable` sink brings files to the disk before it names them."""
        self._task, self._settings = task, settings or GeotiffSettings()
        self.wants = Wants(confidence=self._settings.confidence)
        self._described = _mask_tags(task)
        self._unposed = 0
        if self._settings.cog:
            import rasterio.shutil  # noqa: F401  # what is missing is told before the flight
        self._files = WholeFiles(folder / "geotiff", durable=durable)

    @property
    def remark(self) -> str:
        """What the summary should say once; empty when every fresh mask had a pose."""
        return f"geotiff: {self._unposed} ticks without a pose" if self._unposed else ""

    def write(self, outcome: Outcome) -> None:
        """Write a fresh mask that has a pose, whole or not at all."""
        if outcome.state != "fresh":
            return
        if outcome.pose is None:
            self._unposed += 1
            return
        place, name = _ground_tags(outcome.pose, outcome.mask.shape), f"{outcome.tick.number:08d}"
        self._put(f"{name}.tif", outcome.mask, {**self._described, **place})
        if self._settings.confidence and outcome.confidence_map is not None:
            self._put(f"{name}-confidence.tif", outcome.confidence_map, place)

    def sync(self) -> None:
        """Bring what was written to the disk and name it."""
        self._files.sync()

    def close(self) -> None:
        """Name what is still hidden."""
        self._files.sync()

    def _put(self, name: str, pixels: npt.NDArray[np.uint8], tags: dict[int, tuple[int, tuple[Any, ...]]]) -> None:
        data = tiff.encode(pixels[..., None], tags)
        self._files.write(name, _optimised(data) if self._settings.cog else data)


def _mask_tags(task: Task) -> dict[int, tuple[int, tuple[Any, ...]]]:
    """Palette, class names and the value that stands for no class."""
    colours = np.zeros((256, 3), np.uint16)
    colours[: len(task.colours)] = np.asarray(rgb_of(task.colours), np.uint16) * 257
    names = escape(json.dumps(task.classes))
    metadata = f'<GDALMetadata><Item name="CLASSES">{names}</Item></GDALMetadata>'
    return {
        262: (_SHORT, (3,)),
        320: (_SHORT, tuple(colours.T.reshape(-1).tolist())),
        42112: (_ASCII, (metadata.encode() + b"\0",)),
        tiff.NODATA: (_ASCII, (f"{task.ignore}\0".encode(),)),
    }


def _ground_tags(pose: Pose, shape: tuple[int, ...]) -> dict[int, tuple[int, tuple[Any, ...]]]:
    """The whole affine transform, turned or not, and the projected system."""
    a, b, c, d, e, f = pose.transform((shape[0], shape[1]))
    turned = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, pose.epsg or _USER_DEFINED)
    return {34264: (_DOUBLE, turned), 34735: (_SHORT, keys)}


def _optimised(data: bytes) -> bytes:
    """The same GeoTIFF as a Cloud-Optimised one."""
    import rasterio.shutil
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

    options = {"driver": "COG", "compress": "DEFLATE", "blocksize": 512, "overview_resampling": "MODE"}
    try:
        with MemoryFile(data) as plain, MemoryFile() as made:
            with plain.open() as file:
                rasterio.shutil.copy(file, made.name, **options)
            return bytes(made.read())
    except RasterioError as error:
        raise StorageError(f"a mask cannot be written as COG ({error})", mend="leave out cog = true") from error
