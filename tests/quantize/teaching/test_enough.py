"""Calibration sees what shows something, as many images as the recipe asks for, and says when there are too few."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import DataError
from dis2_quantize.rounding.fake import ActivationQuant
from dis2_quantize.teaching import student as students
from dis2_quantize.teaching.enough import ENOUGH, LEAST, check_enough, is_blank, shows
from dis2_quantize.teaching.student import calibrate, make_student
from dis2_train.data.batches import Batch, Split


def check(seen, wanted, blank=0):
    check_enough({"rgb": seen}, {"rgb": blank}, 40, wanted, "train")


@given(st.integers(0, 40), st.integers(1, 40))
def test_the_count_wanted_is_what_the_recipe_asks_for_up_to_enough_and_never_below_two(seen, wanted):
    least = max(LEAST, min(wanted, ENOUGH))
    if seen >= least:
        check(seen, wanted)
        return
    with pytest.raises(DataError, match=rf"^{seen} images to calibrate rgb on.*; expected {least} or more") as told:
        check(seen, wanted)
    assert (f"--set calibration_images={seen}" in str(told.value)) == (seen >= LEAST and wanted >= LEAST)


def test_fewer_than_asked_for_are_noted_and_taken(capsys):
    check(9, 32)
    assert "calibrated on fewer images than the 32 asked for: rgb 9" in capsys.readouterr().err
    check(32, 32)
    assert capsys.readouterr().err == ""


def test_a_frame_of_one_value_a_channel_shows_nothing():
    lens_cap = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    seen = lens_cap.clone()
    seen[0, 2, 1, 1] += 1
    assert (is_blank(lens_cap), is_blank(seen)) == (True, False)
    frames = {"rgb": seen, "ndsm": lens_cap}
    assert [shows(frames, scenario) for scenario in ("rgb", "ndsm", "rgb+ndsm")] == [True, False, False]


def test_blank_frames_are_passed_over_and_make_no_range(trained, aerial, monkeypatch):
    run = trained("early_fusion")
    split = Split(aerial, "train", run.task, torch.device("cpu"))
    images = list(students.whole_images(split, 1))
    cap = Batch({name: torch.full_like(x, 1e3) for name, x in images[0].frames.items()}, images[0].target)
    ranges = []
    for shown in (images[:4], [images[0], cap, cap, *images[1:4]]):
        monkeypatch.setattr(students, "whole_images", lambda split, batch, shown=shown: iter(shown))
        student = make_student(run.network, "rgb", run.recipe)
        calibrate([student], split, 4)
        ranges.append([m.scale for m in student.network.modules() if isinstance(m, ActivationQuant)])
    assert ranges[0] == ranges[1]
