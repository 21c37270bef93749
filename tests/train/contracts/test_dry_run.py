"""Our networks through the real torch-tensorrt on the CPU, all but the building of engines, of which none was made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import dry
from make_torch_tensorrt import LIBRARIES, MAKE, SITE, runnable

pytestmark = pytest.mark.skipif(not runnable(), reason=f"no torch-tensorrt to half run; fetch it: {MAKE}")


@pytest.fixture(scope="module")
def found():
    """Row of dry.TRIED -> what came of it."""
    there = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES), "PYTHONPATH": str(SITE)}
    done = subprocess.run([sys.executable, dry.__file__], env=there, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"engines"')]
    return dict(zip(dry.TRIED, rows, strict=True))


def test_every_network_is_one_engine_with_nothing_left_to_torch(found):
    even = {each: row for each, row in found.items() if each[2] == (64, 64)}
    assert {each: (row["engines"], row["left"]) for each, row in even.items()} == dict.fromkeys(even, (1, 0))


def test_pools_that_have_something_left_over_stay_in_torch_and_are_counted(found):
    (odd,) = (row for each, row in found.items() if each[2] != (64, 64))
    assert odd["engines"] > 1
    assert odd["left"] == 2


def test_what_was_lowered_computes_what_the_network_does(found):
    for (*_, half), row in found.items():
        assert row["type"] == ("torch.float16" if half else "torch.float32")
        assert row["error"] < (0.01 if half else 1e-5)
