"""Fetch torch-tensorrt to read and half run: `python -m tests.train.contracts.make_torch_tensorrt`, 6 MB.

Two things come of it below out/pretend/torch_tensorrt, for the tests beside this file. Its wheel, whose source is read.
And `site`, in which its Python part loads without a GPU: the bindings of TensorRT over empty libraries, and no library
of its own. There it lowers and parts a network, all but the building of engines; see dry.py. Needs cc.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "out" / "pretend" / "torch_tensorrt"
SITE, LIBRARIES = FOLDER / "site", FOLDER / "libraries"
MAKE = "python -m tests.train.contracts.make_torch_tensorrt"
BESIDE = ("tensorrt-cu13-bindings==11.0.0.114", "dllist==2.0.0", "psutil==7.2.2")
"""What it imports beside torch, in the versions that it was tried with."""
EMPTY = {
    "libnvinfer.so.11": (
        "createInferBuilder_INTERNAL",
        "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL",
        "getBuilderPluginRegistry",
        "getPluginRegistry",
    ),
    "libnvinfer_plugin.so.11": ("initLibNvInferPlugins",),
    "libnvonnxparser.so.11": (
        "createNvOnnxParser_INTERNAL",
        "createNvOnnxParserRefitter_INTERNAL",
        "getNvOnnxParserVersion",
    ),
}
"""Libraries that TensorRT's bindings ask for, and the functions in them; each gives nothing."""
ALIAS = """\
import sys

import tensorrt_bindings
from tensorrt_bindings import *
from tensorrt_bindings import __version__, tensorrt

sys.modules["tensorrt.tensorrt"] = tensorrt
"""


def pinned() -> str:
    """The version of torch-tensorrt that constraints.txt asks for."""
    found = re.search(r"^torch-tensorrt==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def wheel() -> Path | None:
    """The fetched wheel of the pinned version, or None."""
    return next(iter(sorted(FOLDER.glob(f"torch_tensorrt-{pinned()}-*.whl"))), None)


def runnable() -> bool:
    """Whether all that dry.py needs was made."""
    return wheel() is not None and (SITE / "tensorrt" / "__init__.py").is_file()


def main() -> None:
    """Make what is not there yet, the last step last."""
    if not wheel():
        _download(FOLDER, f"torch-tensorrt=={pinned()}", "--platform", "manylinux_2_28_x86_64")
    if not runnable():
        shutil.rmtree(SITE, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            for package in BESIDE:
                _download(Path(folder), package)
            for file in (wheel(), *Path(folder).glob("*.whl")):
                with zipfile.ZipFile(file) as archive:
                    archive.extractall(SITE)
        for library in (SITE / "torch_tensorrt").rglob("*.so*"):
            library.unlink()
        _empty_libraries()
        (SITE / "tensorrt").mkdir()
        (SITE / "tensorrt" / "__init__.py").write_text(ALIAS)
    print(FOLDER)


def _download(folder: Path, package: str, *words: str) -> None:
    command = ["pip", "download", "-q", "--no-deps", "--only-binary=:all:", *words, "--dest", str(folder), package]
    subprocess.run([sys.executable, "-m", *command], check=True)


def _empty_libraries() -> None:
    LIBRARIES.mkdir(exist_ok=True)
    for name, functions in EMPTY.items():
        code = "\n".join(f"void *{function}(void) {{ return 0; }}" for function in functions)
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(LIBRARIES / name)]
        subprocess.run(command, input=code, text=True, check=True)


if __name__ == "__main__":
    main()
