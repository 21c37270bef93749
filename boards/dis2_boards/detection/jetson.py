"""Which Jetson: by the number of its module in the device tree, else by its model's words and its memory."""

from __future__ import annotations

import re

from dis2_boards.detection.packages import release
from dis2_boards.detection.tree import Tree

DEVICE_TREE = "/proc/device-tree"
FIRMWARE_TREE = "/sys/firmware/devicetree/base"

# Numbers of modules as NVIDIA's device trees and guides name them. The longest beginning that fits counts.
MODULES = {
    "p3448": "nano",
    "p3310": "tx2",
    "p3489": "tx2",
    "p3636": "tx2",
    "p3668": "xavier-nx",
    "p2888": "agx-xavier",
    "p3767-0000": "orin-nx-16gb",
    "p3767-0001": "orin-nx-8gb",
    "p3767-0002": "orin-nx-16gb",
    "p3767-0003": "orin-nano-8gb",
    "p3767-0004": "orin-nano-4gb",
    "p3767-0005": "orin-nano-8gb",
    "p3701-0000": "agx-orin-64gb",  # the first developer kit: this GPU whole, with 32 GB of memory
    "p3701-0004": "agx-orin-32gb",
    "p3701-0005": "agx-orin-64gb",
    "p3701-0008": "agx-orin-64gb",  # industrial
    "p3834-0000": "thor-t4000",
    "p3834-0008": "thor-t5000",
}

# Words of the device tree's model, asked in this order, with the board by gigabytes of memory; 0 stands for the rest.
MODELS: tuple[tuple[str, dict[int, str]], ...] = (
    ("orin nano", {4: "orin-nano-4gb", 8: "orin-nano-8gb"}),
    ("orin nx", {8: "orin-nx-8gb", 16: "orin-nx-16gb"}),
    ("agx orin", {32: "agx-orin-32gb", 64: "agx-orin-64gb"}),
    ("thor", {64: "thor-t4000", 128: "thor-t5000"}),
    ("xavier nx", {0: "xavier-nx"}),
    ("agx xavier", {0: "agx-xavier"}),
    ("tx2", {0: "tx2"}),
    ("jetson nano", {0: "nano"}),
)

# Jetson Linux to JetPack, for boards whose package nvidia-jetpack is not installed.
_JETPACKS = {
    "32.6.1": "4.6",
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "35.1": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5": "5.1.3",
    "35.6.0": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "36.3": "6.0",
    "36.4.0": "6.1",
    "36.4.2": "6.1.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
_MODULE = re.compile(r"p\d{4}(?:-\d{4})?")
_RELEASE = re.compile(r"R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3})*)")


def is_jetson(tree: Tree) -> bool:
    """Whether this is a Tegra that NVIDIA's own system runs on."""
    return any("nvidia,tegra" in text for text in compatible(tree)) or bool(tree.text("/etc/nv_tegra_release", 512))


def compatible(tree: Tree) -> list[str]:
    """The device tree's compatible strings, the most special first."""
    return _strings(tree, "compatible")


def model(tree: Tree) -> str:
    """What the device tree calls the machine."""
    return next(iter(_strings(tree, "model")), "")


def which(tree: Tree, memory_bytes: int) -> tuple[str, str, str]:
    """Board (empty when unknown), module (the same), and how they were told."""
    for name in ("compatible", "nvidia,dtsfilename", "nvidia,boardids"):
        for text in _strings(tree, name):
            for module in _modules(text, boardids=name == "nvidia,boardids"):
                if board := _board_of(module):
                    return board, module, f"module {module} in the device tree's {name}"
    board = _by_words(model(tree), memory_bytes)
    if board:
        return board, "", f"the model {model(tree)!r} with {_gigabytes(memory_bytes)} GB of memory"
    return "", "", f"a Jetson of a module not known here ({model(tree) or 'no model'})"


def l4t_release(tree: Tree, packages: dict[str, str]) -> str:
    """Jetson Linux as in 36.4.3, from /etc/nv_tegra_release or the package nvidia-l4t-core."""
    found = _RELEASE.search(tree.text("/etc/nv_tegra_release", 4096))
    if found:
        return f"{found.group(1)}.{found.group(2)}"
    return release(packages.get("nvidia-l4t-core", ""))


def jetpack_release(l4t: str, packages: dict[str, str]) -> str:
    """JetPack by its own package, else by the Jetson Linux that it is built on."""
    if named := release(packages.get("nvidia-jetpack", "")):
        return named
    parts = l4t.split(".")
    return next((_JETPACKS[key] for n in (3, 2) if (key := ".".join(parts[:n])) in _JETPACKS), "")


def _strings(tree: Tree, name: str) -> list[str]:
    return tree.strings(f"{DEVICE_TREE}/{name}") or tree.strings(f"{FIRMWARE_TREE}/{name}")


def _modules(text: str, *, boardids: bool) -> list[str]:
    """Numbers of boards in `text`; boardids are written 3767:0000:301."""
    if boardids:
        parts = re.findall(r"\b(\d{4}):(\d{4})\b", text)
        return [f"p{number}-{variant}" for number, variant in parts]
    return _MODULE.findall(text)


def _board_of(module: str) -> str:
    return MODULES.get(module) or MODULES.get(module[:5], "")


def _by_words(words: str, memory_bytes: int) -> str:
    for part, boards in MODELS:
        if part in words.lower():
            return boards.get(0) or boards.get(_gigabytes(memory_bytes), "")
    return ""


def _gigabytes(memory_bytes: int) -> int:
    """Memory as it is sold; the kernel sees a little less."""
    return next((size for size in (2, 4, 8, 16, 32, 64, 128) if memory_bytes <= size << 30), 0)
