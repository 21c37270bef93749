"""`dis2-edge import`: a released checkpoint becomes a run that every stage takes, and says what was not measured."""

import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from dis2_boards.packing.pack import pack
from dis2_boards.profile import load as board_of
from dis2_edge import cli
from dis2_edge.bundle import read as read_bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, RecipeError, StorageError
from dis2_quantize.run import quantize
from dis2_train import checkpoint
from dis2_train.importing import ORIGIN, Names, import_run
from dis2_train.networks import load_official
from dis2_train.scoring import NOT_MEASURED
from dis2_train.segmenters import open_segmenter
from tests.train.paper_tasks import released_shapes

DESCRIPTION = """
name = "tiny_released"
classes = ["ground", "roof", "tree"]
colours = ["#112233", "#445566", "#778899"]
labels = "{split}/gt/{id}.png"
grid = [32, 48]
[split]
by = "folder"
[sensors.camera]
kind = "optical"
path = "{split}/camera/{id}.png"
[sensors.lidar]
kind = "height"
path = "{split}/lidar/{id}.png"
unit = "decimetres"
"""
SIZE = (32, 48)


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    """A file as the released training writes it: random weights of 3 classes at 32x48 pixels."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, shape in released_shapes(3, SIZE).items():
        whole = name.endswith("num_batches_tracked")
        state[name] = torch.tensor(9) if whole else 0.05 * torch.rand(shape, generator=generator) + 0.01
    file = tmp_path_factory.mktemp("released") / "1754_loss0.4"
    torch.save({"model_state_dict": state, "optim_state_dict": {"state": {}}, "best_loss": 0.4}, file)
    return file


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    """2 + 2 images of noise with labels."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    for split in ("train", "test"):
        for number in range(2):
            for kind, shape, top in (("camera", (*SIZE, 3), 256), ("lidar", SIZE, 40), ("gt", SIZE, 3)):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
                pixels = random.integers(0, top, shape).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / kind / f"{number}.png")
    (root / "dataset.toml").write_text(DESCRIPTION)
    return root


@pytest.fixture(scope="module")
def data(data_folder):
    return open_dataset(data_folder)


@pytest.fixture(scope="module")
def run(ckpt, data, tmp_path_factory):
    """The checkpoint imported with data."""
    out = tmp_path_factory.mktemp("imported") / "run"
    import_run(ckpt, out, size=SIZE, data=data)
    return out


def test_the_verb_makes_a_scored_run(ckpt, data_folder, tmp_path, capsys):
    words = ["import", str(ckpt), "--out", str(tmp_path / "run"), "--size", "32", "48", "--data", str(data_folder)]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny_released, split test, 2 images, per cent"
    assert [line.split()[0] for line in lines[3:6]] == ["camera+lidar", "camera", "lidar"]
    found = checkpoint.load(tmp_path / "run")
    assert (found.recipe.preset, found.recipe.grid, found.recipe.sensors) == ("paper", SIZE, ("camera", "lidar"))
    assert found.task.classes == ("ground", "roof", "tree")
    assert found.task.colours == ("#112233", "#445566", "#778899")
    assert found.task.sensor("lidar").unit == "decimetres"
    assert [row.name for row in found.statistics] == ["camera", "lidar"]
    assert found.metrics[ORIGIN].startswith("1754_loss0.4, sha256 ")


def test_inputs_stay_raw_unless_told_otherwise(ckpt, data, run, tmp_path):
    raw = checkpoint.read_start(run)[1]
    assert [(sensor.mean, sensor.std) for sensor in raw.sensors] == [((0,) * 3, (1,) * 3), ((0,), (1,))]
    import_run(ckpt, tmp_path / "measured", size=SIZE, data=data, names=Names(measured=True))
    _, task, statistics = checkpoint.read_start(tmp_path / "measured")
    assert [(s.mean, s.std) for s in task.sensors] == [(row.mean, row.std) for row in statistics]
    given = Names(mean=(1, 2, 3, 4), std=(5, 6, 7, 8))
    import_run(ckpt, tmp_path / "given", size=SIZE, names=given)
    task = checkpoint.read_start(tmp_path / "given")[1]
    assert [(s.mean, s.std) for s in task.sensors] == [((1, 2, 3), (5, 6, 7)), ((4,), (8,))]


def test_the_run_computes_what_the_checkpoint_does(ckpt, data, run):
    released, segmenter = load_official(ckpt, SIZE), open_segmenter(run)
    sample = data.read("test", data.ids("test")[0])
    for ours, theirs in zip(segmenter.scenarios, released.task.scenarios, strict=True):
        frames = {name: sample.frames[name] for name in ours.split("+")}
        place = {"camera": "rgb", "lidar": "ndsm"}
        tensors = {place[n]: torch.tensor(f).permute(2, 0, 1)[None].float() for n, f in frames.items()}
        with torch.no_grad():
            expected = released(tensors, theirs).logits.softmax(1)[0].numpy()
        np.testing.assert_allclose(segmenter.probabilities(frames, ours), expected, atol=1e-5)


def test_without_data_nothing_is_invented(ckpt, tmp_path, capsys):
    words = ["import", str(ckpt), "--out", str(tmp_path / "run"), "--size", "32", "48", "--classes", "a,b,c"]
    assert cli.main([*words, "--colours", "#000000,#111111,#222222", "--sensors", "cam", "dsm"]) == 0
    assert "not scored" in capsys.readouterr().err
    found = checkpoint.load(tmp_path / "run")
    assert (found.statistics, found.metrics["scenarios"], found.metrics["images"]) == ((), {}, 0)
    assert "no data" in found.metrics[NOT_MEASURED]
    assert (found.task.sensor_names, found.task.classes) == (("cam", "dsm"), ("a", "b", "c"))
    assert found.task.colours == ("#000000", "#111111", "#222222")


def test_unlabelled_data_give_statistics_and_no_scores(ckpt, data_folder, tmp_path):
    (tmp_path / "d.toml").write_text(DESCRIPTION.replace('labels = "{split}/gt/{id}.png"', ""))
    unlabelled = open_dataset(data_folder, tmp_path / "d.toml")
    metrics = import_run(ckpt, tmp_path / "run", size=SIZE, data=unlabelled)
    assert "has no labels" in metrics[NOT_MEASURED]
    assert len(checkpoint.read_start(tmp_path / "run")[2]) == 2


@pytest.mark.slow
def test_later_stages_take_the_run(run, data, tmp_path):
    loaded = checkpoint.load(run)
    with pytest.raises(RecipeError, match="no convolution that folds to an integer"):
        quantize(loaded, loaded.recipe, data, tmp_path / "int8", ("int8",))
    quantize(loaded, loaded.recipe, data, tmp_path / "q", ("fp32",))
    bundle = read_bundle(pack(tmp_path / "q", board_of("host"), tmp_path / "bundle").path)
    assert bundle.manifest.network == "dis2/paper"
    assert [row.scenario for row in bundle.manifest.models] == list(loaded.task.scenarios)


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        (Names(classes=("a", "b")), CheckpointError, "2 classes.*3, which the checkpoint tells apart"),
        (Names(sensors=("a", "b", "c")), RecipeError, "3 sensors"),
        (Names(mean=(0.0,)), RecipeError, "1 values of mean.*4, one a channel"),
        (Names(std=(1.0, 1.0, 0.0, 1.0)), RecipeError, r"std is 0\.0"),
        (Names(measured=True), RecipeError, "no data to measure"),
        (Names(colours=("#000000",)), RecipeError, "one colour a class"),
    ],
)
def test_names_that_do_not_fit_are_refused_and_leave_nothing(names, error, match, ckpt, tmp_path):
    with pytest.raises(error, match=match):
        import_run(ckpt, tmp_path / "run", size=SIZE, names=names)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_before_the_work(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(StorageError, match="exists already and is not empty"):
        import_run(tmp_path / "absent.pth", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note"]


def test_sensors_in_the_wrong_places_are_named(ckpt, data, tmp_path):
    with pytest.raises(CheckpointError, match=r"3 channels in the place of rgb, the data set's 'lidar' has 1"):
        import_run(ckpt, tmp_path / "run", size=SIZE, data=data, names=Names(sensors=("lidar", "camera")))


def test_a_size_that_is_not_the_checkpoints_is_refused(ckpt, tmp_path, capsys):
    assert cli.main(["import", str(ckpt), "--out", str(tmp_path / "run")]) == 2
    assert "HEIGHT, WIDTH" in capsys.readouterr().err


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("form", ["torch", "old torch", "plain pickle"])
def test_code_in_a_checkpoint_is_refused_and_never_run(form, tmp_path, capsys):
    file = tmp_path / "bomb.pth"
    if form == "plain pickle":
        file.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    else:
        torch.save(
            {"model_state_dict": {}, "x": Bomb(tmp_path / "ran")},
            file,
            _use_new_zipfile_serialization=form == "torch",
        )
    assert cli.main(["import", str(file), "--out", str(tmp_path / "run")]) == 2
    assert "damaged or holds more than tensors" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.pth"]
