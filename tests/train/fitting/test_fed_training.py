"""A whole training that is fed by workers, meets a damaged tile, and shows its pictures."""

import csv
import dataclasses
import json
import shutil

import pytest
import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.statistics import measure, with_statistics
from dis2_train.data import batches
from dis2_train.fitting.fit import check_out, fit
from dis2_train.fitting.logs import Log


@pytest.fixture
def worn_data(tiny_folder):
    """110 images to train on, one of them cut short after the statistics were taken."""
    for kind in ("opt", "sar", "gt"):
        for file in sorted((tiny_folder / "train" / kind).iterdir()):
            for copy in range(1, 11):
                shutil.copy(file, file.with_name(f"{file.stem}-{copy:02}.png"))
    data = open_dataset(tiny_folder)
    task = with_statistics(data.task, measure(data, "train"))
    file = tiny_folder / "train" / "sar" / "03-07.png"
    file.write_bytes(file.read_bytes()[:60])
    return tiny_folder, task


def _trained(folder, task, tiny_network, recipe, out):
    network = tiny_network()
    network.task = task
    return fit(network, open_dataset(folder), recipe, out, device="cpu")


def test_workers_and_a_damaged_tile_change_no_bit_and_are_told(
    worn_data, tiny_network, tiny_recipe, tmp_path, monkeypatch, capsys
):
    runs = {}
    for name, workers, held in (("alone", 0, 1 << 30), ("helped", 3, 0)):
        monkeypatch.setattr(batches.Split.__init__, "__defaults__", (held, 0))
        recipe = tiny_recipe(batch=55, workers=workers, epochs=2, evaluate_every=1, scale=0.2)
        runs[name] = _trained(*worn_data, tiny_network, recipe, tmp_path / name)
        assert capsys.readouterr().err.count("03-07 of train is skipped") == 1
    alone, helped = (run.network.state_dict() for run in runs.values())
    assert all(torch.equal(value, helped[name]) for name, value in alone.items())
    for run in runs.values():
        assert json.loads((run.path / "metrics.json").read_text())["damaged"] == {"train": ["03-07"]}
        rows = list(csv.DictReader((run.path / "log.csv").read_text().splitlines()))
        assert [row["damaged"] for row in rows] == ["1", "1"]
        assert all(0 < float(row["data_wait"]) < 1 for row in rows)


def test_a_run_of_whole_data_says_nothing_of_damage(tiny_data, tiny_network, tiny_recipe, tmp_path, capsys):
    run = fit(tiny_network(), tiny_data, tiny_recipe(epochs=1), tmp_path / "run", device="cpu")
    assert "damaged" not in run.metrics
    assert "damaged" not in capsys.readouterr().err


def test_each_look_puts_a_sheet_on_the_board(tiny_data, tiny_network, tiny_recipe, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "run", device="cpu")
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert [shown.step for shown in board.Images("validation")] == [2, 4]


def test_without_a_board_no_sheet_is_drawn(tiny_data, tiny_network, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("dis2_train.fitting.logs._board", lambda folder, epochs: None)
    monkeypatch.setattr("dis2_train.fitting.loop.Preview", None)
    shown = []
    monkeypatch.setattr(Log, "show", lambda *given: shown.append(given))
    fit(tiny_network(), tiny_data, tiny_recipe(epochs=2), tmp_path / "run", device="cpu")
    assert not shown


def test_pictures_change_no_weight(tiny_data, tiny_network, tiny_recipe, tmp_path, monkeypatch):
    shown = fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "shown", device="cpu").network.state_dict()
    monkeypatch.setattr(Log, "shows_pictures", False)
    blind = fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "blind", device="cpu").network.state_dict()
    assert all(torch.equal(value, blind[name]) for name, value in shown.items())


def test_a_run_goes_on_with_more_workers(tiny_data, tiny_network, tiny_recipe, tmp_path):
    recipe = tiny_recipe(epochs=1)
    fit(tiny_network(), tiny_data, recipe, tmp_path / "run", device="cpu")
    check_out(tmp_path / "run", dataclasses.replace(recipe, workers=4), resume=True)
