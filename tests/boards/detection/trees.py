"""Folders that look like the root of a board, for its readers to be pointed at.

They are written after published listings (device trees of Linux and of Jetson Linux, /etc/nvpmodel.conf and
/etc/nv_tegra_release in forum threads, repositories and guides), NOT recorded on the boards: nobody here had one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

GB = 1 << 20  # in kB, as /proc/meminfo counts


def plant(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write `files` below `root`, links where the text begins with `-> `; returns `root`."""
    for path, content in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            file.symlink_to(content[3:])
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def conf(modes: Mapping[int, tuple[str, str]], default: int) -> str:
    """An nvpmodel.conf of {id: (name, body)}."""
    text = "# Copyright\n< PARAM TYPE=CLOCK NAME=GPU >\nMAX_FREQ /sys/devices/gpu.0/devfreq/max_freq\n\n"
    for number, (name, body) in modes.items():
        text += (
            f"###\n# < POWER_MODEL ID={number + 50} NAME=a-comment >\n< POWER_MODEL ID={number} NAME={name} >\n{body}\n"
        )
    return text + f"# mandatory section to configure the default mode\n< PM_CONFIG DEFAULT={default} >\n"


def body(gpu_hz: int, cores: int, mask: int = 0) -> str:
    """Lines of one mode."""
    online = "".join(f"CPU_ONLINE CORE_{core} {int(core < cores)}\n" for core in range(8))
    return f"{online}TPC_POWER_GATING TPC_PG_MASK {mask}\nGPU MIN_FREQ 0\nGPU MAX_FREQ {gpu_hz}\nEMC MAX_FREQ 0\n"


def package(name: str, version: str, state: str = "install ok installed") -> str:
    """One block of dpkg's status file."""
    return f"Package: {name}\nStatus: {state}\nPriority: standard\nVersion: {version}\nDescription: words\n\n"


def jetson(compatible: str, model: str, kilobytes: int, release: str, **more: str | bytes) -> dict[str, str | bytes]:
    """What all Jetsons have."""
    return {
        "/proc/device-tree/compatible": compatible.replace(" ", "\0") + "\0",
        "/proc/device-tree/model": model + "\0",
        "/proc/meminfo": f"MemTotal:       {kilobytes} kB\nMemFree:   100 kB\n",
        "/etc/nv_tegra_release": f"# {release}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n",
        **more,
    }


ORIN_NANO = {
    **jetson(
        "nvidia,p3768-0000+p3767-0005 nvidia,p3767-0005 nvidia,tegra234",
        "NVIDIA Jetson Orin Nano Developer Kit",
        7_802_708,
        "R36 (release), REVISION: 4.0",
    ),
    "/etc/nvpmodel.conf": "-> /etc/nvpmodel/nvpmodel_p3767_0003.conf",
    "/etc/nvpmodel/nvpmodel_p3767_0003.conf": conf(
        {0: ("15W", body(624_750_000, 6)), 1: ("7W", body(408_000_000, 4))}, 0
    ),
    "/var/lib/nvpmodel/status": "pmode:0001 fmode:quiet\n",
    "/sys/class/devfreq/17000000.gpu": "-> ../../devices/platform/17000000.gpu/devfreq/17000000.gpu",
    "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq": "408000000\n",
    "/usr/local/cuda": "-> cuda-12.6",
    "/usr/local/cuda-12.6/version.json": json.dumps({"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}),
    "/var/lib/dpkg/status": package("adduser", "3.118")
    + package("libnvinfer10", "10.3.0.30-1+cuda12.5")
    + package("libnvinfer8", "8.6.2.3-1", "deinstall ok config-files"),
    "/usr/bin/python3": "-> python3.10",
}

ORIN_NX_SUPER = {
    **jetson(
        "nvidia,p3768-0000+p3767-0000-super nvidia,p3767-0000 nvidia,tegra234",
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
        16_084_000,
        "R36 (release), REVISION: 4.3",
    ),
    "/etc/nvpmodel.conf": conf(
        {
            0: ("MAXN_SUPER", body(1_173_000_000, 8)),
            1: ("10W", body(612_000_000, 4, 252)),
            2: ("15W", body(612_000_000, 4)),
            3: ("25W", body(408_000_000, 8)),
            4: ("40W", body(918_000_000, 8)),
        },
        4,
    ),
    "/var/lib/nvpmodel/status": "pmode:0003 fmode:cool\n",
    "/usr/local/cuda-12.6/version.json": json.dumps({"cuda": {"version": "12.6.68"}}),
    "/usr/local/cuda-12.2/version.json": json.dumps({"cuda": {"version": "12.2.0"}}),
    "/var/lib/dpkg/status": package("nvidia-jetpack", "6.2+b77") + package("tensorrt", "10.3.0.30-1+cuda12.5"),
    "/usr/bin/python3": "-> python3.10",
}

AGX_ORIN = {
    **jetson(
        "nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234",
        "NVIDIA Jetson AGX Orin Developer Kit",
        64_350_000,
        "R36 (release), REVISION: 4.4",
    ),
    "/etc/nvpmodel.conf": conf(
        {
            0: ("MAXN", body(1_301_000_000, 8)),
            1: ("MODE_15W", body(420_750_000, 4)),
            2: ("MODE_30W", body(624_750_000, 8)),
            3: ("MODE_50W", body(828_750_000, 8)),
        },
        2,
    ),
    "/var/lib/nvpmodel/status": "pmode:0000",
    "/usr/lib/python3.10/dist-packages/tensorrt-10.3.0.dist-info/METADATA": "Name: tensorrt\n",
    "/usr/bin/python3": "-> /etc/alternatives/python3",
    "/etc/alternatives/python3": "-> /usr/bin/python3.10",
}

THOR = {
    **jetson(
        "nvidia,p4071-0000+p3834-0008 nvidia,p3834-0008 nvidia,tegra264",
        "NVIDIA Jetson AGX Thor Developer Kit",
        128_800_000,
        "R39 (release), REVISION: 2.1",
    ),
    "/etc/nvpmodel.conf": conf({0: ("MAXN", "GPU MAX_FREQ -1"), 1: ("120W", body(1_386_000_000, 8))}, 1),
    "/var/lib/nvpmodel/status": "pmode:0001",
    "/sys/class/devfreq/gpu-gpc-0/max_freq": "1386000000",
    "/sys/class/devfreq/gpu-nvd-0/max_freq": "1692000000",
    "/usr/local/cuda/version.json": json.dumps({"cuda": {"version": "13.2.0"}}),
    "/var/lib/dpkg/status": package("libnvinfer-bin", "10.16.2.10-1+cuda13.2"),
    "/usr/bin/python3": "-> python3.12",
}

PC = {
    "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n",
    "/proc/meminfo": f"MemTotal:       {64 * GB} kB\n",
    "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "/sys/class/dmi/id/product_name": "Precision 7920 Tower\n",
    "/proc/driver/nvidia/gpus/0000:17:00.0/information": "Model: \t\t NVIDIA RTX A6000\nIRQ:   \t\t 91\n",
    "/usr/local/cuda/version.json": json.dumps({"cuda": {"version": "13.0.1"}}),
    "/usr/local/lib/python3.12/dist-packages/tensorrt_cu13_libs-10.14.1.dist-info/METADATA": "",
    "/usr/local/lib/python3.12/dist-packages/tensorrt_cu13_bindings-11.4.1.dist-info/METADATA": "",
    "/usr/bin/python3": "-> python3.12",
}

TREES = {"orin-nano": ORIN_NANO, "orin-nx-super": ORIN_NX_SUPER, "agx-orin": AGX_ORIN, "thor": THOR, "pc": PC}
