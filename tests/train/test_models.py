"""Every model in models/ loads, its card names its figures, and all of them together stay light."""

from pathlib import Path

import pytest
import torch

from dis2_train import checkpoint
from dis2_train.evaluate import table_rows
from dis2_train.publish import LIMIT_BYTES
from dis2_train.segmenters import open_segmenter

ROOT = Path(__file__).parents[2]
MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/README.md"))


def test_there_is_a_model_to_start_from():
    assert MODELS


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_it_loads_and_answers_in_every_scenario(model):
    loaded = checkpoint.load(model)
    assert loaded.stored == "float16"
    for scenario in loaded.task.scenarios:
        frames = {sensor.name: torch.zeros(1, sensor.channels, 64, 64) for sensor in loaded.task.used(scenario)}
        with torch.no_grad():
            logits = loaded.network(frames, scenario).logits
        assert logits.shape == (1, len(loaded.task.classes), 64, 64)
        assert logits.isfinite().all()
    assert open_segmenter(model).scenarios == loaded.task.scenarios


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_its_card_names_its_figures_and_its_seed(model):
    loaded = checkpoint.load(model)
    lines = (model / "README.md").read_text().splitlines()
    columns, rows = table_rows(loaded.metrics, loaded.task)
    assert [f"| {' | '.join(row)} |" for row in (columns, *rows) if f"| {' | '.join(row)} |" not in lines] == []
    assert len(rows) == len(loaded.task.scenarios)
    text = " ".join(lines)
    assert f"n = {loaded.metrics['images']} images, seed {loaded.recipe.seed}" in text
    assert "dis2-edge data synth" in text
    assert "Licence of the weights" in text


def test_all_models_together_stay_light():
    total = sum(file.stat().st_size for model in MODELS for file in model.rglob("*") if file.is_file())
    assert total <= LIMIT_BYTES
