"""What is installed: CUDA and TensorRT, from Debian's package list, CUDA's own file and Python's dist-info folders."""

from __future__ import annotations

import json
import re
import sys

from dis2_boards.detection.tree import Tree

STATUS = "/var/lib/dpkg/status"
_MOST_STATUS = 64 << 20
_WANTED = re.compile(
    rb"^Package: (nvidia-l4t-core|nvidia-jetpack|tensorrt|libnvinfer\d{0,2}|libnvinfer-bin|cuda-cudart-\d+-\d+)$",
    re.MULTILINE,
)
_VERSION = re.compile(rb"^Version: (\S{1,100})$", re.MULTILINE)
_STATE = re.compile(rb"^Status: \S+ \S+ installed$", re.MULTILINE)
_RELEASE = re.compile(r"^(?:\d+:)?(\d{1,5}(?:\.\d{1,5}){0,2})")
_DIST_INFO = re.compile(r"^tensorrt(?:_cu\d+_libs)?-(\d[\w.]*)\.dist-info$")


def installed_packages(tree: Tree) -> dict[str, str]:
    """Versions of the few Debian packages that matter here, of those that are installed."""
    found = {}
    for block in tree.raw(STATUS, _MOST_STATUS).split(b"\n\n"):
        name, version = _WANTED.search(block), _VERSION.search(block)
        if name and version and _STATE.search(block):
            found[name.group(1).decode()] = version.group(1).decode("utf-8", "replace")
    return found


def release(version: str) -> str:
    """The release in a package's version: 10.3.0 of 10.3.0.30-1+cuda12.5; empty when there is none."""
    found = _RELEASE.match(version)
    return found.group(1) if found else ""


def cuda_release(tree: Tree, packages: dict[str, str]) -> str:
    """CUDA as in 12.6, from its version file, else from its runtime's package."""
    folders = ["cuda", *sorted((n for n in tree.names("/usr/local") if n.startswith("cuda-")), key=_numbers)[::-1]]
    for folder in folders:
        text = _version_file(tree, f"/usr/local/{folder}")
        if text:
            return ".".join(text.split(".")[:2])
    runtimes = [".".join(name.split("-")[2:]) for name in packages if name.startswith("cuda-cudart-")]
    return max(runtimes, key=_numbers, default="")


def tensorrt_release(tree: Tree, packages: dict[str, str]) -> str:
    """TensorRT as in 10.3.0, from its Debian packages, else from a Python wheel that carries its library."""
    names = [name for name in packages if name.startswith(("libnvinfer", "tensorrt"))]
    found = [release(packages[name]) for name in names] or [release(version) for version in _wheels(tree)]
    return max(found, key=_numbers, default="")


def python_release(tree: Tree) -> str:
    """Python of this process; of a tree, the one that /usr/bin/python3 leads to."""
    if tree.is_this_machine:
        return ".".join(map(str, sys.version_info[:3]))
    found = re.search(r"python(3\.\d{1,3})$", tree.leads_to("/usr/bin/python3"))
    return found.group(1) if found else ""


def _version_file(tree: Tree, folder: str) -> str:
    try:
        table = json.loads(tree.raw(f"{folder}/version.json") or b"{}")
        version = table["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        old = re.search(r"CUDA Version (\d[\d.]{0,20})", tree.text(f"{folder}/version.txt", 4096))
        return release(old.group(1)) if old else ""
    return release(version) if isinstance(version, str) else ""


def _wheels(tree: Tree) -> list[str]:
    """Versions of TensorRT among the dist-info folders; bindings without the library do not count."""
    folders = [
        f"{base}/{python}/{kind}-packages"
        for base in ("/usr/lib", "/usr/local/lib")
        for python in tree.names(base)
        if python.startswith("python3")
        for kind in ("dist", "site")
    ]
    folders += [folder for folder in sys.path if folder.endswith("-packages")] if tree.is_this_machine else []
    names = [name for folder in folders for name in tree.names(folder) if name.startswith("tensorrt")]
    return [found.group(1) for name in names if (found := _DIST_INFO.match(name))]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d{1,9}", text)]
