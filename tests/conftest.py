"""What all tests share: one thread each, the same examples every time, and skips for what this machine lacks."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from dis2_edge.bundle import Bundle

# Before torch or ONNX Runtime load: the machine's cores are shared, and sums of threads differ in the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def pair_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quantised run of CSK-Net on `rgb` and `heat`, a thermal camera, in INT8 of both dialects: to be read only."""
    pytest.importorskip("torch", reason="a network is made with torch")
    from tests.pair_run import make_pair_run

    return make_pair_run(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def pair(pair_run: Path) -> "Bundle":
    """Its bundle for this computer."""
    from tests.pair_run import make_pair

    return make_pair(pair_run.parent / "bundle", pair_run)


_LACKING = {
    "gpu": (not Path("/dev/nvidia0").exists(), "no CUDA device"),
    "tensorrt": (importlib.util.find_spec("tensorrt") is None, "TensorRT is not installed"),
    "board": ("DIS2_BOARD" not in os.environ, "DIS2_BOARD names no board"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files are dealt to processes in this order: one that takes long must not come when the other process has no more.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    for item in items:
        for marker, (lacking, reason) in _LACKING.items():
            if lacking and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
