"""A row that another one teaches: bad teachers are refused, a pupil waits for its teacher or is told what lacks."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmarks.reproduce import processes, records
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.driver import Options, Sitting
from benchmarks.reproduce.estimate import probe
from benchmarks.reproduce.making import command, is_trained, words
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import Plan, Run, load
from dis2_edge.errors import RecipeError

PLAN = """
seeds = [0, 1]
[data.tiny]
title = "Tiny"
sensors = ["rgb", "ndsm"]
infrared = "ndsm"
split = "val"
final = "test"
synth = { kind = "aerial", count = 6, size = 32, seed = 3 }
[data.other]
title = "Other"
sensors = ["rgb", "ndsm"]
split = "val"
synth = { kind = "aerial", count = 6, size = 32, seed = 4 }
[[row]]
data = "tiny"
name = "deeplab"
group = "alone"
role = "single"
family = "csknet"
recipe = "RECIPE"
set = ["network=deeplabv3", 'sensors=["rgb"]']
[[row]]
data = "tiny"
name = "csknet"
group = "CSK-Net"
role = "ours"
family = "csknet"
recipe = "RECIPE"
teacher = "deeplab"
stage = 2
[[row]]
data = "other"
name = "elsewhere"
group = "alone"
recipe = "RECIPE"
"""
RECIPE = 'network = "csknet"\nsensors = ["rgb", "ndsm"]\nwidth = 0.125\nepochs = 1\nbatch = 2\nevaluate_every = 1\n'


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "plan.toml").write_text(PLAN.replace("RECIPE", str(tmp_path / "recipe.toml")))
    return load(tmp_path / "plan.toml")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data", tmp_path / "out", tmp_path / "docs" / "records", tmp_path / "docs" / "page.md")


class Working:
    """A process that ends when `ends` is called."""

    def __init__(self, code: int | None = None) -> None:
        self.code, self.asked = code, 0

    def poll(self) -> int | None:
        self.asked += 1
        return self.code

    def terminate(self) -> None:
        return None

    def wait(self) -> int:
        return self.code or 0


def finish(places: Places, run: Run, **changes: object) -> None:
    """As a training leaves it: the recipe first, weights last."""
    places.run(run).mkdir(parents=True, exist_ok=True)
    recipe = dataclasses.replace(run.row.resolved(run.seed), **changes)  # type: ignore[arg-type]
    (places.run(run) / "recipe.toml").write_text(recipe.to_toml())
    (places.run(run) / "weights.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('teacher = "deeplab"', 'teacher = "deplab"', "which is no row.*did you mean 'deeplab'"),
        ('teacher = "deeplab"', 'teacher = "elsewhere"', "a row of other alone; expected a row of tiny"),
        ("stage = 2", "stage = 1", "of stage 1; expected a stage before its own, 1"),
        ('teacher = "deeplab"', 'teacher = "csknet"', "of stage 2; expected a stage before its own, 2"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.replace(old, new))
    with pytest.raises(RecipeError, match=f"tiny/csknet is taught by .*{told}"):
        load(tmp_path / "plan.toml")


def test_the_command_names_the_teacher_of_the_same_seed(planned: Plan) -> None:
    line = words(planned, planned.find("tiny/csknet-s1"), threads=1)
    assert line[line.index("--teacher") + 1] == "out/reproduce/tiny/deeplab-s1"
    assert "--teacher out/reproduce/tiny/deeplab-s1" in command(planned, planned.find("tiny/csknet-s1"), 1)
    assert "--teacher" not in words(planned, planned.find("tiny/deeplab-s1"), threads=1)


@pytest.mark.parametrize(("changes", "counts"), [({}, True), ({"epochs": 2}, False), ({"seed": 1}, False)])
def test_only_weights_of_todays_recipe_and_seed_teach(
    planned: Plan, places: Places, changes: dict[str, object], counts: bool
) -> None:
    run = planned.find("tiny/deeplab-s0")
    assert not is_trained(places, run)
    finish(places, run, **changes)
    assert is_trained(places, run) is counts
    (places.run(run) / "recipe.toml").write_text("colour = 1\n")
    assert not is_trained(places, run)


def test_a_pupil_whose_teacher_nobody_makes_is_told_and_not_started(
    planned: Plan, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    sitting = Sitting(planned, places, Options())
    pupils = planned.runs("csknet")
    outcome = sitting.drive(pupils, lambda run, slot: pytest.fail(f"{run.name} was started"))
    assert outcome.untaught == [run.name for run in pupils]
    assert not outcome.failed
    told = " ".join(capsys.readouterr().err.split())
    assert "tiny/csknet-s0 is not started: its teacher tiny/deeplab-s0 has no finished weights" in told
    assert "--only tiny/deeplab-s0" in told


def test_a_pupil_does_not_overtake_its_teacher_and_falls_with_it(planned: Plan, places: Places) -> None:
    """Two at once: s1 of the teacher still works when the slot beside it is free; and s0 of it has failed."""
    started: list[str] = []
    slow = Working()

    def launch(run: Run, slot: int) -> Working:
        started.append(run.name)
        if run.name == "tiny/deeplab-s0":
            return Working(1)
        if run.name == "tiny/deeplab-s1":
            return slow
        assert slow.code == 0
        assert run.name == "tiny/csknet-s1"
        return Working(1)

    def poll() -> int | None:
        slow.asked += 1
        if slow.asked == 3:
            slow.code = 0
            finish(places, planned.find("tiny/deeplab-s1"))
        return slow.code

    slow.poll = poll  # type: ignore[method-assign]
    outcome = Sitting(planned, places, Options(jobs=2)).drive(planned.runs("tiny"), launch)
    assert started == ["tiny/deeplab-s0", "tiny/deeplab-s1", "tiny/csknet-s1"]
    assert outcome.untaught == ["tiny/csknet-s0"]


def test_a_teacher_is_made_by_hand_probed_listed_and_made_again_where_its_weights_are_gone(
    planned: Plan, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"plan": tmp_path / "plan.toml", "out": places.runs, "records": places.records, "page": places.page}
    line = [*(word for name, path in folders.items() for word in (f"--{name}", str(path))), "--device", "cpu"]
    pupil, teacher = planned.find("tiny/csknet-s0"), planned.find("tiny/deeplab-s0")
    assert probe(planned, pupil, places, threads=1, device="cpu", machine="a machine") > 0

    def launch(run: Run, slot: int) -> processes.Child:
        return Working(main([*line, "one", run.name]))

    assert main([*line, "--only", "csknet-s0", "--no-probe"], launch) == 3
    assert main([*line, "--only", "csknet-s0", "--list"]) == 0
    listed = capsys.readouterr()
    assert "no teacher" in listed.out
    assert "tiny/csknet-s0 will not be started" in " ".join(listed.err.split())
    assert main([*line, "--only", "tiny/*-s0", "--no-probe"], launch) == 0
    made = records.read(places.record(pupil))
    assert "--teacher out/reproduce/tiny/deeplab-s0" in made.origin.command
    assert f"    {records.read(places.record(teacher)).origin.command}\n    {made.origin.command}" in (
        places.page.read_text()
    )

    sitting = Sitting(planned, places, Options())
    shutil.rmtree(places.run(teacher))
    assert sitting.waiting([teacher]) == [], "a record is enough where nobody is left to be taught"
    places.record(pupil).unlink()
    assert sitting.waiting([teacher]) == [teacher]
    before = records.read(places.record(teacher))
    gone = dataclasses.replace(before.evaluations["val"], label="of weights that are gone")
    records.write(places.record(teacher), dataclasses.replace(before, evaluations={"val": gone}))
    assert main([*line, "--test", "one", teacher.name]) == 0
    again = records.read(places.record(teacher))
    assert set(again.evaluations) == {"val", "test"}
    assert again.evaluations["val"].label == teacher.name
