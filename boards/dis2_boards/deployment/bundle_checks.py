"""Checks of a board against a bundle: is it made for it, will it run there, is there room, is it trusted."""

from __future__ import annotations

from dis2_boards.deployment.checks import BundleCase, Check
from dis2_boards.deployment.needs import memory_bytes
from dis2_boards.deployment.wheels import glibc_of
from dis2_boards.packing.locks import read_lock, tags_of
from dis2_boards.profile import known_boards, only_on
from dis2_edge.errors import BoardError
from dis2_edge.files import read_toml
from dis2_edge.quantities import megabytes
from dis2_edge.settings import nearest


def _board(case: BundleCase) -> BoardError | None:
    """A bundle for a processor goes to any board of that architecture; one for a GPU to its own board alone."""
    wanted, found = case.bundle.manifest.board, case.facts.board
    if wanted == found or not only_on(wanted):
        return None
    what = f"{case.order.target.name} is {found or 'no board that is known'} ({_told(case)})"
    fitting = case.facts.fitting
    return BoardError(
        f"{what}, and the bundle is for {wanted}",
        expected=f"a bundle for {fitting}",
        mend=f"deploy the quantised run for it: dis2-edge deploy QRUN --board {fitting} "
        f"{' '.join(case.order.target.words)}",
    )


def _rig(case: BundleCase) -> BoardError | None:
    """What a rig's keys mean the runtime judges on the board; that it is of other sensors can be told here."""
    if case.order.rig is None:
        return None
    told, known = read_toml(case.order.rig, BoardError).get("sensors"), case.bundle.manifest.task.sensor_names
    strange = [name for name in told if name not in known] if isinstance(told, dict) else []
    if not strange:
        return None
    return BoardError(
        f"{case.order.rig} describes a sensor {strange[0]!r}",
        expected=f"those of the bundle: {', '.join(known)}",
        mend=nearest(strange[0], known),
    )


def _machine(case: BundleCase) -> BoardError | None:
    if case.board is None or case.facts.machine in case.board.cpu:
        return None
    return BoardError(
        f"the processor of {case.order.target.name} is {case.facts.machine}",
        expected=f"{' or '.join(case.board.cpu)}, for the board {case.board.name}",
        mend="deploy for a board of that architecture: dis2-edge boards lists them",
    )


def _wheels(case: BundleCase) -> BoardError | None:
    tags = tags_of(case.bundle)
    if case.facts.tag in tags:
        return None
    return BoardError(
        f"{case.order.target.name} needs wheels for {case.facts.tag}",
        expected=f"one of those that the bundle names: {', '.join(tags) or 'none'}",
        mend="deploy the quantised run in place of the bundle, which gathers them; or name another Python of "
        "the board: --python python3.10",
    )


def _glibc(case: BundleCase) -> BoardError | None:
    if case.facts.tag not in tags_of(case.bundle):
        return None  # told already
    needed, wheel = glibc_of(read_lock(case.bundle, case.facts.tag))
    found = tuple(int(part) for part in case.facts.glibc.split(".") if part.isdecimal())
    if found >= needed:
        return None
    return BoardError(
        f"the C library of {case.order.target.name} is {'glibc ' + case.facts.glibc if found else 'no glibc'}",
        expected=f"glibc {needed[0]}.{needed[1]} or newer, for {wheel}",
        mend="set the board up with a newer system: JetPack 6 brings glibc 2.35",
    )


def _tensorrt(case: BundleCase) -> BoardError | None:
    target = case.order.target.name
    if case.order.engine == "tensorrt" and "trt" not in case.dialects:
        return BoardError("--engine tensorrt, and the bundle has no files for TensorRT", mend="leave --engine out")
    if not case.tensorrt or case.facts.tensorrt:
        return None
    if "ort" in case.dialects:
        mend = f"fly it with ONNX Runtime on the processor: {case.order.again('--engine', 'onnxruntime')}"
    else:
        mend = f"deploy the quantised run for its processor: dis2-edge deploy QRUN --board generic-arm64 {_words(case)}"
    install = case.order.target.shell("sudo apt install tensorrt python3-libnvinfer")
    return BoardError(
        f"{target} has no TensorRT that Python can import, and the bundle is for it",
        expected="the system's package, as JetPack brings it",
        mend=f"{mend}; or install it: {install}",
    )


def _memory(case: BundleCase) -> BoardError | None:
    needed, free = memory_bytes(case.bundle, case.flying), case.facts.memory_free_bytes
    if free >= needed:
        return None
    return BoardError(
        f"{case.order.target.name} has {megabytes(free)} of memory free, of {megabytes(case.facts.memory_bytes)}",
        expected=f"{megabytes(needed)} to prove and fly the bundle",
        mend="end what holds it (a desktop holds about 1 GB: sudo systemctl isolate multi-user.target), or "
        "train a smaller width",
    )


def _trust(case: BundleCase) -> BoardError | None:
    signature, name = case.bundle.signature, case.order.target.name
    if not case.facts.trusted or (signature is not None and signature.key_id in case.trusted):
        return None
    signed = f"signed by the key {signature.key_id}" if signature else "not signed"
    return BoardError(
        f"{name} takes bundles that {' or '.join(case.facts.trusted)} signed, and this one is {signed}",
        expected=f"a signature by one of {', '.join(sorted(case.trusted))}",
        mend=f"sign it with a key that is trusted there: {case.order.again('--key', 'KEY')}; or let the board "
        f"trust yours: dis2-edge key trust KEY.pub {_words(case)}",
    )


BUNDLE_CHECKS = (
    Check("board", _board),
    Check("processor", _machine),
    Check("wheels", _wheels),
    Check("C library", _glibc),
    Check("TensorRT", _tensorrt),
    Check("memory", _memory),
    Check("signature", _trust),
    Check("rig", _rig),
)
"""Held once there is a bundle, before anything is sent."""


def remarks(case: BundleCase) -> list[str]:
    """What the user should know, and that stops nothing."""
    said = []
    if not case.facts.trusted:
        said.append(
            f"{case.order.target.name} trusts no key, so it takes every bundle: dis2-edge key new and dis2-edge "
            "key trust change that"
        )
    if case.board is not None and case.board.kind == "cpu" and case.facts.detected.get("kind") == "jetson":
        said.append(f"the bundle is for {case.board.name}: it flies on the processor, and the GPU stays idle")
    if case.bundle.manifest.board not in known_boards():
        said.append(f"{case.bundle.manifest.board} is a board of your own: nothing can tell whether this is one")
    return said


def _words(case: BundleCase) -> str:
    return " ".join(case.order.target.words)


def _told(case: BundleCase) -> str:
    detected = case.facts.detected
    return str(detected.get("model") or detected.get("why") or case.facts.machine)
