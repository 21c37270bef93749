"""A run on drawn scenes becomes a model that may travel; a run on anything else is refused."""

import json
import shutil

import pytest
import torch
from PIL import Image

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, DataError, StorageError
from dis2_edge.recipe import Recipe
from dis2_edge.scores import scores
from dis2_edge.statistics import measure, with_statistics
from dis2_train import checkpoint, networks, publish
from dis2_train.data.batches import Split
from dis2_train.evaluate import evaluate
from dis2_train.importing import ORIGIN
from dis2_train.synth.make import synthesise


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("data") / "aerial", "aerial", 4, 32, 3)


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    """A finished run, whose training was left out."""
    data, recipe = open_dataset(scenes), Recipe(network="early_fusion", width=0.125, seed=6)
    statistics = measure(data, "train")
    network = networks.build(recipe, with_statistics(data.task, statistics))
    out = tmp_path_factory.mktemp("runs") / "run"
    checkpoint.save(out, network, recipe=recipe, statistics=statistics, metrics={"scenarios": {}})
    (out / "log.csv").write_text("epoch,seconds\n1,60.5\n2,121.0\n")
    return out


@pytest.fixture(scope="module")
def model(run, scenes, tmp_path_factory):
    return publish.publish(run, open_dataset(scenes), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def other_scenes(scenes, tmp_path):
    """A copy of the scenes that may be altered."""
    return shutil.copytree(scenes, tmp_path / "scenes")


def test_the_model_is_a_run_in_half_precision(model, run):
    before, after = checkpoint.load(run), checkpoint.load(model.path)
    assert (after.recipe, after.task, after.statistics) == (before.recipe, before.task, before.statistics)
    assert after.stored == "float16"
    rounded = after.network.state_dict()
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(rounded[name], tensor.half().float() if tensor.is_floating_point() else tensor)
    assert (model.path / "weights.safetensors").stat().st_size < 0.6 * (run / "weights.safetensors").stat().st_size


def test_figures_are_measured_with_the_rounded_weights(model, scenes):
    loaded = checkpoint.load(model.path)
    split = Split(open_dataset(scenes), "test", loaded.task, torch.device("cpu"))
    counts = evaluate(loaded.network, split, loaded.task.scenarios)
    for scenario, row in loaded.metrics["scenarios"].items():
        assert row["confusion"] == counts[scenario].tolist()
        assert row["miou"] == pytest.approx(scores(counts[scenario]).miou)
    assert set(loaded.metrics[publish.BEFORE]) == set(loaded.task.scenarios)


def test_the_card_gives_commands_terms_and_seed(model):
    card = (model.path / "README.md").read_text()
    assert "dis2-edge data synth --out out/aerial --kind aerial --count 4 --size 32 --seed 3\n" in card
    assert "dis2-edge train models/tiny/recipe.toml --data out/aerial --out out/tiny\n" in card
    assert "n = 1 images, seed 6" in card
    assert "the training took 2 minutes" in card
    assert "Licence of the weights: Apache-2.0" in card


def test_a_folder_in_use_is_refused_before_the_work(tiny_data, tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "note").write_text("mine")
    with pytest.raises(StorageError, match="exists already and is not empty"):
        publish.publish(tmp_path / "absent", tiny_data, out)
    assert [file.name for file in out.iterdir()] == ["note"]


def test_data_of_another_name_are_refused(run, tiny_data, tmp_path):
    with pytest.raises(DataError, match="'tiny' is not of the generator"):
        publish.synthetic_origin(tiny_data)


def test_a_name_alone_proves_nothing(other_scenes, tmp_path):
    picture = other_scenes / "val" / "rgb" / "00000.png"
    with Image.open(picture) as image:
        image.putpixel((3, 4), (1, 2, 3))
        image.save(picture)
    with pytest.raises(DataError, match="val/00000 is not what the generator draws"):
        publish.synthetic_origin(open_dataset(other_scenes))


def test_a_run_on_other_scenes_is_refused(run, tmp_path):
    others = open_dataset(synthesise(tmp_path / "others", "aerial", 4, 32, 4))
    with pytest.raises(CheckpointError, match=r"was not trained on .*statistics differ"):
        publish.publish(run, others, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_imported_run_is_refused(run, scenes, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps({**metrics, ORIGIN: "a file"}))
    with pytest.raises(CheckpointError, match="imported from a file"):
        publish.publish(copy, open_dataset(scenes), tmp_path / "model")


def test_a_run_that_began_from_other_weights_is_refused(run, scenes, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "init.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"began from other weights, by its init\.json"):
        publish.publish(copy, open_dataset(scenes), tmp_path / "model")


@pytest.fixture
def taught(scenes, tmp_path):
    """A finished run of two steps, whose training was left out."""
    data = open_dataset(scenes)
    recipe = Recipe(network="csknet", width=0.125)
    lesson = Recipe(network="deeplabv3", width=0.125, sensors=("rgb",))
    for name, made in (("run", recipe), ("run/teacher", lesson)):
        seen = data.narrowed(made.sensors or data.task.sensor_names, (32, 32))
        statistics = measure(seen, "train")
        network = networks.build(made, with_statistics(seen.task, statistics))
        checkpoint.save(tmp_path / name, network, recipe=made, statistics=statistics, metrics={"scenarios": {}})
        (tmp_path / name / "log.csv").write_text("epoch,seconds\n1,60.5\n2,121.0\n")
    return tmp_path / "run"


def test_a_run_of_two_steps_is_published_with_the_time_of_both(taught, scenes, tmp_path):
    made = publish.publish(taught, open_dataset(scenes), tmp_path / "models" / "tiny")
    assert set(made.metrics["scenarios"]) == {"rgb+ndsm", "rgb", "ndsm"}
    assert "the training took 4 minutes" in (made.path / "README.md").read_text()
    assert not (made.path / "teacher").exists()


def test_a_teacher_of_unknown_data_keeps_its_student_from_travelling(taught, scenes, tmp_path):
    (taught / "teacher" / "init.json").write_text("{}")
    with pytest.raises(CheckpointError, match="teacher began from other weights"):
        publish.publish(taught, open_dataset(scenes), tmp_path / "model")
    (taught / "teacher" / "init.json").unlink()
    rows = json.loads((taught / "teacher" / "statistics.json").read_text())
    rows[0]["mean"][0] += 1
    (taught / "teacher" / "statistics.json").write_text(json.dumps(rows))
    with pytest.raises(CheckpointError, match=r"teacher was not trained on .*statistics differ"):
        publish.publish(taught, open_dataset(scenes), tmp_path / "model")
    shutil.rmtree(taught / "teacher")
    with pytest.raises(CheckpointError, match="has lost its folder teacher"):
        publish.publish(taught, open_dataset(scenes), tmp_path / "model")


def test_all_models_together_stay_light(run, scenes, tmp_path, monkeypatch, capsys):
    (tmp_path / "models" / "old").mkdir(parents=True)
    (tmp_path / "models" / "old" / "weights.safetensors").write_bytes(bytes(300_000))
    monkeypatch.setattr(publish, "LIMIT_BYTES", 300_500)
    with pytest.raises(StorageError, match=r"would weigh 0\.\d MB"):
        publish.publish(run, open_dataset(scenes), tmp_path / "models" / "new")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["old"]


def test_values_too_large_for_half_precision_are_kept():
    state = {"a": torch.tensor([1e5, 1.0]), "b": torch.tensor([0.1]), "n": torch.tensor(3)}
    kept = publish.halved(state)
    assert {name: tensor.dtype for name, tensor in kept.items()} == {
        "a": torch.float32,
        "b": torch.float16,
        "n": torch.int64,
    }


def test_the_command_says_what_a_user_can_mend(tmp_path, scenes, capsys):
    assert publish.main([str(tmp_path), "--data", str(scenes), "--out", str(tmp_path / "m")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
