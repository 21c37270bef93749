"""libcuda.so.1 itself, by ctypes: for what pycuda does not wrap (graphs, codes of failures, its context's leavings)."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from dis2_runtime.driver.failures import NOT_SUPPORTED, UNKNOWN, CallError

__all__ = ["call", "code_of"]

_MOST_CODES = 1000
_Handle = ctypes.c_void_p
_ARGUMENTS: dict[str, tuple[type, ...]] = {
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    "cuCtxGetCurrent": (ctypes.POINTER(_Handle),),
    "cuCtxPopCurrent_v2": (ctypes.POINTER(_Handle),),
    "cuDevicePrimaryCtxRelease_v2": (ctypes.c_int,),
    "cuStreamBeginCapture_v2": (_Handle, ctypes.c_int),
    "cuStreamEndCapture": (_Handle, ctypes.POINTER(_Handle)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_Handle), _Handle, ctypes.c_ulonglong),
    "cuGraphLaunch": (_Handle, _Handle),
    "cuGraphDestroy": (_Handle,),
    "cuGraphExecDestroy": (_Handle,),
    "cuEventCreate": (ctypes.POINTER(_Handle), ctypes.c_uint),
    "cuEventRecord": (_Handle, _Handle),
    "cuEventDestroy_v2": (_Handle,),
    "cuStreamWaitEvent": (_Handle, _Handle, ctypes.c_uint),
}


def call(name: str, *arguments: object) -> None:
    """One call; CallError when it does not succeed, or when this driver has no such function."""
    code = _function(name)(*arguments)
    if code:
        raise CallError(name.partition("_v")[0], code, _text(code) or "an error without a text")


def code_of(text: str) -> int:
    """The CUresult whose text this is; 999 (unknown) when none is."""
    return _codes().get(text, UNKNOWN)


@cache
def _codes() -> dict[str, int]:
    """By the driver's own texts. Where two codes share one, the smaller is meant."""
    return {text: code for code in range(_MOST_CODES, 0, -1) if (text := _text(code))}


def _text(code: int) -> str:
    text = ctypes.c_char_p()
    _function("cuGetErrorString")(code, ctypes.byref(text))
    return (text.value or b"").decode(errors="replace")


@cache
def _function(name: str) -> Any:
    try:
        function = getattr(_library(), name)
    except AttributeError as error:
        raise CallError(name, NOT_SUPPORTED, "this driver has no such function") from error
    function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
    return function


@cache
def _library() -> ctypes.CDLL:
    """A package has loaded it by now."""
    return ctypes.CDLL("libcuda.so.1")
