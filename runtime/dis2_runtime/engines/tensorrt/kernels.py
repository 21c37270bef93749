"""Our kernels on this GPU: loaded from the images made for it, and used only after they have proven themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from dis2_edge.errors import EngineError
from dis2_edge.terminal import warn
from dis2_runtime.driver import Driver, Module
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.proving import prove

__all__ = ["Images", "Kernels", "digest_of", "load_kernels"]

Images = Mapping[str, bytes]
"""By kernel source: a cubin, or PTX text."""


@dataclass(frozen=True)
class Kernels:
    """What may be launched here."""

    modules: Mapping[str, Module] = field(default_factory=dict)
    """Loaded and proven, by source."""
    images: Images = field(default_factory=dict)
    """What they were loaded from."""

    @property
    def digest(self) -> str:
        """SHA-256 over the images: a plan that calls them is another one when they change."""
        return digest_of(self.images)


def load_kernels(driver: Driver, images: Images | None = None) -> Kernels:
    """The kernels of `images` that load here and equal their references; the others are told, and NumPy stands in."""
    modules = {}
    for source, image in (images or {}).items():
        try:
            module = driver.module(image)
            _check(driver, source, module)
        except EngineError as error:
            warn(f"the kernel {source} is not used here: {error}")
            continue
        modules[source] = module
    return Kernels(modules, {source: image for source, image in (images or {}).items() if source in modules})


def digest_of(images: Images) -> str:
    """SHA-256 over names and images."""
    digest = hashlib.sha256()
    for source, image in sorted(images.items()):
        digest.update(f"{source} {len(image)}\n".encode() + image)
    return digest.hexdigest()


def _check(driver: Driver, source: str, module: Module) -> None:
    """EngineError naming the first case in which the kernel is not what its reference is."""
    for proof in prove(driver, {source: module}, CASES[source]() if source in CASES else ()):
        if not proof.good:
            why = proof.problem or f"{proof.error:.2f} times the error that is allowed"
            raise EngineError(f"{proof.case.title}: {why}")
