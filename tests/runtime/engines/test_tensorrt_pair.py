"""A quantised CSK-Net under a TensorRT that computes: its INT8 files are built, and answer as under ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench import Bench

from dis2_boards.packing import pack as packing
from dis2_boards.packing.kernels import PackedKernels
from dis2_boards.packing.pack import pack
from dis2_boards.profile import load
from dis2_edge.bundle import Bundle
from dis2_edge.goldens import answers_at, read_golden


@pytest.fixture
def jetson_pair(pair_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(packing, "verify", lambda *_: None)
    monkeypatch.setattr(packing, "write_kernels", lambda *_: PackedKernels(why="left out"))
    return pack(pair_run, load("orin-nx-16gb"), tmp_path / "bundle")


def test_every_scenario_is_built_and_answers_as_its_goldens(jetson_pair: Bundle, bench: Bench) -> None:
    task = jetson_pair.manifest.task
    with bench.open(jetson_pair, "int8") as engine:
        assert engine.scenarios == task.scenarios == ("rgb+heat", "rgb", "heat")
        for golden in jetson_pair.manifest.goldens:
            arrays = read_golden(jetson_pair.file(golden.file), task)
            frames = {name: arrays[name] for name in task.sensor_names}
            for scenario in task.scenarios:
                told, answer = answers_at(scenario, "int8", "trt"), engine.infer(scenario, frames)
                assert np.array_equal(answer.mask, arrays[f"{told}/mask"]), scenario
                assert np.abs(answer.confidence.astype(int) - arrays[f"{told}/confidence"]).max() <= 1, scenario
    assert len(bench.builds) == 3
    assert all(built["typed"] for built in bench.faults.built)
