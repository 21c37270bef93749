"""dis2_edge.recipe: every key can be set, wrong ones are refused with a mend, and what is written reads back equal."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe, load

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
RECIPES = st.builds(
    Recipe,
    network=st.sampled_from(["dis2", "csknet", "early_fusion", "feature_mean", "single", "deeplabv3"]),
    preset=st.sampled_from(["default", "paper"]),
    width=POSITIVE,
    sensors=st.lists(st.text(st.characters(codec="utf-8")), unique=True).map(tuple),
    grid=st.sampled_from([(0, 0), (512, 640)]),
    seed=st.integers(0, 2**31),
    crop=st.integers(0, 64).map(lambda n: 16 * n),
    augment=st.booleans(),
    optimizer=st.sampled_from(["adamw", "sgd"]),
    learning_rate=POSITIVE,
    scenario_share=st.lists(st.floats(0.1, 9), max_size=3).map(tuple),
    observer=st.sampled_from(["minmax", "percentile", "mse"]),
    channel_exchange=st.sampled_from([(), (3,), (4, 3)]),
    pyramid_rates=st.lists(st.integers(1, 99), min_size=1, max_size=4).map(tuple),
)


@given(RECIPES)
def test_what_is_written_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert load(path) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs = 0", "epochs is 0; expected above 0"),
        ("epochs = 1.5", "epochs is 1.5; expected a value of type int"),
        ("learning_rate = nan", "learning_rate is nan; expected above 0"),
        ("width = inf", "width is inf; expected above 0"),
        ("weight_decay = -1", "weight_decay is -1.0; expected 0 or more"),
        ("average_decay = 1", "average_decay is 1.0; expected 0 or more and below 1"),
        ("distill_weight = -2", "distill_weight is -2.0; expected 0 or more"),
        ("distill_after = 2", "distill_after is 2.0; expected 0..1"),
        ("crop = 100", "crop is 100; expected 0 or a multiple of 16"),
        ("crop = -16", "crop is -16; expected 0 or more"),
        ("grid = [512, 0]", "grid is [512, 0]; expected height and width above 0, or [0, 0]"),
        ("network = 'unet'", "network is 'unet'; expected 'dis2' or 'csknet' or 'early_fusion' or 'feature_mean'"),
        ("channel_exchange = [2]", "channel_exchange is [2]; expected some of [3, 4], each once"),
        ("strip_exchange = [2, 2]", "strip_exchange is [2, 2]; expected some of [2, 3], each once"),
        ("pyramid_rates = []", "pyramid_rates is []; expected one rate or more, each above 0"),
        ("contrast_share = 2", "contrast_share is 2.0; expected above 0 and at most 1"),
        ("contrast_temperature = 0", "contrast_temperature is 0.0; expected above 0"),
        ("texture_weight = -1", "texture_weight is -1.0; expected 0 or more"),
        ("sensors = ['rgb', 'rgb']", "sensors are ['rgb', 'rgb']; expected each name once"),
        ("scenario_share = [0, 0]", "expected shares of 0 or more, not all 0"),
        ("scenario_share = [nan]", "expected shares of 0 or more, not all 0"),
        ("seed = -1", "seed is -1; expected 0 or more"),
        ("[train]", "unknown key 'train'"),
        ("epochs = ", "not readable TOML"),
    ],
)
def test_faults_are_refused_with_a_mend(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "r.toml")
    assert message in str(caught.value)


def test_each_preset_has_its_own_weight_of_distillation(tmp_path: Path) -> None:
    assert (Recipe().distill_weight, Recipe(preset="paper").distill_weight) == (0.0, 1.0)
    assert Recipe(preset="paper", distill_weight=0.0).distill_weight == 0.0
    (tmp_path / "r.toml").write_text("distill_weight = 0.5")
    assert load(tmp_path / "r.toml", ["preset=paper"]).distill_weight == 0.5
    (tmp_path / "r.toml").write_text("")
    assert load(tmp_path / "r.toml", ["preset=paper"]).distill_weight == 1.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set 'epochs'; expected key=value"),
        ("epcohs=3", "--set: unknown key 'epcohs'; did you mean 'epochs'?"),
        ("epochs=many", "epochs is 'many'; expected a value of type int"),
        ("augment=1", "augment is 1; expected a value of type bool"),
    ],
)
def test_faults_of_set_are_refused_too(tmp_path: Path, override: str, message: str) -> None:
    (tmp_path / "r.toml").write_text("")
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "r.toml", [override])
    assert message in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.toml does not exist"):
        load(tmp_path / "gone.toml")


def test_set_wins_over_the_file_and_the_last_set_over_the_first(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("epochs = 5\nbatch = 2")
    recipe = load(tmp_path / "r.toml", ["epochs=7", "epochs = 9", "network=early_fusion", 'sensors=["a", "b"]'])
    assert (recipe.epochs, recipe.batch, recipe.network, recipe.sensors) == (9, 2, "early_fusion", ("a", "b"))


@pytest.mark.parametrize("field", dataclasses.fields(Recipe), ids=lambda field: field.name)
def test_every_key_can_be_set(tmp_path: Path, field: "dataclasses.Field[Any]") -> None:
    (tmp_path / "r.toml").write_text("")
    default = Recipe().to_toml().splitlines()
    line = next(line for line in default if line.startswith(f"{field.name} = "))
    assert load(tmp_path / "r.toml", [line]) == Recipe()


def test_every_key_is_told_in_one_line() -> None:
    lines = inspect.getsource(Recipe).splitlines()
    for field in dataclasses.fields(Recipe):
        place = next(n for n, line in enumerate(lines) if line.startswith(f"    {field.name}: "))
        assert lines[place + 1].startswith('    """'), f"{field.name} has no docstring"
