"""A Jetson pretended whole, by its environment alone: real commands, real pycuda, builds and proofs in their processes.

What is not real is TensorRT, which computes with ONNX Runtime, and the GPU, which is this computer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opened import flight_words
from tiny_bundle import write_scene

from dis2_edge.bundle import Bundle
from tests.runtime.pretend.kit import lacking, pretend_environment
from tests.runtime.pretend.make_tensorrt import MEND, is_made
from tests.runtime.pretend.places import ROOT

VERSION = "10.3.0"
ORIN = "cc=8.7;sms=8;integrated=1;name=Orin"
TENSORRT = f"""
import sys, types
from dis2_runtime.kernels import compiler
from tests.runtime.pretend import fake_tensorrt
from tests.runtime.pretend.host_work import HostWork
work = HostWork()
work.device = types.SimpleNamespace(capability=(8, 7))
compiler._places = lambda: []
sys.modules[__name__] = fake_tensorrt.make({VERSION!r}, work)
"""
"""The module `tensorrt` of this Jetson, which has no nvcc: machine code is nothing for a GPU that is pretended."""


@pytest.fixture
def jetson(tmp_path: Path) -> dict[str, str]:
    """The environment of every process on it."""
    if not is_made(VERSION):
        pytest.skip(MEND)
    if why := lacking("pycuda"):
        pytest.skip(why)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "tensorrt.py").write_text(TENSORRT)
    environment = pretend_environment("pycuda", gpu=ORIN)
    environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path / 'packages'}"
    return environment


def typed(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dis2_edge", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, cwd=ROOT)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_it_builds_proves_chooses_flies_and_outlives_the_loss_of_tensorrt(
    jetson: dict[str, str], jetson_bundle: Bundle, tmp_path: Path
) -> None:
    plans, state = tmp_path / "engines", tmp_path / "live.json"
    prove = ("bundle", "prove", jetson_bundle.path, "--engines", plans, "--calls", "10", "--threads", "1")
    first = typed(jetson, *prove, "--out", tmp_path / "first.json", "--progress", "json")
    assert first.returncode == 0, first.stderr
    proof = read(tmp_path / "first.json")
    assert proof["chosen"]["engine"] == "tensorrt"
    proven = {(row["engine"], row["precision"]) for row in proof["rows"] if row["proven"]}
    assert proven == {("tensorrt", "fp16"), ("tensorrt", "int8"), ("onnxruntime", "int8")}
    told = [json.loads(line) for line in first.stderr.splitlines()]
    assert {"label": "models/rgb-int8-trt-tensor.onnx: Building Engine", "done": 1, "total": 2} in told
    assert "building an engine" in first.stdout
    assert not (jetson_bundle.path.parent / ".engines").exists()
    assert len(list(plans.glob("*.plan"))) == 3, "FP16 and INT8 files are the same bytes here: one plan a scenario"

    scene = write_scene(tmp_path / "scene", jetson_bundle.manifest.task)
    fly = ("run", jetson_bundle.path, *flight_words(scene), "--out", tmp_path / "out", "--speed", "max", "--ticks", "4")
    flown = typed(jetson, *fly, "--engines", plans, "--state", state, "--engine", "tensorrt", "--precision", "fp16")
    assert flown.returncode == 0, flown.stderr
    assert "building an engine" not in flown.stdout
    rows = [json.loads(line) for line in (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()]
    assert {(row["engine"], row["expected_miou"]) for row in rows if row["state"] == "fresh"} == {
        ("tensorrt fp16", 0.7)
    }
    live = read(state)
    assert (live["engine"], live["precision"], live["ended"]) == ("tensorrt", "fp16", "ticks")

    (tmp_path / "packages" / "tensorrt.py").unlink()
    lost = typed(jetson, *prove, "--out", tmp_path / "lost.json")
    assert lost.returncode == 0, lost.stderr
    proof = read(tmp_path / "lost.json")
    assert proof["chosen"] == {"engine": "onnxruntime", "precision": "int8"}
    assert "TensorRT is not installed here" in proof["why"]
