"""Kernels for the device that is here: machine code made for it, else PTX, else compiled now; proven before use.

Machine code is taken for exactly the device's architecture: an Orin (sm_87) runs none of sm_80. What cannot be had or
fails its cases is not handed out, and the reason is: engines then compute by the function's body or NumPy instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dis2_edge.errors import EngineError, UserError
from dis2_runtime.driver import Device, Driver, Module
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.building import build, digest_of, names, place_of, take
from dis2_runtime.kernels.compiler import MEND, Compiler, find_compiler, number_of
from dis2_runtime.kernels.notes import is_noted, put_down
from dis2_runtime.kernels.proving import Proof, prove


@dataclass(frozen=True)
class Kernels:
    """What a device may use, and why not more."""

    modules: dict[str, Module] = field(default_factory=dict)
    """By kernel source: loaded, and right in all its cases."""
    origins: dict[str, str] = field(default_factory=dict)
    """By kernel source: where its module came from."""
    proofs: dict[str, tuple[Proof, ...]] = field(default_factory=dict)
    """By kernel source: what its cases gave on this device; nothing where a note said that they were right before."""
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By kernel source: what was passed over, and why; of a source without a module, all there is to say."""
    ptx: dict[str, bytes] = field(default_factory=dict)
    """By kernel source: its PTX, where it was asked for: TensorRT takes it into a plan."""
    folders: tuple[Path, ...] = ()
    """Where another process finds the same kernels."""

    @property
    def digest(self) -> str:
        """SHA-256 over the kernels' sources and PTX: a plan that calls them is another one when they change."""
        digest = hashlib.sha256()
        for source in sorted(self.modules):
            digest.update(f"{source} {digest_of(source)}\n".encode() + self.ptx.get(source, b""))
        return digest.hexdigest()

    def why_not(self, name: str) -> str:
        """Why there is no module of `name`, in one line."""
        return "; ".join(self.reasons.get(name, ())) or f"nobody asked for {name}"


def load(
    driver: Driver,
    folders: Sequence[Path],
    wanted: Sequence[str] = (),
    *,
    compile_into: Path | None = None,
    compiler: Callable[[], Compiler | None] = find_compiler,
    notes: Path | None = None,
) -> Kernels:
    """Kernels (all, or those `wanted`) for the driver's device, out of the first of `folders` that has them.

    `compile_into`: folder for what has to be compiled here, where a compiler is; None compiles nothing. `notes`: folder
    that remembers what was proven on which device; None proves everything. Nothing that a kernel or a file can do
    raises; the reasons are told in what is returned.
    """
    kernels = Kernels()
    for name in wanted or names():
        reasons: list[str] = []
        for origin, fetch in _choices(driver.device, name, folders, compile_into, compiler):
            try:
                kernels.modules[name], kernels.proofs[name] = _proven(driver, name, fetch(), notes)
                kernels.origins[name] = origin
                break
            except UserError as error:
                reasons.append(str(error) if origin in str(error) else f"{origin}: {error}")
        else:
            reasons += _what_lies_there(driver.device, name, folders)
        kernels.reasons[name] = tuple(reasons)
    return kernels


def target_of(device: Device) -> str:
    """The machine code that runs on `device`: sm_87 of an Orin."""
    return "sm_{}{}".format(*device.capability)


Choice = tuple[str, Callable[[], bytes]]


def _choices(
    device: Device,
    name: str,
    folders: Sequence[Path],
    compile_into: Path | None,
    compiler: Callable[[], Compiler | None],
) -> Iterator[Choice]:
    """Where an image may come from, the best first; the compiler is looked for only when it is its turn."""
    target = target_of(device)
    for folder in folders:
        if (file := place_of(folder, name, target)).exists():
            yield str(file), lambda folder=folder: take(folder, name, target)[0]  # type: ignore[misc]
    for number, folder in sorted(_texts(name, folders), key=lambda found: -found[0]):
        if number <= number_of(target):
            ptx = f"compute_{number}"
            yield str(place_of(folder, name, ptx)), lambda folder=folder, ptx=ptx: take(folder, name, ptx)[0]  # type: ignore[misc]
    if compile_into is not None and (nvcc := compiler()) is not None:
        yield (
            f"nvcc {nvcc.version}",
            lambda: (build(nvcc, name, target, compile_into), take(compile_into, name, target)[0])[1],
        )


def _proven(driver: Driver, name: str, image: bytes, notes: Path | None) -> tuple[Module, tuple[Proof, ...]]:
    """The module and its proofs, if all its cases are right on this device; no proofs where a note says so."""
    module = driver.module(image)
    if notes is not None and is_noted(notes, driver, name, image):
        return module, ()
    proofs = tuple(prove(driver, {name: module}, CASES[name]()))
    wrong = next((proof for proof in proofs if not proof.good), None)
    if wrong is not None:
        raise EngineError(f"{name} is wrong on this device: {said(wrong)}", mend="it is not used")
    if notes is not None:
        put_down(notes, driver, name, image)
    return module, proofs


def said(proof: Proof) -> str:
    """What came of a case, in words."""
    came = proof.problem or f"{proof.error:.3g} of the error that is allowed"
    return f"{proof.case.title}: {came}"


def _texts(name: str, folders: Sequence[Path]) -> list[tuple[int, Path]]:
    """PTX of `name`: for which architecture, in which folder."""
    found = [(path.parent.name, folder) for folder in folders for path in folder.glob(f"compute_*/{name}.ptx")]
    return [(int(target[8:]), folder) for target, folder in found if target[8:].isdecimal()]


def _what_lies_there(device: Device, name: str, folders: Sequence[Path]) -> list[str]:
    """Why nothing that lies in the folders was even tried."""
    target = target_of(device)
    others = sorted({path.parent.name for folder in folders for path in folder.glob(f"sm_*/{name}.cubin")} - {target})
    newer = sorted({f"compute_{n}" for n, _ in _texts(name, folders) if n > number_of(target)})
    told = [f"machine code for {', '.join(others)} does not run on {target}"] if others else []
    told += [f"PTX for {', '.join(newer)} is for newer devices than {target}"] if newer else []
    if not told and not any(folder.is_dir() for folder in folders):
        told.append("no folder of kernels was given" if not folders else f"{folders[0]} is no folder")
    return [*told, f"nothing more could be tried for {name} on {target}; {MEND}"]
