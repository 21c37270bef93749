"""A GStreamer pipeline by ctypes: the system's own library, whose C interface has been the same since 1.0.

PyGObject would have to be compiled on the aircraft or be seen through from the system's Python; four libraries that are
there anyway need neither.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import SourceError

NONE = 2**64 - 1
"""GST_CLOCK_TIME_NONE, and an offset that is not known."""
SINK = "dis2_edge_sink"
_FAILURE, _LIVE = 0, 3  # of GstStateChangeReturn; live is NO_PREROLL
_NULL, _PAUSED, _PLAYING = 1, 3, 4  # of GstState
_EOS, _ERROR = 1, 2  # of GstMessageType
_TIME = 3  # GST_FORMAT_TIME
READABLE = "end the pipeline in: videoconvert (on a Jetson: nvvidconv ! video/x-raw,format=BGRx)"
"""What to do about a pixel format that we do not read."""
_INSTALL = "apt-get install gstreamer1.0-plugins-base gstreamer1.0-plugins-good"


class _Error(Structure):
    _fields_ = [("domain", c_uint), ("code", c_int), ("message", c_char_p)]


class _Buffer(Structure):
    _fields_ = [("mini_object_and_pool", c_void_p * 9), ("pts", c_uint64), ("dts", c_uint64), ("duration", c_uint64)]
    _fields_ += [("offset", c_uint64), ("offset_end", c_uint64)]


class _Message(Structure):
    _fields_ = [("mini_object", c_void_p * 8), ("type", c_int)]


class _Map(Structure):
    _fields_ = [("memory", c_void_p), ("flags", c_int), ("data", c_void_p), ("size", c_size_t), ("maxsize", c_size_t)]
    _fields_ += [("rest", c_void_p * 8)]


class _VideoInfo(Structure):
    _fields_ = [("finfo", c_void_p), ("interlace_mode", c_int), ("flags", c_int), ("width", c_int), ("height", c_int)]
    _fields_ += [("size", c_size_t), ("views_site_colorimetry_par_fps", c_int * 10), ("offset", c_size_t * 4)]
    _fields_ += [("stride", c_int * 4), ("rest", c_void_p * 16)]


@dataclass(frozen=True)
class Sample:
    """One picture as it lay in the sink."""

    data: npt.NDArray[np.uint8]
    """Flat copy of its bytes."""
    form: str
    """Pixel format by GStreamer's name."""
    size: tuple[int, int]
    """Height and width."""
    stride: int
    """Bytes a row."""
    monotonic_ns: int | None
    """When it was captured, on CLOCK_MONOTONIC; None if the pipeline does not tell."""
    number: int | None
    """The buffer's number, if its source counts."""


class Pipeline:
    """A pipeline that ends in our sink: one picture, the newest, of one of the pixel formats `forms`."""

    def __init__(self, description: str, forms: tuple[str, ...]) -> None:
        self._gst = gst = library()
        caps = f"video/x-raw,format=(string){{{','.join(forms)}}}"
        words = f'{description} ! appsink name={SINK} max-buffers=1 drop=true sync=false caps="{caps}"'
        error = POINTER(_Error)()
        self._pipeline: Any = gst.gst_parse_launch(words.encode(), byref(error))
        if self._pipeline:
            gst.gst_object_ref_sink(self._pipeline)
        if error:
            reason = _text(error.contents.message)
            gst.g_error_free(error)
            self.close()
            raise SourceError(f"the pipeline cannot be made: {reason}", mend=_mend(reason))
        self._sink = gst.gst_bin_get_by_name(self._pipeline, SINK.encode())
        self._bus = gst.gst_element_get_bus(self._pipeline)

    def play(self) -> None:
        """Start on the monotonic clock. What is not live, such as a file, is paced by its stamps."""
        gst = self._gst
        clock = gst.gst_system_clock_obtain()
        gst.gst_pipeline_use_clock(self._pipeline, clock)
        gst.gst_object_unref(clock)
        if gst.gst_element_set_state(self._pipeline, _PAUSED) != _LIVE:
            gst.gst_base_sink_set_sync(self._sink, 1)
        if gst.gst_element_set_state(self._pipeline, _PLAYING) == _FAILURE:
            raise SourceError(self.trouble() or "the pipeline does not start")

    def pull(self, wait_s: float) -> Sample | None:
        """The newest picture, as soon as there is one; None after `wait_s` or at the end."""
        sample = self._gst.gst_app_sink_try_pull_sample(self._sink, round(wait_s * 1e9))
        if not sample:
            return None
        try:
            return self._sample(sample)
        finally:
            self._gst.gst_mini_object_unref(sample)

    def trouble(self) -> str:
        """Why the pipeline has stopped; empty while it runs."""
        message = self._gst.gst_bus_pop_filtered(self._bus, _EOS | _ERROR)
        if not message:
            return ""
        error, detail = POINTER(_Error)(), c_void_p()
        try:
            if _Message.from_address(message).type == _EOS:
                return "the pipeline has come to its end"
            self._gst.gst_message_parse_error(message, byref(error), byref(detail))
            return f"{_text(error.contents.message)} {_last_line(detail)}".strip()
        finally:
            if error:
                self._gst.g_error_free(error)
            self._gst.g_free(detail)
            self._gst.gst_mini_object_unref(message)

    def close(self) -> None:
        """Stop the pipeline and let it go; may be called twice."""
        gst, pipeline, self._pipeline = self._gst, self._pipeline, None
        if not pipeline:
            return
        gst.gst_element_set_state(pipeline, _NULL)
        for thing in (getattr(self, "_sink", None), getattr(self, "_bus", None), pipeline):
            if thing:
                gst.gst_object_unref(thing)

    def _sample(self, sample: int) -> Sample:
        gst, info, held = self._gst, _VideoInfo(), _Map()
        caps, buffer = gst.gst_sample_get_caps(sample), gst.gst_sample_get_buffer(sample)
        form = _text(gst.gst_structure_get_string(gst.gst_caps_get_structure(caps, 0), b"format"))
        if not gst.gst_video_info_from_caps(byref(info), caps) or not gst.gst_buffer_map(buffer, byref(held), 1):
            raise SourceError("the pipeline gives a picture that cannot be read")
        try:
            data = np.frombuffer(ctypes.string_at(held.data, held.size), np.uint8)
        finally:
            gst.gst_buffer_unmap(buffer, byref(held))
        head = _Buffer.from_address(buffer)
        number = None if head.offset == NONE else int(head.offset)
        return Sample(data, form, (info.height, info.width), info.stride[0], self._when(sample, head.pts), number)

    def _when(self, sample: int, pts: int) -> int | None:
        """A stamp of the pipeline on CLOCK_MONOTONIC."""
        running = self._gst.gst_segment_to_running_time(self._gst.gst_sample_get_segment(sample), _TIME, pts)
        base = self._gst.gst_element_get_base_time(self._pipeline)
        return None if NONE in (pts, running, base) else running + base


@functools.cache
def library() -> Any:
    """GStreamer's functions, by name, initialised; SourceError when the system has none."""
    names = ("gstreamer-1.0", "gstbase-1.0", "gstapp-1.0", "gstvideo-1.0")
    try:
        libraries = [ctypes.CDLL(f"lib{name}.so.0") for name in names]
        found = _Functions(libraries)
    except (OSError, AttributeError) as error:
        raise SourceError(f"GStreamer is not installed ({error})", mend=_INSTALL) from error
    error_of = POINTER(_Error)()
    if not found.gst_init_check(None, None, byref(error_of)):
        raise SourceError("GStreamer cannot be initialised", mend="look at: gst-inspect-1.0")
    return found


class _Functions:
    """The functions in use, typed: a handle that was cut to 32 bits would crash."""

    def __init__(self, libraries: list[ctypes.CDLL]) -> None:
        for name, (result, arguments) in _SIGNATURES.items():
            function = next(getattr(library, name) for library in libraries if hasattr(library, name))
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "gst_init_check": (c_int, [c_void_p, c_void_p, c_void_p]),
    "gst_parse_launch": (c_void_p, [c_char_p, c_void_p]),
    "gst_object_ref_sink": (c_void_p, [c_void_p]),
    "gst_object_unref": (None, [c_void_p]),
    "gst_mini_object_unref": (None, [c_void_p]),
    "g_error_free": (None, [c_void_p]),
    "g_free": (None, [c_void_p]),
    "gst_bin_get_by_name": (c_void_p, [c_void_p, c_char_p]),
    "gst_element_get_bus": (c_void_p, [c_void_p]),
    "gst_element_set_state": (c_int, [c_void_p, c_int]),
    "gst_element_get_base_time": (c_uint64, [c_void_p]),
    "gst_system_clock_obtain": (c_void_p, []),
    "gst_pipeline_use_clock": (None, [c_void_p, c_void_p]),
    "gst_base_sink_set_sync": (None, [c_void_p, c_int]),
    "gst_app_sink_try_pull_sample": (c_void_p, [c_void_p, c_uint64]),
    "gst_bus_pop_filtered": (c_void_p, [c_void_p, c_int]),
    "gst_message_parse_error": (None, [c_void_p, c_void_p, c_void_p]),
    "gst_sample_get_caps": (c_void_p, [c_void_p]),
    "gst_sample_get_buffer": (c_void_p, [c_void_p]),
    "gst_sample_get_segment": (c_void_p, [c_void_p]),
    "gst_segment_to_running_time": (c_uint64, [c_void_p, c_int, c_uint64]),
    "gst_caps_get_structure": (c_void_p, [c_void_p, c_uint]),
    "gst_structure_get_string": (c_char_p, [c_void_p, c_char_p]),
    "gst_video_info_from_caps": (c_int, [c_void_p, c_void_p]),
    "gst_buffer_map": (c_int, [c_void_p, c_void_p, c_int]),
    "gst_buffer_unmap": (None, [c_void_p, c_void_p]),
}


def _text(words: bytes | None) -> str:
    return (words or b"").decode(errors="replace")


def _mend(reason: str) -> str:
    if "no element" in reason:
        return f"look for it with gst-inspect-1.0, or {_INSTALL}"
    return READABLE if "link" in reason else ""


def _last_line(detail: c_void_p) -> str:
    """The end of GStreamer's account of an error, which names its cause."""
    lines = _text(ctypes.cast(detail, c_char_p).value).strip().splitlines()
    return f"({lines[-1]})" if lines else ""
