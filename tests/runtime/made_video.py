"""Videos for tests, written by PyAV: files of any codec, and a camera on the loopback that can die and come back."""

from __future__ import annotations

import io
import socket
import threading
import time
from pathlib import Path

import av
import numpy as np

GRID = (24, 32)


def picture(number: int, form: str = "rgb24", size: tuple[int, int] = GRID) -> np.ndarray:
    """A slope that moves, in the pixel format's own array."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    values = (rows * 3 + columns * 2 + number * 5) % 200 + 20
    if form == "rgb24":
        return np.stack([values, 255 - values, values // 2], axis=2).astype(np.uint8)
    return (values * 18 if form.startswith("gray1") else values).astype(np.uint16 if "gray1" in form else np.uint8)


def write_video(
    path: Path | io.BytesIO,
    pictures: list[np.ndarray],
    *,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    form: str = "rgb24",
    rate: int = 10,
    container: str | None = None,
    first_pts: int = 0,
) -> None:
    """Encode `pictures`, arrays of pixel format `form`, as `codec` in pixel format `pixels`."""
    with av.open(path, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, options={"bf": "0"} if codec == "mpeg2video" else {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for number, array in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(array, format=form)
            frame.pts = number + first_pts
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)


def stream_bytes(count: int = 60, rate: int = 20, size: tuple[int, int] = (48, 64)) -> bytes:
    """MPEG-TS as a camera sends it."""
    data = io.BytesIO()
    pictures = [picture(number, size=size) for number in range(count)]
    write_video(data, pictures, codec="mpeg2video", pixels="yuv420p", rate=rate, container="mpegts")
    return data.getvalue()


class LoopbackCamera:
    """Sends MPEG-TS over TCP at its pace to whoever connects, until `die`; `rise` lets it serve again."""

    def __init__(self, data: bytes, seconds: float) -> None:
        self._data, self._seconds = data, seconds
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._dead = threading.Event()
        self._server: socket.socket | None = None
        self.rise()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def rise(self) -> None:
        self._dead = threading.Event()
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._server, self._dead), daemon=True).start()

    def die(self) -> None:
        self._dead.set()
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()

    def _serve(self, server: socket.socket, dead: threading.Event) -> None:
        piece = 188 * 4
        pause_s = self._seconds / (len(self._data) / piece)
        while not dead.is_set():
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                for start in range(0, len(self._data), piece):
                    if dead.is_set():
                        return
                    try:
                        client.sendall(self._data[start : start + piece])
                    except OSError:
                        break
                    time.sleep(pause_s)
