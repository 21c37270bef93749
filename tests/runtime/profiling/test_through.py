"""Labelled pictures through faults: counts over ticks against the truth of the moment, by phase."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from proven_bundle import TASK, make_data, make_proven

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.labelled import Images
from dis2_edge.report.through import Through
from dis2_edge.report.write import read
from dis2_runtime.faults import KINDS
from dis2_runtime.profiling.through import Show, ShownSource, as_shown, fly_through


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_proven(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def images(bundle: Bundle, data: Path) -> Images:
    return Images(bundle, open_dataset(data), "test")


@pytest.fixture(scope="module")
def flown(bundle: Bundle, images: Images) -> dict[tuple[str, str], Through]:
    flights, stages = fly_through(bundle, images, "int8", 1)
    assert stages["total"].n > 100
    assert stages["total"].p50.low_ms <= stages["total"].p50.ms <= stages["total"].p50.high_ms
    assert "sink" not in stages
    return {(flight.sensor, flight.kind): flight for flight in flights}


def test_every_kind_of_every_sensor_is_flown(flown) -> None:
    wanted = {(sensor.name, kind) for sensor in TASK.sensors for kind in KINDS}
    assert set(flown) == wanted - {("rgb", "nan")}


def test_each_phase_sees_every_picture_as_often(flown) -> None:
    for flight in flown.values():
        pixels = [np.array(phase.confusion).sum() for phase in (flight.before, flight.during, flight.after)]
        assert flight.before.ticks == pytest.approx(flight.during.ticks, abs=1) == flight.after.ticks
        assert pixels == [phase.ticks * 21 * 32 for phase in (flight.before, flight.during, flight.after)]


def test_before_is_right_during_is_worse_after_is_right_again(flown) -> None:
    for (sensor, kind), flight in flown.items():
        assert flight.before.miou > 0.97, (sensor, kind)
        assert flight.after.miou > 0.75, (sensor, kind)  # coming back is part of it
        if (sensor, kind) != ("ndsm", "stuck"):  # the same heights again are believed
            assert flight.during.miou < flight.before.miou - 0.05, (sensor, kind)


def test_what_flew_is_told_in_spans(flown) -> None:
    spans = flown["rgb", "off"].spans
    assert [span.scenario for span in spans] == ["rgb+ndsm", "ndsm", "rgb+ndsm"]
    assert flown["rgb", "off"].start_s < spans[1].start_s < flown["rgb", "off"].start_s + 0.4


def test_a_blind_mask_is_wrong_everywhere(tmp_path: Path, images: Images) -> None:
    alone = make_proven(tmp_path / "bundle")
    manifest = alone.manifest
    only = [row for row in manifest.models if row.scenario == "rgb"]
    object.__setattr__(manifest, "models", tuple(only))
    object.__setattr__(manifest, "policy", Policy(rate_hz=10, hold_ms=200))
    (flight, _), _ = fly_through(alone, images, "int8", 1, kinds=["off"])
    counts = np.array(flight.during.confusion)
    assert flight.during.blind > 0.7 * flight.during.ticks
    assert flight.during.held == 2
    assert counts[:, -1].sum() == flight.during.blind * 21 * 32


def test_no_two_frames_are_alike_yet_nearly_so(images: Images) -> None:
    task = as_shown(TASK)
    show = Show(task, [images.read(name) for name in images.names])
    for sensor in task.sensors:
        source = ShownSource(sensor, show)
        one, other = source.next().frame.pixels, source.next().frame.pixels
        assert one.dtype == sensor.numpy_dtype
        assert not np.array_equal(one, other)
        assert np.abs(one.astype(float) - other).max() <= 1


def test_the_verb_shows_it(bundle: Bundle, data: Path, tmp_path: Path, capsys) -> None:
    words = ["profile", str(bundle.path), "--data", str(data), "--out", str(tmp_path / "out"), "--faults"]
    assert main([*words, "--precision", "int8", "--calls", "20", "--threads", "1", "--images", "2"]) == 0
    shown = capsys.readouterr().out
    assert "through faults" in shown
    assert "Where the time goes" in shown
    report = read(tmp_path / "out")
    assert len(report.bundles[0].through) == 2 * len(KINDS) - 1
    page = (tmp_path / "out/report.html").read_text()
    assert "Through each fault" in page
    table = json.loads((tmp_path / "out/report.json").read_text())
    assert 0 < table["bundles"][0]["through"][0]["during"]["miou"] < 1


def test_a_report_of_the_first_format_is_still_read(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    words = ["profile", str(bundle.path), "--data", str(data), "--out", str(tmp_path / "out"), "--images", "1"]
    assert main([*words, "--precision", "int8", "--calls", "20", "--threads", "1"]) == 0
    file = tmp_path / "out/report.json"
    table = json.loads(file.read_text())
    table["format"] = 1
    for row in table["bundles"]:
        del row["through"], row["stages"]
    file.write_text(json.dumps(table))
    assert read(tmp_path / "out").bundles[0].through == ()
