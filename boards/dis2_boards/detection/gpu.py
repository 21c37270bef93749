"""Where a Jetson's GPU stands in /sys, under the names of its kernels."""

from __future__ import annotations

import re

from dis2_boards.detection.tree import Tree

DEVFREQ = "/sys/class/devfreq"
# 57000000.gpu (Nano), 17000000.gp10b (TX2), .gv11b (Xavier), .ga10b or .gpu (Orin), gpu-gpc-0 (Thor). Thor's gpu-nvd-0
# is its video engine, and so no GPU clock.
_GPU = re.compile(r"^(?:[0-9a-f]+\.(?:gpu|gp10b|gv11b|ga10b|gm20b)|gpu-gpc-?\d*)$")


def gpu_devfreq(tree: Tree) -> str:
    """The folder of the GPU's clock; empty when there is none."""
    return next((f"{DEVFREQ}/{name}" for name in tree.names(DEVFREQ) if _GPU.match(name)), "")


def gpu_max_mhz(tree: Tree) -> float | None:
    """Clock up to which the GPU may go now, as the kernel limits it; None when it does not tell."""
    folder = gpu_devfreq(tree)
    hertz = tree.number(f"{folder}/max_freq") if folder else None
    return hertz / 1e6 if hertz and hertz > 0 else None
