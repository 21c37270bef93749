"""`dis2-edge train` from the command line: a table at the end, exit 2 and one message for what a user can mend."""

import pytest

from dis2_edge import cli
from dis2_train import checkpoint

RECIPE = """
network = "early_fusion"
width = 0.125
grid = [32, 32]
crop = 16
batch = 4
epochs = 2
threads = 1
"""


@pytest.fixture
def train(tmp_path, tiny_folder):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe, run = str(tmp_path / "recipe.toml"), str(tmp_path / "run")
    fixed = ["train", recipe, "--data", str(tiny_folder), "--out", run, "--device", "cpu"]
    return lambda *more: cli.main([*fixed, *more])


def test_a_run_is_made_scored_and_printed(train, tmp_path, capsys):
    assert train("--set", "epochs=1", "--set", "sensors=['sar', 'opt']") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, split test, 4 images, per cent"
    assert lines[1].split("  ")[0] == "scenario"
    assert [line.split()[0] for line in lines[3:6]] == ["sar+opt", "sar", "opt"]
    assert lines[-1] == f"run: {tmp_path / 'run'}"
    run = checkpoint.load(tmp_path / "run")
    assert run.recipe.epochs == 1
    assert run.task.grid == (32, 32)
    assert [row.name for row in run.statistics] == ["sar", "opt"]


def test_a_finished_run_is_not_touched_without_resume_and_told_with_it(train, capsys):
    assert train() == 0
    first = capsys.readouterr().out
    assert train() == 2
    assert "go on with it by --resume, or choose another --out" in capsys.readouterr().err
    assert train("--resume") == 0
    assert capsys.readouterr().out == first
    assert train("--resume", "--set", "epochs=3") == 2
    assert "begun with epochs = 2, the recipe now says 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", "did you mean 'epochs'?"),
        ("crop=64", "at most the grid, 32 x 32 pixels"),
        ("sensors=['opt', 'sarr']", "did you mean 'sar'?"),
        ("scenario_share=[1.0, 0.0, 0.0, 0.0]", "scenario_share has 4 values"),
    ],
)
def test_a_wrong_setting_leaves_nothing_behind(train, tmp_path, capsys, setting, message):
    assert train("--set", setting) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.toml", "tiny"}


def test_a_description_may_lie_elsewhere(train, tmp_path, tiny_folder):
    (tiny_folder / "dataset.toml").rename(tmp_path / "mine.toml")
    assert train() == 2
    assert train("--describe", str(tmp_path / "mine.toml"), "--set", "epochs=1") == 0


def test_the_example_of_the_help_is_a_valid_command():
    parser, module = cli.parser_of("train")
    words = module.EXAMPLE.split()
    assert words[:2] == ["dis2-edge", "train"]
    assert parser.parse_args(words[2:]).overrides == ["epochs=20"]
