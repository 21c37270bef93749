"""TensorRT's own Python bindings on stub libraries: every class and signature is there, nothing computes.

`python -m tests.runtime.pretend.make_tensorrt` fetches the wheels of three versions, unpacks them below out/pretend,
puts the three libraries that they want beside them (one C line for each function that they call), and writes what the
bindings offer to api.json. What is there already is left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.runtime.pretend.places import PREPARE

VERSIONS = {
    "10.3.0": "tensorrt-cu12-bindings",
    "10.16.1.11": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
"""JetPack 6.2's, JetPack 7.2's and the newest: which package brings each."""
WANTED = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
"""What the bindings call of their libraries."""
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
ROOT = Path(__file__).resolve().parents[3] / "out" / "pretend" / "tensorrt"
API = "api.json"
MEND = f"no bindings of TensorRT for this Python; type: {PREPARE}"


def place(version: str) -> Path:
    """Where the bindings of `version` lie for this Python: put it on PYTHONPATH and import tensorrt."""
    return ROOT / version / f"cp{sys.version_info.major}{sys.version_info.minor}"


def is_made(version: str) -> bool:
    """Whether they are there, whole."""
    return (place(version) / API).is_file()


def make(version: str) -> None:
    """Fetch, unpack and describe one version, whole or not at all."""
    target = place(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "made"
        _unpack(_fetch(version, Path(scratch)), folder)
        _stub(folder / "tensorrt", version.split(".")[0])
        _describe(folder)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(folder, target)


def _fetch(version: str, folder: Path) -> Path:
    wanted = f"{VERSIONS[version]}=={version}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    if subprocess.run([*command, wanted], check=False).returncode:
        raise SystemExit(f"error: pip does not get {wanted} (see above); it needs a package index")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, folder: Path) -> None:
    """The package under the name by which it imports itself: that of the system's package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    os.replace(folder / "tensorrt_bindings", folder / "tensorrt")


def _stub(folder: Path, major: str) -> None:
    """Libraries beside the bindings, which look there first."""
    source = "".join(f"void *{name}(void) {{ return 0; }}\n" for name in WANTED)
    for library in LIBRARIES:
        name = f"lib{library}.so.{major}"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", f"-Wl,-soname,{name}", "-o", str(folder / name)]
        subprocess.run(command, input=source, text=True, check=True)


def _describe(folder: Path) -> None:
    """Write api.json, in a process of its own: two versions do not fit into one."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    script = Path(__file__).with_name("describe_tensorrt.py")
    subprocess.run([sys.executable, str(script), str(folder / API)], check=True, env=environment)


if __name__ == "__main__":
    for each in VERSIONS:
        if not is_made(each):
            print(f"TensorRT {each}: fetching the bindings (4 MB or less)", flush=True)
            make(each)
