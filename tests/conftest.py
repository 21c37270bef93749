"""What all tests share: one thread each, the same examples every time, and skips for what this machine lacks."""

import importlib.util
import os
from pathlib import Path

import hypothesis
import pytest

# Before torch or ONNX Runtime load: the machine's cores are shared, and sums of threads differ in the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("steady")

_LACKING = {
    "gpu": (not Path("/dev/nvidia0").exists(), "no CUDA device"),
    "tensorrt": (importlib.util.find_spec("tensorrt") is None, "TensorRT is not installed"),
    "board": ("DIS2_BOARD" not in os.environ, "DIS2_BOARD names no board"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, (lacking, reason) in _LACKING.items():
            if lacking and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
