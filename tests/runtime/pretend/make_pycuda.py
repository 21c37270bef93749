"""Prepares the pretend GPU's packages, once for each Python: `python -m tests.runtime.pretend.make_pycuda`.

pycuda is built from its source without a GPU, against an empty libcuda, which takes about a minute; cuda-bindings comes
as a wheel. Both go below out/pretend, not into the environment. What it did stands in out/pretend/*.log.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.runtime.pretend.library import NAMES, HeaderMissingError, include_folder, library
from tests.runtime.pretend.places import DONE, OUT, ROOT, folder, package, pinned

_PARALLEL = Path(__file__).parent / "parallel_setup.py"


def main() -> None:
    """Make what is missing; say what is there."""
    if shutil.which("g++") is None:
        raise SystemExit("error: pycuda and the pretend GPU want g++, which is not here: apt-get install g++")
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        include_folder()
    except HeaderMissingError:
        _fetch_headers()
    for name, make in (("pycuda", _make_pycuda), ("cuda-bindings", _make_cuda_bindings)):
        if package(name) is None:
            print(
                f"Making {name} {pinned(name)} for the pretend GPU; its log is {_log(name).relative_to(ROOT)}",
                flush=True,
            )
            _made(name, make)
        print(f"{name}: {folder(name).relative_to(ROOT)}")
    print(f"libcuda: {library().relative_to(ROOT)}")


def _made(name: str, make: object) -> None:
    target = folder(name)
    with tempfile.TemporaryDirectory(dir=OUT, prefix=".making-") as work:
        made = make(Path(work))  # type: ignore[operator]
        (made / DONE).write_text(f"{name} {pinned(name)}\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(made, target)


def _make_pycuda(work: Path) -> Path:
    _pip(
        "pycuda",
        "download",
        "--no-deps",
        "--no-build-isolation",
        "--no-binary",
        "pycuda",
        "-d",
        str(work),
        f"pycuda=={pinned('pycuda')}",
    )
    with tarfile.open(next(work.glob("pycuda-*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    source = next(path for path in work.glob("pycuda-*") if path.is_dir())
    (work / "stub").mkdir()
    empty = [
        "g++",
        "-shared",
        "-Wl,-soname,libcuda.so.1",
        "-o",
        str(work / "stub" / "libcuda.so"),
        "-x",
        "c",
        os.devnull,
    ]
    _run("pycuda", empty, work)
    options = ["--no-cuda-enable-curand", f"--cuda-inc-dir={include_folder()}", f"--cudadrv-lib-dir={work / 'stub'}"]
    _run("pycuda", [sys.executable, "configure.py", *options, "--cxxflags=-O0,-g0,-w"], source)
    _run("pycuda", [sys.executable, str(_PARALLEL), "setup.py", "build_ext", "--inplace"], source)
    _note_names(next((source / "pycuda").glob("_driver*.so")))
    made = work / "made"
    shutil.copytree(source / "pycuda", made / "pycuda")
    return made


def _note_names(extension: Path) -> None:
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", "--format=posix", str(extension)], capture_output=True, text=True, check=True
    )
    names = {line.split()[0] for line in listed.stdout.splitlines()}
    NAMES.write_text("\n".join(sorted(name for name in names if name[:2] == "cu" and name[2:3].isupper())) + "\n")


def _make_cuda_bindings(work: Path) -> Path:
    made = work / "made"
    _pip(
        "cuda-bindings",
        "install",
        "--no-deps",
        "--target",
        str(made),
        f"cuda-bindings=={pinned('cuda-bindings')}",
        f"cuda-pathfinder=={pinned('cuda-pathfinder')}",
    )
    return made


def _fetch_headers() -> None:
    """cuda.h and cudaProfiler.h with what they include, from NVIDIA's wheels (4 MB)."""
    with tempfile.TemporaryDirectory(dir=OUT, prefix=".making-") as work:
        wheels = [f"{name}=={pinned(name)}" for name in ("nvidia-cuda-runtime", "nvidia-cuda-profiler-api")]
        _pip("headers", "install", "--no-deps", "--target", work, *wheels)
        header = next(Path(work).rglob("cuda.h"))
        shutil.copytree(header.parent, OUT / "cuda" / "include", dirs_exist_ok=True)


def _pip(name: str, *arguments: str) -> None:
    _run(name, [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], ROOT)


def _run(name: str, command: list[str], where: Path) -> None:
    # The loader must ask for libcuda although nothing of the empty one is used.
    environment = {**os.environ, "PYTHONPATH": ".", "LDFLAGS": "-Wl,--no-as-needed"}
    with _log(name).open("a") as log:
        print(f"$ {' '.join(command)}", file=log, flush=True)
        done = subprocess.run(command, cwd=where, env=environment, stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"error: {command[0]} ended with {done.returncode}; read {_log(name)}")


def _log(name: str) -> Path:
    return OUT / f"{name}.log"


if __name__ == "__main__":
    main()
