"""A camera on the loopback: pictures of a folder again and again as MPEG-TS, by the clock, until it is ended.

    python -m benchmarks.live_camera FOLDER tcp://127.0.0.1:5004?listen=1
    python -m benchmarks.live_camera FOLDER udp://127.0.0.1:5005?pkt_size=1316

By TCP it serves one reader after the other, by UDP it sends whether anybody reads or not. A line says that it is there.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import av

from dis2_edge.images import Pixels, read_image

RATE_HZ = 10
BIT_RATE = 16_000_000


def serve(pictures: Sequence[Pixels], url: str) -> None:
    """Send until the reader goes, then wait for the next one; never comes back."""
    while True:
        try:
            _send(pictures, url)
        except av.FFmpegError:
            time.sleep(0.02)


def _send(pictures: Sequence[Pixels], url: str) -> None:
    with av.open(url, "w", format="mpegts", options={"flush_packets": "1"}) as out:
        stream = out.add_stream("mpeg2video", rate=RATE_HZ, options={"bf": "0", "g": "1"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", BIT_RATE
        out.start_encoding()
        begin = time.monotonic()
        for number in itertools.count():
            time.sleep(max(0.0, begin + number / RATE_HZ - time.monotonic()))
            pixels = pictures[number % len(pictures)]
            colour = pixels.shape[2] == 3
            array, form = (pixels, "rgb24") if colour else (pixels[..., 0], "gray")
            frame = av.VideoFrame.from_ndarray(array, format=form)
            frame.pts = number
            out.mux(stream.encode(frame))


if __name__ == "__main__":
    shown = [read_image(file) for file in sorted(Path(sys.argv[1]).glob("*.png"))]
    print(f"{len(shown)} pictures, {sys.argv[2]}", flush=True)
    serve(shown, sys.argv[2])
