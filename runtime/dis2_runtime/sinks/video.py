"""A video that a cut leaves playable: fragmented MP4 by PyAV, in H.264, or MPEG-4 where there is no such encoder."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import StorageError
from dis2_edge.files import storage_errors

CODECS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "24"},
    "libopenh264": {"rc_mode": "quality"},
    "mpeg4": {"qscale": "4"},
}
"""Encoders in order of preference, with their options."""
FRAGMENT_S = 0.5
"""A fragment of so many seconds is lost at most."""
_MUXER = {
    "movflags": "empty_moov+default_base_moof+frag_keyframe",
    "frag_duration": str(round(FRAGMENT_S * 1e6)),
    "flush_packets": "1",
}


class Video:
    """One file that is being written."""

    def __init__(self, path: Path, size: tuple[int, int], rate_hz: float) -> None:
        """`size`: height and width, both even. An `av` that is not installed is a ModuleNotFoundError."""
        import av

        self._path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(path, "w")
            self._container = av.open(self._file, "w", format="mp4", options=_MUXER)
            stream: Any = self._container.add_stream(_codec(), rate=Fraction(rate_hz).limit_denominator(1000))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = CODECS[stream.codec_context.name]
        stream.codec_context.thread_count = 1  # the cores are the engine's
        stream.codec_context.gop_size = max(1, round(2 * rate_hz))
        self._stream = stream
        self.count = 0
        """Pictures so far."""

    @property
    def codec(self) -> str:
        """The encoder that is used."""
        return str(self._stream.codec_context.name)

    def append(self, picture: npt.NDArray[np.uint8]) -> None:
        """Add `picture`, HxWx3 RGB, one period after the one before."""
        import av

        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts = self.count
        with self._errors():
            self._container.mux(self._stream.encode(frame))
        self.count += 1

    def sync(self) -> None:
        """Bring the finished fragments to the disk."""
        with storage_errors(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Finish the file."""
        with self._errors():
            if self.count:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            self._file.close()

    def abandon(self) -> None:
        """Leave the file as it is, after a failure."""
        with contextlib.suppress(OSError, StorageError):
            self.close()
        with contextlib.suppress(OSError):
            self._file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        import av

        with storage_errors(self._path):
            try:
                yield
            except av.FFmpegError as error:
                raise StorageError(f"{self._path} cannot be written ({error})") from error


def _codec() -> str:
    import av.codec

    for name in CODECS:
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            return av.codec.Codec(name, "w").name
    raise StorageError("this build of PyAV has no encoder", expected=" or ".join(CODECS), mend="leave out overlay")
