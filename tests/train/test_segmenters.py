"""A run, its exported file, a quantised run and a bundle answer through one face, with the preprocessing that flies."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from proven_bundle import make_run
from tiny_bundle import NDSM, RGB, expected, frames_of, linear_model, make_bundle, task_of, training_of

from dis2_edge.errors import BundleError, CheckpointError, DataError, EngineError, UserError
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_train import checkpoint, networks
from dis2_train.networks.cost import cost
from dis2_train.segmenters import Segmenter, open_segmenter

TASK = task_of(RGB, NDSM, grid=(32, 48))
RECIPE = Recipe(network="early_fusion", width=0.125, seed=7)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small network."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    network = networks.build(RECIPE, TASK).eval()
    statistics = [training_of(sensor) for sensor in TASK.sensors]
    checkpoint.save(folder, network, recipe=RECIPE, statistics=statistics, metrics={"scenarios": {}})
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", TASK).path


def batch_of(task: Task, count: int) -> dict[str, np.ndarray]:
    frames = [frames_of(task, seed) for seed in range(count)]
    return {sensor.name: np.stack([frame[sensor.name] for frame in frames]) for sensor in task.sensors}


def test_a_run_tells_what_it_is_and_answers_every_scenario(run: Path) -> None:
    model = open_segmenter(run)
    assert (model.label, model.recipe_name, model.seed, model.precision) == ("small", "early_fusion/default", 7, "fp32")
    assert model.scenarios == TASK.scenarios
    assert model.task == TASK
    frames = batch_of(TASK, 2)
    for scenario in model.scenarios:
        masks, chances = model.masks(frames, scenario), model.many(frames, scenario)
        assert masks.shape == (2, 32, 48)
        assert masks.dtype == np.uint8
        assert chances.dtype == np.float32
        np.testing.assert_array_equal(chances.argmax(1), masks)
        np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
        alone = model.probabilities({name: batch[1] for name, batch in frames.items()}, scenario)
        np.testing.assert_allclose(alone, chances[1], atol=1e-5)


@pytest.mark.parametrize("scenario", ["rgb+ndsm", "rgb"])
def test_an_exported_file_answers_as_its_run_does(run: Path, tmp_path: Path, scenario: str) -> None:
    network = checkpoint.load(run).network
    told = {"network": "early_fusion/default", "seed": "7", "precision": "fp32"}
    told |= {"cost": json.dumps(dataclasses.asdict(cost(network, scenario)))}
    export(placement.trace(network.deployable(scenario)), TASK, scenario, tmp_path / "m.onnx", told)
    file, whole = open_segmenter(tmp_path / "m.onnx"), open_segmenter(run)
    assert (file.label, file.recipe_name, file.seed, file.precision) == ("m", "early_fusion/default", 7, "fp32")
    assert file.scenarios == (scenario,)
    assert file.task == dataclasses.replace(TASK, sensors=TASK.used(scenario))
    assert file.cost(scenario) == whole.cost(scenario) == cost(network, scenario)
    frames = {sensor.name: batch_of(TASK, 2)[sensor.name] for sensor in TASK.used(scenario)}
    frames[scenario.split("+")[-1]][:, :5, :9] = 255 if scenario == "rgb" else np.nan  # holes, where holes can be
    assert (file.masks(frames, scenario) == whole.masks(frames, scenario)).mean() > 0.999
    error = np.abs(file.many(frames, scenario) - whole.many(frames, scenario))
    assert error.max() < 0.01  # a confidence has 255 steps


def test_holes_are_filled_as_in_flight(run: Path) -> None:
    model = open_segmenter(run)
    holed, filled = batch_of(TASK, 1), batch_of(TASK, 1)
    holed["ndsm"][0, 4:20, 8:30] = np.nan
    filled["ndsm"][0, 4:20, 8:30] = NDSM.mean
    np.testing.assert_array_equal(model.many(holed, "rgb+ndsm"), model.many(filled, "rgb+ndsm"))
    assert np.isnan(holed["ndsm"]).any()  # the caller's array is left alone


def test_one_channel_needs_no_axis_and_float_sensors_take_any_number(run: Path) -> None:
    model = open_segmenter(run)
    frames = batch_of(TASK, 2)
    flat = {"ndsm": frames["ndsm"][..., 0].astype(np.float64)}
    np.testing.assert_array_equal(model.masks(flat, "ndsm"), model.masks(frames, "ndsm"))


def test_a_bundle_and_a_quantised_run_choose_their_files_by_precision(bundle: Path, tmp_path: Path) -> None:
    qrun = make_run(tmp_path / "q", TASK)
    frames = batch_of(TASK, 2)
    for path, label in ((bundle, "tiny"), (qrun, "q")):
        assert open_segmenter(path).precision == "int8"  # what flies
        for precision in ("fp32", "int8"):
            model = open_segmenter(path, precision)
            assert (model.label, model.precision, model.recipe_name) == (label, precision, "linear")
            assert model.scenarios == TASK.scenarios
            assert model.seed is None  # its recipe is of no network that is known here
            assert model.cost("rgb") is None
            for scenario in TASK.scenarios:
                for place, mask in enumerate(model.masks(frames, scenario)):
                    one = {name: batch[place] for name, batch in frames.items()}
                    assert (mask == expected(TASK, scenario, one)).mean() > 0.99  # sums round in another order


def test_confidence_is_shared_out_among_the_other_classes(bundle: Path) -> None:
    model = open_segmenter(bundle)
    chances = model.many(batch_of(TASK, 1), "rgb")[0]
    np.testing.assert_allclose(chances.sum(0), 1, atol=1e-6)
    assert chances.max(0).min() >= 0.5 - 1 / 255


def test_a_file_that_gives_logits_is_fed_normalised(tmp_path: Path) -> None:
    one = task_of(RGB, grid=(32, 48))
    onnx.save(tensor_model(one), tmp_path / "logits.onnx")
    model = open_segmenter(tmp_path / "logits.onnx", "fp32")
    frames = batch_of(one, 3)
    truth = np.stack([expected(one, "rgb", {"rgb": frame}) for frame in frames["rgb"]])
    assert (model.masks(frames, "rgb") == truth).mean() > 0.99  # sums round in another order
    score = ((frames["rgb"].astype(np.float64) - 120) / 60).mean(-1)
    np.testing.assert_allclose(model.many(frames, "rgb")[:, 1], 1 / (1 + np.exp(-score)), atol=1e-5)


def test_another_grid_is_for_runs_only(run: Path, bundle: Path) -> None:
    model = open_segmenter(run, grid=(64, 64))
    assert model.task.grid == (64, 64)
    assert model.masks(batch_of(model.task, 1), "rgb").shape == (1, 64, 64)
    with pytest.raises(EngineError, match="exported for 32x48"):
        open_segmenter(bundle, grid=(64, 64))


def test_weights_that_know_their_grid_keep_it(tmp_path: Path) -> None:
    recipe = Recipe(width=0.125)
    network = networks.build(recipe, TASK)
    statistics = [training_of(sensor) for sensor in TASK.sensors]
    checkpoint.save(tmp_path / "r", network, recipe=recipe, statistics=statistics, metrics={"scenarios": {}})
    with pytest.raises(CheckpointError, match="made for a grid of 32x48"):
        open_segmenter(tmp_path / "r", grid=(64, 64))


@pytest.mark.parametrize(
    ("frames", "scenario", "error", "said"),
    [
        ({}, "rgb", DataError, "no frame of sensor 'rgb'"),
        ({"rgb": np.zeros((1, 16, 48, 3), np.uint8)}, "rgb", DataError, "16x48x3; expected 32x48x3"),
        ({"rgb": np.zeros((1, 32, 48, 4), np.uint8)}, "rgb", DataError, "32x48x4; expected 32x48x3"),
        ({"rgb": np.zeros((1, 32, 48, 3), np.uint16)}, "rgb", DataError, "uint16; expected uint8"),
        ({"rgb": np.zeros((1, 32, 48, 3), np.uint8)}, "blue", CheckpointError, "does not serve scenario 'blue'"),
        (
            {"rgb": np.zeros((1, 32, 48, 3), np.uint8), "ndsm": np.zeros((2, 32, 48), np.float32)},
            "rgb+ndsm",
            DataError,
            "as many frames of every sensor",
        ),
    ],
)
def test_frames_that_do_not_fit_are_told(run: Path, bundle: Path, frames, scenario, error, said) -> None:
    for model in (open_segmenter(run), open_segmenter(bundle)):
        with pytest.raises(error, match=said):
            model.masks(frames, scenario)


def altered(bundle: Path) -> Path:
    file = bundle / "models/rgb-int8-ort-frame.onnx"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    return bundle


def test_a_bundle_with_a_flipped_bit_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="altered: its SHA-256"):
        open_segmenter(altered(bundle))


WRONG = {
    "nothing.there": (CheckpointError, "does not exist"),
    "empty": (CheckpointError, "holds nothing"),
    "data": (CheckpointError, "a data set, not a model"),
    "other": (CheckpointError, "no recipe.toml, quantized.json or manifest.json"),
    "weights.pth": (CheckpointError, "dis2-edge import"),
    "text.onnx": (EngineError, "cannot be loaded by ONNX Runtime"),
    "bare.onnx": (EngineError, "holds no scenario, sensors, classes in its metadata"),
    "classless.onnx": (EngineError, "metadata that cannot be read"),
    "qrun": (CheckpointError, "fp32-ort-frame.onnx is missing"),
    "broken": (CheckpointError, "holds no task and models"),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_wrong_path_is_told_what_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_wrong(path)
    error, said = WRONG[name]
    with pytest.raises(error, match=said):
        open_segmenter(path, "fp32" if name == "qrun" else None)


def test_what_a_path_does_not_hold_in_that_precision(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="run in fp32; make it INT8: dis2-edge quantize"):
        open_segmenter(run, "int8")
    only = make_bundle(tmp_path / "b", TASK, precisions=("fp32",)).path
    assert open_segmenter(only).precision == "fp32"
    with pytest.raises(EngineError, match="holds no int8 model for ONNX Runtime; try --precision fp32"):
        open_segmenter(only, "int8")
    onnx.save(tensor_model(task_of(RGB, grid=(32, 48))), tmp_path / "told.onnx")
    with pytest.raises(EngineError, match="is in fp32; expected int8"):
        open_segmenter(tmp_path / "told.onnx", "int8")


def test_an_unfinished_run_is_told_to_be_one(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "r")
    (tmp_path / "r" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="not finished"):
        open_segmenter(tmp_path / "r")


def test_a_missing_gpu_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert open_segmenter(run, device="auto").label == "small"
    with pytest.raises(UserError, match="no CUDA device here; use --device cpu"):
        open_segmenter(run, device="cuda")


def test_opening_files_needs_no_torch(bundle: Path) -> None:
    code = "import sys; from dis2_train.segmenters import open_segmenter; from pathlib import Path\n"
    code += f"open_segmenter(Path({str(bundle)!r})); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def make_wrong(path: Path) -> None:
    """Put at `path` what its name in WRONG says."""
    name = path.name
    one = task_of(RGB, grid=(32, 48))
    if name in ("empty", "data", "other", "broken"):
        path.mkdir()
    if name == "data":
        (path / "dataset.toml").write_text("")
    if name == "other":
        (path / "notes.txt").write_text("")
    if name == "broken":
        (path / "quantized.json").write_text("{}")
    if name == "weights.pth":
        path.write_bytes(b"\x80")
    if name == "text.onnx":
        path.write_text("no protobuf")
    if name == "bare.onnx":
        onnx.save(linear_model(one, "rgb"), path)
    if name == "classless.onnx":
        model = linear_model(one, "rgb")
        helper.set_model_props(model, {"scenario": "rgb", "sensors": "[]", "classes": "two"})
        onnx.save(model, path)
    if name == "qrun":
        make_run(path, TASK)
        (path / "models/ndsm-fp32-ort-frame.onnx").unlink()


def tensor_model(task: Task) -> onnx.ModelProto:
    """Io `tensor`: class 1 where the mean of the normalised channels is above 0."""
    (sensor,) = task.sensors
    shape = [1, sensor.channels, *task.grid]
    weight = np.array([[0.0] * sensor.channels, [1 / sensor.channels] * sensor.channels], np.float32)[..., None, None]
    graph = helper.make_graph(
        [helper.make_node("Conv", [sensor.name, "weight"], ["logits"])],
        "tensor",
        [helper.make_tensor_value_info(sensor.name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, *task.grid])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    sensors = json.dumps([dataclasses.asdict(sensor)])
    told = {"scenario": task.full, "classes": json.dumps(task.classes), "sensors": sensors, "precision": "fp32"}
    helper.set_model_props(model, told)
    return model


def test_the_face_is_kept_by_both_kinds(run: Path, bundle: Path) -> None:
    def names(face: type) -> set[str]:
        return {name for name in dir(face) if not name.startswith("_")}

    for model in (open_segmenter(run), open_segmenter(bundle)):
        assert names(Segmenter) <= set(dir(model))
