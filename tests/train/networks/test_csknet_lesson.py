"""One step of CSK-Net's training: which labels, shares and maps each term is given."""

import pytest
import torch

from dis2_train.networks.csknet import lesson
from dis2_train.networks.seam import Output
from tests.train.networks.csk_pairs import TASK, frames, target, taught


class Oracle(torch.nn.Module):
    """A teacher that answers these classes, and maps of noise."""

    def __init__(self, teacher, classes):
        super().__init__()
        self.teacher, self.classes = teacher, classes

    def forward(self, given, scenario, taps=()):
        logits = torch.nn.functional.one_hot(self.classes, len(TASK.classes)).permute(0, 3, 1, 2).float()
        return Output(logits, self.teacher(given, scenario, taps).taps)


def contrast_of(network, labels, progress, monkeypatch):
    """What the contrast of a step is called with: labels (B, h, w) and the share."""
    told = {}

    def listen(first, second, places, bank, temperature, share):
        told.update(first=first, second=second, labels=places.reshape(2, 4, 6), share=share)
        return first.sum() * 0

    monkeypatch.setattr(lesson, "contrast", listen)
    network.losses(frames(), labels, "heat", progress)
    return told


def test_a_place_has_the_label_in_its_middle_and_an_ignored_one_has_none(monkeypatch):
    network, labels = taught(contrast_trusts="labels"), target()
    told = contrast_of(network, labels, 0.5, monkeypatch)
    middle = labels[:, 4::8, 4::8]
    assert torch.equal(told["labels"], torch.where(middle == TASK.ignore, -1, middle))
    assert (told["labels"][:, 0, 0] == -1).all()
    assert told["first"].shape == told["second"].shape == (2 * 4 * 6, 64)


@pytest.mark.parametrize("trusts", ["teacher", "labels"])
def test_contrast_takes_the_labels_that_the_teacher_agrees_with_or_all(monkeypatch, trusts):
    network, labels = taught(contrast_trusts=trusts), target()
    says = torch.zeros_like(labels)
    network.lesson._teacher.network = Oracle(network.lesson._teacher.network, says)
    told = contrast_of(network, labels, 0.5, monkeypatch)["labels"]
    kept = set(told.flatten().tolist())
    assert kept == ({-1, 0} if trusts == "teacher" else {-1, 0, 1, 2})
    assert torch.equal(told == 0, labels[:, 4::8, 4::8] == 0)


def test_without_a_teacher_all_labels_are_taken(monkeypatch):
    told = contrast_of(taught(texture_weight=0.0), target(), 0.5, monkeypatch)["labels"]
    assert set(told.flatten().tolist()) == {-1, 0, 1, 2}


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.25, 0.6), (0.5, 0.2), (0.75, 0.2), (1.0, 0.2)])
def test_mining_grows_harder_up_to_the_middle_of_the_training(monkeypatch, progress, share):
    told = contrast_of(taught(contrast_share=0.2), target(), progress, monkeypatch)
    assert told["share"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("into", "maps"), [("optical", ["early", "penultimate"]), ("both", ["early"] * 2 + ["penultimate"])]
)
def test_texture_is_asked_of_early_maps_and_of_the_optical_decoder(monkeypatch, into, maps):
    network, heard = taught(texture_into=into), []

    def listen(student, teacher, kind):
        heard.append((student, teacher))
        return student.sum() * 0

    monkeypatch.setattr(lesson, "texture_distance", listen)
    network.losses(frames(), target(), "heat", 0.5)
    teacher = network.lesson._teacher.network
    asked = teacher(frames(), "rgb", ("early", "penultimate")).taps
    assert all(student.shape == told.shape for student, told in heard)
    assert all(torch.allclose(told, asked[name], atol=1e-6) for (_, told), name in zip(heard, maps, strict=True))
    assert len(heard) == len(maps)


def test_texture_teaches_the_optical_branch_what_both_share_and_never_the_infrared_decoder():
    network = taught()
    network.losses(frames(), target(), "heat", 0.5)["texture"].backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"stems.rgb.conv.weight", "encoder.inner2_1.convs.rgb.weight"} <= moved
    assert not [name for name in moved if "heat" in name or name.startswith(("heads", "fusion"))]


@pytest.mark.parametrize("drawn", ["rgb", "heat"])
def test_where_one_sensor_is_drawn_the_others_decoder_is_not_asked_alone(drawn):
    network = taught(every_scenario=False)
    terms = network.losses(frames(), target(), drawn, 0.5)
    assert set(terms) & set(TASK.sensor_names) == {drawn}
    terms[drawn].backward()
    assert all(p.grad is None for name, p in network.named_parameters() if name.startswith(f"decoders.{other(drawn)}"))


def other(sensor):
    return next(name for name in TASK.sensor_names if name != sensor)
