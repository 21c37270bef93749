"""Damage of blocks: divergence by hand, mixtures from one calibration, and which images are held out."""

import numpy as np
import pytest
import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError
from dis2_quantize.choosing import sensitivity
from dis2_quantize.choosing.mixing import Mixer
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.teaching.student import calibrate, make_student
from dis2_train.data.batches import Split

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def mixer(trained, aerial):
    run = trained("dis2")
    return Mixer(run.network, "ndsm", run.recipe, Split(aerial, "train", run.task, CPU))


@pytest.fixture(scope="module")
def held(trained, aerial):
    run = trained("dis2")
    split = Split(aerial, "val", run.task, CPU)
    return sensitivity.hold_out(run.network, "ndsm", split, range(len(split)))


def test_divergence_is_the_mean_over_pixels_in_nats():
    teacher, student = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    student[0, 0, 0, 0] = np.log(3)  # 3/4 against 1/2 at one of two pixels
    expected = 0.5 * (0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert sensitivity.divergence(teacher, student) == pytest.approx(expected)
    assert sensitivity.divergence(student, student) == 0.0


def test_a_mixture_of_no_integers_is_fp32(mixer, held):
    found = sensitivity.damage(mixer.mixed(mixer.blocks), held)
    assert max(found.nats) < 1e-9
    assert found.drop == pytest.approx(0.0, abs=0.05)
    assert not mixer.flies(mixer.blocks)
    assert not mixer.flies(mixer.all_but("inner.branch.fusion.attention"))
    assert mixer.flies(mixer.all_but("inner.branch.fusion.fuse1"))


def test_without_kept_blocks_a_mixture_is_the_calibrated_student(mixer, held, trained, aerial):
    run = trained("dis2")
    student = make_student(run.network, "ndsm", run.recipe)
    calibrate([student], Split(aerial, "train", run.task, CPU), run.recipe.calibration_images)
    for frames in held.frames:
        assert torch.equal(mixer.mixed(())(frames).logits, student(frames).logits)


def test_borrowed_ranges_are_nearly_those_of_a_calibration_of_its_own(mixer, held):
    kept = ("inner.branch.decoder.stage1",)
    borrowed, own = (sensitivity.damage(student, held).mean for student in (mixer.mixed(kept), mixer.calibrated(kept)))
    assert borrowed == pytest.approx(own, rel=0.1)


def test_a_block_alone_is_the_only_one_with_integers_and_rounds_no_other(mixer):
    student = mixer.mixed(mixer.all_but("inner.branch.decoder.refine"))
    units = [name for name, unit in student.network.named_modules() if isinstance(unit, QuantConvUnit)]
    assert units == ["inner.branch.decoder.refine"]
    names = {quantizer.name for quantizer in placement.quantizers(student.network)}
    assert names == {"inner.branch.decoder.refine", "inner.branch.decoder.mix"}


def test_every_block_costs_something_and_blocks_together_more_than_each(mixer, held):
    found = sensitivity.measure(mixer, held)
    whole = sensitivity.damage(mixer.mixed(()), held)
    assert [one.block for one in found] == list(mixer.blocks)
    assert all(len(one.alone.nats) == len(held.frames) for one in found)
    assert all(0 < one.alone.mean < whole.mean for one in found)
    # errors of blocks are nearly independent, so their divergences add up: the reason why `alone` drives the choice
    assert sum(one.alone.mean for one in found) == pytest.approx(whole.mean, rel=0.6)


def test_held_out_images_are_of_val_and_at_most_so_many(aerial):
    name, places = sensitivity.held_out_ids(aerial, 4)
    assert name == "val"
    assert places == tuple(range(len(aerial.ids("val"))))


def test_without_val_they_are_training_images_that_set_no_range(aerial, tmp_path):
    text = (aerial.root / "dataset.toml").read_text()
    (tmp_path / "d.toml").write_text(text.replace('by = "folder"', 'by = "folder"\nnames = ["train", "test"]'))
    data = open_dataset(aerial.root, tmp_path / "d.toml")
    count = len(data.ids("train"))
    assert sensitivity.held_out_ids(data, 4) == ("train", tuple(range(4, count)))
    with pytest.raises(DataError, match="no val split"):
        sensitivity.held_out_ids(data, count)


def test_a_block_whose_range_is_far_too_wide_stands_out(mixer, held):
    (inner,) = (rounding for name, rounding in mixer._ranges.items() if name.endswith("decoder_mix"))
    before, usual = inner.amax.clone(), {one.block: one for one in sensitivity.measure(mixer, held)}
    try:
        inner.amax *= 40
        found = sensitivity.measure(mixer, held)
    finally:
        inner.amax.copy_(before)
    grown = {one.block: one.alone.mean / usual[one.block].alone.mean for one in found}
    # The block that makes the tensor, and the one that reads it: each rounds it, and no other does.
    wide = ("inner.branch.decoder.mix", "inner.branch.decoder.refine")
    assert all(grown.pop(block) > 20 for block in wide)
    assert all(growth == pytest.approx(1.0) for growth in grown.values())
