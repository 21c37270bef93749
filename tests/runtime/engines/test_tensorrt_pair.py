"""A quantised CSK-Net under a TensorRT that computes: its INT8 files are built, and answer as under ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench import Bench, right

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


def test_every_scenario_is_built_and_answers_as_its_file_and_goldens(jetson_pair: Bundle, bench: Bench) -> None:
    task = jetson_pair.manifest.task
    with bench.open(jetson_pair, "int8") as engine:
        assert engine.scenarios == task.scenarios == ("rgb+heat", "rgb", "heat")
        right(jetson_pair, engine, precision="int8")
        for golden in jetson_pair.manifest.goldens:
            arrays = read_golden(jetson_pair.file(golden.file), task)
            frames = {name: arrays[name] for name in task.sensor_names}
            for scenario in task.scenarios:
                told = arrays[f"{answers_at(scenario, 'int8', 'trt')}/mask"]
                # ONNX Runtime's own FP16 QuantizeLinear cuts off where the golden's was rounded
                assert np.mean(engine.infer(scenario, frames).mask == told) > 0.97, scenario
    assert len(bench.builds) == 3
    assert all(built["typed"] for built in bench.faults.built)
