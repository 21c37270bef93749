"""What we use of TensorRT is there: in the real bindings of three versions, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.pretend.make_tensorrt import MEND, is_made, place
from tests.runtime.pretend.tensorrt_api import ALL, Api, fits

CHILD = Path(__file__).parents[1] / "pretend" / "contract_child.py"
NEW = [version for version in ALL if version != "10.3.0"]


@cache
def told(version: str) -> dict[str, Any]:
    """What our code did on the real classes of `version`."""
    if not is_made(version):
        pytest.skip(MEND)
    paths = [str(place(version)), *(path for path in sys.path if path), str(Path(__file__).parents[3])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, str(CHILD)], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("version", ALL)
def test_our_logger_monitor_and_profiler_are_its_own(version: str) -> None:
    found = told(version)

    assert found["version"] == version
    assert found["said"] == ["said"]
    assert found["monitor"]
    assert found["profiler"]


@pytest.mark.parametrize("version", ALL)
def test_networks_are_strongly_typed(version: str) -> None:
    flags = Api(version).classes["NetworkDefinitionCreationFlag"]["enum"]
    wanted = {1 << flags["STRONGLY_TYPED"]} if "EXPLICIT_BATCH" not in flags else set()
    wanted |= {1 << flags["STRONGLY_TYPED"] | 1 << flags.get("EXPLICIT_BATCH", flags["STRONGLY_TYPED"])}

    assert told(version)["flags"] in wanted
    assert told(version)["flags"] & 1 << flags["STRONGLY_TYPED"]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("what", ["build", "load"])
def test_what_its_libraries_refuse_is_an_engine_error(version: str, what: str) -> None:
    assert "factory function returned nullptr" in told(version)[what]


@pytest.mark.parametrize("version", ALL)
def test_plugins_of_the_first_kind_are_its_own(version: str) -> None:
    assert told(version)["classic"] == {
        "FusionAttention": [1, "FusionAttention", {"heads": 8}, ["HALF"], 1],
        "ClasswiseAttention": [1, "ClasswiseAttention", {}, ["HALF"], 0],
    }


@pytest.mark.parametrize("version", NEW)
def test_plugins_ahead_of_time_pass_its_own_checks(version: str) -> None:
    found = told(version)["ahead"]
    launched = ["kernel", ".version 8.0", [3, 2, 128, 1000], [7, 8]]
    shapes = [[1, 2050, 256], [1, 130, 256], [1, 130, 256]]

    assert found["FusionAttention"] == [*launched, [1, 2050, 256], [[shapes, "float16", [["heads", 8]]]]]
    assert found["ClasswiseAttention"] == [*launched, [5, 256, 4, 6], [[[[1, 256, 4, 6], [5, 256]], "float16", []]]]


@pytest.mark.parametrize("version", ALL)
def test_what_the_first_kind_overrides_is_what_tensorrt_calls(version: str) -> None:
    """The real classes take any method; the fake's bases compare names and counts with the docstrings."""
    import types

    from dis2_runtime.engines.tensorrt.bindings import Trt
    from dis2_runtime.engines.tensorrt.plugins import classic
    from dis2_runtime.engines.tensorrt.plugins.operators import Operator
    from tests.runtime.pretend import fake_tensorrt

    fake = fake_tensorrt.make(version, gpu=types.SimpleNamespace())
    operator = Operator("X", "x", ("a",), (), lambda sizes, _: list(sizes[0]), lambda *_: None)  # type: ignore[arg-type, return-value]
    made = classic.creator(Trt(fake), operator, classic.Bench(None, None, None))  # type: ignore[arg-type]
    assert made.create_plugin("n", [], None).get_output_data_types(["HALF"]) == ["HALF"]

    with pytest.raises(TypeError, match="never calls"):
        type("Wrong", (fake.IProfiler,), {"report_layer_times": lambda self, name, ms: None})
    with pytest.raises(TypeError, match="TensorRT gives"):
        type("Wrong", (fake.IProfiler,), {"report_layer_time": lambda self, name: None})


def test_signatures_come_from_docstrings() -> None:
    methods = Api("10.3.0").classes["IBuilderConfig"]["methods"]
    (overload,) = methods["set_memory_pool_limit"]

    assert fits(overload, (1, 2), {})
    assert fits(overload, (1,), {"pool_size": 2})
    assert not fits(overload, (1,), {"size": 2})
    assert not fits(overload, (1,), {})
    assert not fits(overload, (1, 2, 3), {})


@pytest.mark.parametrize("version", ALL)
def test_the_fake_has_only_what_the_real_one_has(version: str) -> None:
    from tests.runtime.pretend import fake_tensorrt

    fake = fake_tensorrt.make(version, gpu=None)
    assert not hasattr(fake.IBuilderConfig, "max_workspace_size")
    with pytest.raises(TypeError, match="incompatible function arguments"):
        fake.Builder(logger=None).create_network(flag=1)
    with pytest.raises(AttributeError, match="cannot be set"):
        fake.Builder(None).create_builder_config().builder_optimisation_level = 5
