"""Write rows as they come, then the whole as a Cloud-Optimised GeoTIFF, in a folder that nobody sees until done."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from dis2_edge.errors import StorageError, UserError
from dis2_edge.files import storage_errors
from dis2_edge.labels import rgb_of
from dis2_edge.task import Task
from dis2_train.scenes.grounds import Ground

NODATA = 255
"""In masks and in probabilities: no sensor has data here."""
STEPS = 254
"""A probability of 1, as it is stored: whole steps of 0..254, with the scale in the file."""
_SUFFIXES = (".tif", ".tiff")
_OPTIONS = {"driver": "COG", "compress": "DEFLATE", "blocksize": 512, "bigtiff": "IF_SAFER"}


def check_target(path: Path, inputs: Mapping[str, Path]) -> None:
    """UserError when `path` is no name for a GeoTIFF, or a file that is read."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{path} is no name for a GeoTIFF", expected="a name that ends in .tif")
    for name, source in inputs.items():
        if path.exists() and source.exists() and path.samefile(source):
            raise UserError(f"{path} is the scene of {name!r} itself", expected="another --out")
    if path.is_dir():
        raise UserError(f"{path} is a folder", expected="the name of a file")


class Raster:
    """A GeoTIFF in the making: rows from the top downwards, then `finish`."""

    def __init__(self, folder: Path, out: Path, ground: Ground, task: Task, *, probabilities: bool) -> None:
        self.out, self._task, self._probabilities = out, task, probabilities
        self._rows, self._done = folder / f"rows-{out.name}", folder / out.name
        self._top = 0
        profile: dict[str, Any] = {"driver": "GTiff", "dtype": "uint8", "nodata": NODATA, "bigtiff": "IF_SAFER"}
        profile |= {"height": ground.height, "width": ground.width, "count": len(task.classes) if probabilities else 1}
        profile |= {"crs": ground.crs, "transform": ground.transform} if ground.placed else {}
        profile |= {"interleave": "band"} if probabilities else {"photometric": "palette"}
        with _quiet():
            self._file = rasterio.open(self._rows, "w", **profile)

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append (bands, n, W) below what was written."""
        window = Window(0, self._top, rows.shape[2], rows.shape[1])
        self._file.write(rows, window=window)
        self._top += rows.shape[1]

    def describe(self, tags: Mapping[str, str]) -> None:
        """Write classes, colours and `tags` into the file."""
        classes = self._task.classes
        self._file.update_tags(CLASSES=json.dumps(classes, ensure_ascii=False), **tags)
        if self._probabilities:
            self._file.descriptions = classes
            self._file.scales = (1 / STEPS,) * len(classes)
            return
        self._file.set_band_description(1, "class")
        colours = {index: (*colour, 255) for index, colour in enumerate(rgb_of(self._task.colours).tolist())}
        self._file.write_colormap(1, {**colours, NODATA: (0, 0, 0, 0)})

    def finish(self) -> None:
        """Close the rows and make the COG of them, with overviews, still in the hidden folder."""
        self._file.close()
        resampling = "AVERAGE" if self._probabilities else "MODE"
        with _quiet():
            rasterio.shutil.copy(self._rows, self._done, overview_resampling=resampling, **_OPTIONS)
        self._rows.unlink()

    def publish(self) -> None:
        """Put the COG where it belongs, in one step; class names, which GDAL reads from a file beside it, follow."""
        os.replace(self._done, self.out)
        names = self.out.with_name(f"{self.out.name}.aux.xml")
        names.unlink(missing_ok=True)  # of an earlier mask, and of other classes perhaps
        if not self._probabilities:
            rows = "".join(f"<Category>{escape(name)}</Category>" for name in self._task.classes)
            band = f'<PAMRasterBand band="1"><CategoryNames>{rows}</CategoryNames></PAMRasterBand>'
            names.write_text(f"<PAMDataset>{band}</PAMDataset>\n", "utf-8")

    def close(self) -> None:
        """Let go of the file; harmless when it was finished."""
        self._file.close()


@contextlib.contextmanager
def hidden_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that goes in any case; faults of the disk are StorageErrors."""
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            yield folder
        except RasterioError as cause:
            raise StorageError(
                f"{out} cannot be written ({cause})", mend="free some space or choose another --out"
            ) from cause
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A scene without a georeference gives a mask without one: no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
