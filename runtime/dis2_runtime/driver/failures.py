"""What the CUDA driver answers when it fails, as EngineErrors: found, expected, mend."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device

__all__ = ["OLDEST_DRIVER", "CallError", "Situation", "engine_error", "image_needs", "told_version"]

OLDEST_DRIVER = 11040
"""CUDA 11.4 (JetPack 5): the first that instantiates graphs as we do."""

OUT_OF_MEMORY, NOT_SUPPORTED, UNKNOWN = 2, 801, 999
_LOADING = (200, 209, 218, 221, 222)
_CAPTURE = range(900, 909)
_MEBIBYTE = 2**20

# Answers to a kernel that went wrong. They stick: the context is lost, and with it the process as far as CUDA goes.
_LOST = {
    700: "a kernel used an address that is not the GPU's",
    702: "a kernel ran into the time limit of the GPU that also drives a display",
    710: "a kernel met a failed assertion",
    714: "a kernel met a hardware stack error",
    715: "a kernel met an illegal instruction",
    716: "a kernel used a misaligned address",
    717: "a kernel used an address of the wrong space",
    718: "a kernel jumped to an invalid place",
    719: "a kernel failed",
}
_PLAIN = {
    3: ("the CUDA driver was not initialised", "report this with the trace"),
    34: ("libcuda.so.1 is the toolkit's stub, not the driver", "take the folder 'stubs' off LD_LIBRARY_PATH"),
    100: ("the CUDA driver sees no GPU", "look whether nvidia-smi (on a Jetson: tegrastats) shows one"),
    101: ("there is no such GPU", "choose a smaller device number"),
    201: ("a call was made where no CUDA context is current", "report this with the trace"),
    304: ("the operating system refused a call of the driver", "look into dmesg; in a container pass the GPU through"),
    701: ("a kernel wants more registers or threads than this GPU has", "report this GPU"),
    709: ("the CUDA context was destroyed by somebody else in this process", "close the engine after what shares it"),
    NOT_SUPPORTED: ("this GPU or its driver does not support a call", "update the driver or, on a Jetson, JetPack"),
    803: ("driver library and kernel module are of two versions", "reboot after the update of the driver"),
    804: ("this driver cannot serve so new a CUDA on this GPU", "update the driver"),
}


class CallError(Exception):
    """A call of the driver that did not succeed, as a package reported it."""

    def __init__(self, call: str, code: int, text: str) -> None:
        super().__init__(f"{call}: {text} (CUresult {code})")
        self.call, self.code, self.text = call, code, text


@dataclass(frozen=True)
class Situation:
    """What was going on when a call failed: the more is known, the better the mend."""

    device: Device | None = None
    """The GPU, once it is open."""
    image: bytes = field(default=b"", repr=False)
    """The module that was loaded."""
    subject: str = ""
    """A kernel or a module's function by name."""
    wanted: int = 0
    """Bytes that were asked for."""
    free: int | None = None
    """Bytes that were free then."""


def engine_error(error: CallError, situation: Situation) -> EngineError:
    """The EngineError that tells `error` to who can mend it."""
    code = error.code
    if code == OUT_OF_MEMORY:
        return _out_of_memory(error, situation)
    if code in _LOADING:
        return _cannot_load(error, situation)
    if code in _LOST:
        found = f"{_LOST[code]} ({_told(error)}); its CUDA context is lost"
        return EngineError(found, mend="end this process and start anew; if it comes again, report kernel and GPU")
    if code == 500:
        return EngineError(f"the module has no {situation.subject or 'such symbol'!r}", mend="rebuild the kernels")
    if code in _CAPTURE:
        return EngineError(f"a call that cannot be captured broke the capture ({_told(error)})")
    if code in _PLAIN:
        found, mend = _PLAIN[code]
        return EngineError(f"{found} ({_told(error)})", mend=mend)
    about = f" of {situation.subject}" if situation.subject else ""
    return EngineError(f"the CUDA driver refused a call{about} ({_told(error)})")


def image_needs(image: bytes) -> tuple[str, str]:
    """What a module was built for, (architecture, PTX version), each empty where the image does not tell."""
    if image[:4] != b"\x7fELF":
        target = re.search(rb"^\s*\.target\s+(sm_\w+)", image, re.MULTILINE)
        version = re.search(rb"^\s*\.version\s+([0-9.]+)", image, re.MULTILINE)
        return tuple(found.group(1).decode() if found else "" for found in (target, version))  # type: ignore[return-value]
    if len(image) < 52 or int.from_bytes(image[18:20], "little") != 190:  # EM_CUDA
        return "", ""
    flags = int.from_bytes(image[48:52], "little")
    # nvcc of CUDA 13 writes ABI version 8 and the architecture one byte further up.
    return f"sm_{(flags >> 8 if image[8] >= 8 else flags) & 0xFF}", ""


def told_version(version: int) -> str:
    """12060 as 12.6."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _out_of_memory(error: CallError, situation: Situation) -> EngineError:
    found = f"out of device memory ({error.call})"
    if situation.wanted:
        found = f"the GPU has no {_size(situation.wanted)} to give ({error.call})"
    if situation.free is not None and situation.device is not None:
        found += f"; {_size(situation.free)} of {_size(situation.device.memory_bytes)} are free"
    mend = "close what else uses the GPU, or take a smaller grid or model"
    if situation.device is not None and situation.device.integrated:
        mend += "; its memory is the processor's too: see with free -m what fills it"
    return EngineError(found, mend=mend)


def _cannot_load(error: CallError, situation: Situation) -> EngineError:
    device = situation.device
    gpu = f"{device.name}, sm_{device.capability[0]}{device.capability[1]}" if device else "this GPU"
    architecture, version = image_needs(situation.image)
    if error.code == 222 or (version and device is not None and error.code == 218):
        serves = f"one that the driver knows, which serves CUDA {told_version(device.driver_version)}" if device else ""
        found = f"the kernels are PTX of version {version or 'unknown'} ({_told(error)})"
        return EngineError(found, expected=serves, mend="update the driver, or rebuild the kernels with its CUDA")
    if error.code == 209:
        built = (
            f"the kernels were built for {architecture}" if architecture else "the kernels hold no code for this GPU"
        )
        return EngineError(f"{built} ({_told(error)})", expected=gpu, mend="rebuild the bundle for this board")
    if error.code == 221:
        return EngineError(f"the driver has no compiler for PTX ({_told(error)})", mend="reinstall the driver")
    return EngineError(f"the kernels are damaged or no module ({_told(error)})", mend="copy the bundle anew")


def _told(error: CallError) -> str:
    return f"{error.call}: {error.text}"


def _size(count: int) -> str:
    return f"{count / _MEBIBYTE:.1f} MiB" if count >= _MEBIBYTE // 10 else f"{count} bytes"
