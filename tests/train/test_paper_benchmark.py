"""The benchmark's contestant computes the released function, and contestants take turns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save

from benchmarks.host import made_bundle
from benchmarks.operators import Share, added_up, profile
from benchmarks.released import ReleasedDis2, WholeSampleNorm, with_released_operators
from dis2_edge.scenario import sensors_of
from dis2_train.networks.paper.attention import TokenMixer
from tests.train.paper_tasks import NDSM, RGB, frames_of, task_of

TASK = task_of(RGB, NDSM, grid=(32, 48))


@pytest.fixture(scope="module")
def released() -> ReleasedDis2:
    return ReleasedDis2(TASK)


@pytest.mark.parametrize("scenario", TASK.scenarios)
def test_the_released_operators_compute_what_the_preset_computes(released: ReleasedDis2, scenario: str) -> None:
    torch.manual_seed(0)
    plain = type(released.network)(released.network.recipe, TASK).eval()
    frames = frames_of(TASK, batch=1)
    used = {name: frames[name] for name in sensors_of(scenario)}
    with torch.no_grad():
        expected = plain(used, scenario).logits.softmax(dim=1)
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(released.infer(scenario, used), expected, rtol=0, atol=1e-5)


def test_every_operator_is_exchanged_and_the_original_left_alone() -> None:
    plain = ReleasedDis2(TASK).network
    kinds = {type(module) for module in plain.modules()}
    assert TokenMixer not in kinds
    assert torch.nn.GroupNorm not in kinds
    assert {WholeSampleNorm, torch.nn.TransformerEncoderLayer} <= kinds
    original = type(plain)(plain.recipe, TASK)
    with_released_operators(original)
    assert any(isinstance(module, TokenMixer) for module in original.modules())


def test_operators_are_added_up_by_kind_over_the_last_runs_only() -> None:
    def ran(name: str, kind: str, ms: float) -> dict[str, object]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": 1e3 * ms, "args": {"op_name": kind}}

    warm_up = [ran("a", "Conv", 100.0), ran("b", "Conv", 100.0), ran("c", "Add", 100.0)]
    counted = [ran("a", "Conv", 2.0), ran("b", "Conv", 3.0), ran("c", "Add", 7.0)]
    other = [{"cat": "Session", "name": "model_run", "dur": 1e9}]
    found = added_up([*warm_up, *counted, *other, *counted], runs=2)
    assert found == [Share("Add", 1, 7.0), Share("Conv", 2, 5.0)]


def test_the_profile_of_a_file_names_its_operators(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["y"])],
        "square",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, tmp_path / "square.onnx")
    (share,) = profile(tmp_path / "square.onnx", {"x": np.ones((4, 4), np.float32)}, threads=1, runs=2)
    assert (share.kind, share.count) == ("Mul", 1)
    assert share.ms > 0


@pytest.mark.slow
def test_a_bundle_smaller_than_the_usual_crop_can_be_made(tmp_path: Path) -> None:
    assert (made_bundle(tmp_path, 32)[1] / "manifest.json").is_file()
