"""`dis2-edge demo`: the whole way for two networks, tiny; what it refuses, and what it never removes."""

import dataclasses
import json
import shlex
from importlib.resources import files
from pathlib import Path

import pytest

from dis2_edge import cli
from dis2_edge.demo import NEEDED, Size, demo, steps
from dis2_edge.errors import MissingExtraError, StorageError
from dis2_edge.recipe import load
from dis2_edge.story import DAY, NIGHT, Story
from dis2_runtime.faults import load as load_faults
from dis2_train.synth.thermal import evening

TINY = Size(
    scenes=10,
    pixels=64,
    changes=("epochs=1", "quantize_epochs=1", "calibration_images=2", "threads=1"),
    flight_s=10.0,
    speed="max",
    calls=5,
)


def test_a_folder_in_use_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="--replace"):
        demo(tmp_path, size=TINY)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_package_of_a_later_step_is_asked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDED, "package_that_is_not_there", "report")
    with pytest.raises(MissingExtraError, match=r"dis2-edge\[report\]"):
        demo(tmp_path / "demo", size=TINY)
    assert not (tmp_path / "demo").exists()


def test_a_step_that_fails_ends_the_demo_with_its_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "data").mkdir()
    assert demo(tmp_path, replace=True, size=Size(scenes=1)) == 2
    out, err = capfd.readouterr()
    assert "error: count 1" in err
    assert "the demo stops here" in out
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "data").exists()


def test_a_verdict_that_fails_does_not_end_the_demo_but_another_fault_of_quantize_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {"quantize": 1, "deploy": 2}
    monkeypatch.setattr("subprocess.call", lambda words: codes.get(words[3], 0))
    assert demo(tmp_path / "a", size=TINY) == 2
    out = capsys.readouterr().out
    assert "the demo goes on" in out
    assert "$ dis2-edge deploy" in out.split("the demo goes on")[1]
    codes["quantize"] = 2
    assert demo(tmp_path / "b", size=TINY) == 2
    assert "deploy" not in capsys.readouterr().out


@pytest.mark.parametrize("story", [DAY, NIGHT], ids=lambda story: story.kind)
def test_every_step_is_a_command_line_that_parses(tmp_path: Path, story: Story) -> None:
    for step in steps(tmp_path, Size(changes=("epochs=1",)), story):
        program, verb, *words = shlex.split(step.line)
        assert program == "dis2-edge"
        cli.parser_of(verb)[0].parse_args(words)


@pytest.mark.parametrize("story", [DAY, NIGHT], ids=lambda story: story.kind)
def test_both_networks_take_the_same_steps_and_the_same_flight(tmp_path: Path, story: Story) -> None:
    lines = [step.line for step in steps(tmp_path, Size(), story)]
    names = tuple(story.networks)
    first, second = ([line for line in lines if f"-{name}" in line and "profile" not in line] for name in names)
    assert len(first) == len(second) == 5
    renamed = [line.replace(names[1], names[0]) for line in second]
    assert renamed == first


@pytest.mark.parametrize("story", [DAY, NIGHT], ids=lambda story: story.kind)
def test_recipes_are_there_and_of_one_budget(story: Story) -> None:
    first, second = (load(Path(str(files("dis2_edge") / "recipes" / file))) for file in story.networks.values())
    assert [first.network, second.network] == list(story.networks)
    assert dataclasses.replace(second, network=first.network) == first


def test_the_camera_is_lost_where_the_strip_lies_in_the_night(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text(NIGHT.faults(20.0))
    (fault,) = load_faults(tmp_path / "faults.toml").fault
    assert (fault.sensor, fault.start_s, fault.length_s) == ("rgb", 15.0, 5.0)
    assert NIGHT.options(96, 12.0) == "?speed_px_s=56"
    seen = 15.0 * 7 * 96 / 20.0  # the window's first column, in a strip of 8 x 96
    assert evening(8 * 96)["night"][0, int(seen) :].mean() > 0.95


def test_the_demo_by_day_is_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text(DAY.faults(12.0))
    (fault,) = load_faults(tmp_path / "faults.toml").fault
    assert (fault.sensor, fault.kind, fault.start_s, fault.length_s) == ("rgb", "off", 4.0, 4.0)
    assert DAY.options(96, 12.0) == ""


@pytest.mark.slow
def test_the_whole_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path / "demo", size=TINY) == 0
    out = capfd.readouterr().out
    report = json.loads((tmp_path / "demo" / "report" / "report.json").read_text("utf-8"))
    assert [bundle["network"].split("/")[0] for bundle in report["bundles"]] == list(DAY.networks)
    assert (tmp_path / "demo" / "report" / "report.html").stat().st_size > 50_000
    for name in DAY.networks:
        rows = (tmp_path / "demo" / f"flight-{name}" / "telemetry.jsonl").read_text("utf-8").splitlines()
        flown = [(json.loads(row)["time_ms"] / 1000, json.loads(row)["scenario"]) for row in rows]
        assert {scenario for time_s, scenario in flown if 4.5 < time_s < 8} == {"ndsm"}
        assert flown[-1][1] == "rgb+ndsm"
        for scenario in ("rgb+ndsm", "rgb", "ndsm"):
            assert any(line.split()[:2] == [f"{name}/default", scenario] for line in out.splitlines())
    assert "report.html" in out.splitlines()[-1]
