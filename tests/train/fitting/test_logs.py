"""Logs keep figures in log.csv, pictures on the TensorBoard, or do without it; a preview shows what it says."""

import sys

import numpy as np
import pytest
import torch

from dis2_train.data.batches import Split
from dis2_train.fitting.logs import Log
from dis2_train.fitting.preview import Preview

CPU = torch.device("cpu")


@pytest.fixture
def preview(tiny_data, tiny_task):
    return Preview(Split(tiny_data, "val", tiny_task, CPU), count=3)


def test_pictures_and_figures_come_back_from_the_board(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    with Log(tmp_path) as log:
        assert log.shows_pictures
        log.write(1, {"loss/ce": 0.5})
        log.show(1, "validation", picture)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert board.Scalars("loss/ce")[0].value == 0.5
    (shown,) = board.Images("validation")
    assert (shown.step, shown.height, shown.width) == (1, 20, 30)
    import io

    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.encoded_image_string))), picture)


def test_without_tensorboard_figures_are_kept_and_pictures_are_not_wanted(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with Log(tmp_path) as log:
        assert not log.shows_pictures
        log.show(1, "validation", np.zeros((4, 4, 3), np.uint8))
        log.write(1, {"data_wait": 0.25})
    assert "tensorboard is not installed" in capsys.readouterr().err
    assert (tmp_path / "log.csv").read_text() == "epoch,data_wait\n1,0.25\n"


def test_a_later_epoch_may_bring_new_columns(tmp_path):
    with Log(tmp_path) as log:
        log.write(1, {"loss/ce": 1})
        log.write(2, {"loss/ce": 0.5, "val_miou/opt": 0.75})
    assert (tmp_path / "log.csv").read_text() == "epoch,loss/ce,val_miou/opt\n1,1,\n2,0.5,0.75\n"


def test_the_sheet_has_a_row_an_image_and_a_column_a_sensor_truth_and_scenario(preview, tiny_network):
    sheet = preview.sheet(tiny_network())
    height, width = sheet.shape[:2]
    assert sheet.dtype == np.uint8
    assert round(width / 166) == 2 + 1 + 3
    assert (height - 36) // (120 + 18) == 3


def test_each_mask_stands_in_its_own_column_and_no_sensor_is_covered(preview, tiny_network, tiny_task):
    """A network that says class 1 with sar alone, else 0; a scenario of one sensor bears that sensor's name."""
    network = tiny_network()

    def answer(frames, scenario, taps=()):
        from dis2_train.networks.seam import Output

        logits = torch.zeros(len(next(iter(frames.values()))), 2, *tiny_task.grid)
        logits[:, int(scenario == "sar")] = 1.0
        return Output(logits)

    network.forward = answer
    middles = [preview.sheet(network)[40:120, 6 + 166 * place : 160 + 166 * place].reshape(-1, 3) for place in range(6)]
    colours = [set(map(tuple, middle.tolist())) for middle in middles]
    assert len(colours[0]) > 10
    assert len(colours[1]) > 10
    assert colours[2] == {(0, 0, 0), (255, 255, 255)}
    assert colours[3:] == [{(0, 0, 0)}, {(0, 0, 0)}, {(255, 255, 255)}]


def test_looks_at_one_network_are_equal_and_leave_it_as_it_was(preview, tiny_network):
    network = tiny_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert np.array_equal(preview.sheet(network), preview.sheet(network))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_fewer_images_than_wanted_are_shown_once_each(tiny_data, tiny_task, tiny_network):
    sheet = Preview(Split(tiny_data, "val", tiny_task, CPU), count=9).sheet(tiny_network())
    assert (sheet.shape[0] - 36) // (120 + 18) == 4
