"""Find out which board a machine is, from its files alone: nothing is run, and nothing needs to be root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dis2_boards.detection import jetson, packages
from dis2_boards.detection.detected import Detected
from dis2_boards.detection.gpu import gpu_max_mhz
from dis2_boards.detection.power_modes import read_power_modes
from dis2_boards.detection.tree import Tree

_DMI = "/sys/class/dmi/id"
_NOT_NAMES = ("", "none", "default string", "system product name", "to be filled by o.e.m.", "not specified")


def detect(root: Path | str = "/") -> Detected:
    """What the machine whose files lie below `root` is. Never raises for what those files hold."""
    tree = Tree(root)
    memory, installed, modes = _memory_bytes(tree), packages.installed_packages(tree), read_power_modes(tree)
    kind, machine = _kind(tree), _machine(tree)
    card = _card(tree)
    board, module, why = _which(tree, kind, memory, card)
    l4t = jetson.l4t_release(tree, installed) if kind == "jetson" else ""
    limit = modes.current_mode.gpu_max_mhz if modes.current_mode else None
    return Detected(
        board=board,
        kind=kind,
        model=jetson.model(tree) or _dmi_name(tree),
        module=module,
        machine=machine,
        memory_bytes=memory,
        gpu=card,
        l4t=l4t,
        jetpack=jetson.jetpack_release(l4t, installed) if kind == "jetson" else "",
        cuda=packages.cuda_release(tree, installed),
        tensorrt=packages.tensorrt_release(tree, installed),
        python=packages.python_release(tree),
        power_mode=modes.current,
        modes=tuple(mode.name for mode in modes.modes),
        mode_limits={mode.name: mode.limits() for mode in modes.modes},
        default_mode=modes.default,
        gpu_max_mhz=gpu_max_mhz(tree) or limit,
        why=why,
    )


def _which(tree: Tree, kind: str, memory: int, card: str) -> tuple[str, str, str]:
    """Board, module and how they were told."""
    if kind == "jetson":
        return jetson.which(tree, memory)
    if kind and card:
        return "workstation-cuda", "", f"no Jetson, and the NVIDIA driver names a card: {card}"
    if kind == "pc":
        return "host", "", "an x86 processor, no card that the NVIDIA driver names"
    if kind == "arm64":
        return "generic-arm64", "", "a 64-bit ARM processor, no Jetson's device tree"
    return "", "", "neither a device tree nor a processor that is known here"


def _kind(tree: Tree) -> str:
    if jetson.is_jetson(tree):
        return "jetson"
    return {"aarch64": "arm64", "arm64": "arm64", "x86_64": "pc", "amd64": "pc"}.get(_machine(tree).lower(), "")


def _machine(tree: Tree) -> str:
    """The processor's architecture: as uname tells it here, as a tree's device tree or cpuinfo imply elsewhere."""
    if tree.is_this_machine:
        return os.uname().machine
    if jetson.is_jetson(tree):
        return "aarch64"
    told = tree.text("/proc/cpuinfo", 1 << 14)
    if re.search(r"^vendor_id\s*:", told, re.MULTILINE):
        return "x86_64"
    return "aarch64" if re.search(r"^CPU architecture\s*:\s*8", told, re.MULTILINE) else ""


def _memory_bytes(tree: Tree) -> int:
    found = re.search(r"^MemTotal:\s*(\d{1,15}) kB", tree.text("/proc/meminfo", 4096), re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0


def _card(tree: Tree) -> str:
    """The first card that NVIDIA's driver for PCs names."""
    folder = "/proc/driver/nvidia/gpus"
    for name in tree.names(folder):
        found = re.search(r"^Model:\s*(\S[^\n]{0,200})", tree.text(f"{folder}/{name}/information", 4096), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return ""


def _dmi_name(tree: Tree) -> str:
    """Maker and product as a PC's firmware tells them."""
    words = [tree.line(f"{_DMI}/{name}") for name in ("sys_vendor", "product_name")]
    return " ".join(word for word in words if word.lower() not in _NOT_NAMES)
