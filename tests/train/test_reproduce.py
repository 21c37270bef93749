"""`make reproduce`: bad plans and foreign runs are refused; a plan goes on after an interrupt and ends in its page."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduce import processes, records
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.driver import Options, Sitting
from benchmarks.reproduce.estimate import Estimate, duration, estimate, left_s, probe, probe_key, read_probes
from benchmarks.reproduce.making import progress_of, words
from benchmarks.reproduce.places import Places, ready
from benchmarks.reproduce.plan import Plan, Run, load
from benchmarks.reproduce.recorded import differences, recipe_table
from benchmarks.reproduce.records import Origin, Record
from dis2_edge.errors import DataError, RecipeError, StorageError, UserError
from dis2_edge.recipe import Recipe
from dis2_train.judging.evaluation import Evaluation
from dis2_train.networks.cost import Cost

PLAN = """
seeds = [0, 1]
[data.tiny]
title = "Tiny"
sensors = ["rgb", "ndsm"]
split = "val"
final = "test"
synth = {{ kind = "aerial", count = 6, size = 32, seed = 3 }}
[[row]]
data = "tiny"
name = "dis2"
group = "DIS2 default"
role = "ours"
recipe = "{recipe}"
[[row]]
data = "tiny"
name = "single-ndsm"
group = "alone"
role = "single"
recipe = "{recipe}"
set = ["network=single", 'sensors=["ndsm"]']
"""
RECIPE = 'network = "dis2"\nsensors = ["rgb", "ndsm"]\nwidth = 0.125\nepochs = 1\nbatch = 2\nevaluate_every = 1\n'


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    """Two rows of two seeds over six synthetic scenes of 32 px."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "plan.toml").write_text(PLAN.format(recipe=tmp_path / "recipe.toml"))
    return load(tmp_path / "plan.toml")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data", tmp_path / "out", tmp_path / "docs" / "records", tmp_path / "docs" / "page.md")


@pytest.fixture
def command(tmp_path: Path, places: Places) -> list[str]:
    """What every call of the command line names."""
    folders = {"plan": tmp_path / "plan.toml", "out": places.runs, "records": places.records, "page": places.page}
    return [*(word for name, path in folders.items() for word in (f"--{name}", str(path))), "--device", "cpu"]


class Ended:
    """A process that has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        return None

    def wait(self) -> int:
        return self.code


def here(command: list[str]) -> processes.Launch:
    """Makes a run in this process, so that tests need not load torch again and again."""
    return lambda run, slot: Ended(main([*command, "one", run.name]))


def answered(label: str, counts: dict[str, object], *, seed: int = 0, split: str = "val") -> Evaluation:
    arrays = {name: np.array(value, np.int64) for name, value in counts.items()}
    images, classes = next(iter(arrays.values())).shape[:2]
    return Evaluation(
        label=label,
        network="dis2/default",
        seed=seed,
        dataset="tiny",
        split=split,
        classes=tuple("abcde"[:classes]),
        sensors=("rgb", "ndsm"),
        ids=tuple(f"{number:03}" for number in range(images)),
        counts=arrays,
        costs={"rgb": Cost(1200, 0.5)},
        grid=(32, 32),
    )


def record(run: str, evaluation: Evaluation, seconds: float = 60.0) -> Record:
    origin = Origin("dis2-edge train", "a machine", "2.13.0", 1, seconds, 10, {"train": 4})
    return Record(run, recipe_table(Recipe()), origin, {evaluation.split: evaluation})


# plans


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('data = "tiny"\nname = "dis2"', 'data = "huge"\nname = "dis2"', "huge"),
        ('name = "single-ndsm"', 'name = "dis2"', "two rows"),
        ('role = "ours"', 'role = "best"', "ours"),
        ("synth = {{", "synthetic = {{", "did you mean 'synth'"),
        ("synth = {{", 'folder = "x"\nsynth = {{', "either folder or synth"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.replace(old, new).format(recipe="r.toml"))
    with pytest.raises(RecipeError, match=told):
        load(tmp_path / "plan.toml")


def test_runs_go_by_stage_then_seed(planned: Plan) -> None:
    later = dataclasses.replace(planned.row[0], name="later", stage=2)
    first = dataclasses.replace(planned, row=(later, *planned.row))
    assert [run.name for run in first.runs()] == [
        "tiny/dis2-s0",
        "tiny/single-ndsm-s0",
        "tiny/dis2-s1",
        "tiny/single-ndsm-s1",
        "tiny/later-s0",
        "tiny/later-s1",
    ]


@pytest.mark.parametrize(("only", "count"), [("", 4), ("single", 2), ("*-s1", 2), ("tiny/dis2-s0", 1)])
def test_only_chooses_by_part_or_pattern(planned: Plan, only: str, count: int) -> None:
    assert len(planned.runs(only)) == count


def test_a_pattern_that_matches_nothing_is_the_users(planned: Plan) -> None:
    with pytest.raises(RecipeError, match="tripel"):
        planned.runs("tripel")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"seed": 5, "threads": 2, "workers": 3, "observer": "minmax"}, []),
        ({"width": 0.5}, ["width = 0.5, not 1.0"]),
        ({"sensors": ("rgb",)}, ["sensors = ['rgb'], not []"]),
    ],
)
def test_recipes_differ_by_what_training_reads(changes: dict[str, object], told: list[str]) -> None:
    assert differences(recipe_table(dataclasses.replace(Recipe(), **changes)), Recipe()) == told  # type: ignore[arg-type]


def test_a_key_that_an_older_record_lacks_had_its_default() -> None:
    table = recipe_table(Recipe())
    del table["width"]
    assert differences(table, Recipe()) == []
    assert differences(table, Recipe(width=0.5)) == ["width = 1.0, not 0.5"]


def test_keys_of_dis2_alone_make_no_other_network_s_record_stale() -> None:
    ours = {"shared": "branch", "every_scenario": False, "distill_weight": 9.0, "distill_balance": False}
    for network, told in (("single", 0), ("early_fusion", 0), ("dis2", 4)):
        wanted = Recipe(network=network)  # type: ignore[arg-type]
        assert len(differences(recipe_table(dataclasses.replace(wanted, **ours)), wanted)) == told  # type: ignore[arg-type]
    assert differences(recipe_table(Recipe(network="single", classwise=False)), Recipe(network="single"))


# records


def test_a_record_reads_back_equal_and_leaves_zeros_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 3, (4, 5, 6)) * random.integers(0, 70000, (4, 5, 6))
    counts[2] = 0
    whole = record("tiny/dis2-s0", answered("m", {"rgb+ndsm": counts, "rgb~low": counts[::-1]}))
    records.write(tmp_path / "r.json", whole)
    found = records.read(tmp_path / "r.json")
    assert (found.run, found.recipe, found.origin) == (whole.run, whole.recipe, whole.origin)
    ours, theirs = found.evaluations["val"], whole.evaluations["val"]
    assert (ours.ids, ours.costs, ours.grid, list(ours.counts)) == (
        theirs.ids,
        theirs.costs,
        theirs.grid,
        list(theirs.counts),
    )
    for name in ours.counts:
        np.testing.assert_array_equal(ours.counts[name], theirs.counts[name])
    assert ",0," not in (tmp_path / "r.json").read_text().partition('"images"')[2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "{",
        lambda text: text.replace('"format": 1', '"format": 9'),
        lambda text: text.replace('"origin"', '"origine"'),
        lambda text: text.replace("1,2", "1,x"),
        lambda text: text.replace("1,2", "1,-2"),
        lambda text: text.replace("1,2", "1,2,3,4,5,6,7,8"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    path = tmp_path / "r.json"
    records.write(path, record("tiny/dis2-s0", answered("m", {"rgb": [[[1, 2, 0], [3, 4, 0]]]})))
    path.write_text(spoil(path.read_text()))
    with pytest.raises(DataError, match=r"r\.json"):
        records.read(path)


def test_a_record_of_another_recipe_does_not_count(planned: Plan, places: Places) -> None:
    run = planned.runs()[0]
    right = run.row.resolved(run.seed)
    for recipe, known in ((right, True), (dataclasses.replace(right, epochs=2), False)):
        found = record(run.name, answered("m", {"rgb": [[[1, 2, 0], [3, 4, 0]]]}))
        records.write(places.record(run), dataclasses.replace(found, recipe=recipe_table(recipe)))
        assert (run.name in records.finished(places, [run])) is known


# time


def test_time_is_told_from_finished_seeds_then_from_a_probe(planned: Plan) -> None:
    run = planned.runs()[0]
    evaluation = answered("m", {"rgb": [[[1, 2, 0], [3, 4, 0]]]})
    seeds = [record(run.name, evaluation, 100.0), record(run.name, evaluation, 200.0)]
    probes = {probe_key(run.row, "a machine", 1): 70.0}
    assert estimate(run, seeds, probes, "a machine", 1) == Estimate(150.0, "2 finished seeds")
    assert estimate(run, (), probes, "a machine", 1) == Estimate(70.0, "a probe of 3 steps")
    assert estimate(run, seeds, {}, "another machine", 1) is None
    assert estimate(run, seeds, probes, "a machine", 2) is None


def test_a_begun_run_tells_by_its_own_pace(tmp_path: Path) -> None:
    assert left_s(Estimate(90.0, ""), tmp_path, 40) == 90.0
    (tmp_path / "log.csv").write_text("epoch,step,seconds\n1,10,20\n2,20,50\n")
    assert progress_of(tmp_path) == (20, 50.0)
    assert left_s(Estimate(90.0, ""), tmp_path, 40) == 50.0
    assert left_s(Estimate(90.0, ""), tmp_path) == 40.0
    (tmp_path / "log.csv").write_text("epoch,step\n1,x\n")
    assert progress_of(tmp_path) == (0, 0.0)


@pytest.mark.parametrize(("seconds", "told"), [(40, "40 s"), (720, "12 min"), (12240, "3.4 h")])
def test_durations_read_well(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_probe_is_kept_and_told(planned: Plan, places: Places) -> None:
    run = planned.runs("single")[0]
    seconds = probe(planned, run, places, threads=1, device="cpu", machine="a machine")
    assert seconds > 0
    found = estimate(run, (), read_probes(places), "a machine", 1)
    assert found is not None
    assert found.seconds == pytest.approx(seconds, abs=0.06)
    (places.runs / "probes.json").write_text("{")
    assert read_probes(places) == {}


# driving


def test_a_failed_run_shows_its_log_and_the_others_go_on(
    planned: Plan, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = planned.runs("s0")

    def launch(run: Run, slot: int) -> Ended:
        places.log(run).parent.mkdir(parents=True, exist_ok=True)
        places.log(run).write_text("one\ntwo\nerror: the disk is full\n")
        return Ended(2)

    outcome = Sitting(planned, places, Options(jobs=2)).drive(runs, launch)
    assert outcome.failed == [run.name for run in runs]
    assert "error: the disk is full" in capsys.readouterr().err


def test_without_time_nothing_is_started(planned: Plan, places: Places) -> None:
    runs = planned.runs()
    outcome = Sitting(planned, places, Options(budget_s=0.0)).drive(runs, lambda run, slot: pytest.fail("started"))
    assert outcome.left == [run.name for run in runs]


def test_an_interrupt_ends_what_runs(planned: Plan, places: Places) -> None:
    ended: list[str] = []

    class Working(Ended):
        def poll(self) -> int | None:
            if len(started) == 2:
                raise KeyboardInterrupt
            return None

        def terminate(self) -> None:
            ended.append("one")

    started: list[str] = []

    def launch(run: Run, slot: int) -> Working:
        started.append(run.name)
        return Working(0)

    with pytest.raises(KeyboardInterrupt):
        Sitting(planned, places, Options(jobs=2)).drive(planned.runs(), launch)
    assert len(ended) == 2


def test_two_drivers_do_not_share_a_folder(places: Places) -> None:
    with processes.alone(places), pytest.raises(StorageError, match="another reproduction"), processes.alone(places):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are pinned where the system can")
def test_processes_have_cores_and_a_log_of_their_own(
    planned: Plan, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, fake = planned.runs()[0], places.runs / "python"
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\nsleep 0.2\necho "$OMP_NUM_THREADS $3 $4"\ngrep Cpus_allowed_list /proc/self/status\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert processes.launcher(places, 2, 1, ["--test"])(run, 0).wait() == 0
    told = places.log(run).read_text()
    assert told.startswith(f"1 one {run.name}\n")
    assert told.split()[-1] == "0"


def test_data_that_are_not_there_are_said_where(planned: Plan, places: Places) -> None:
    absent = dataclasses.replace(planned.data["tiny"], synth=None, folder="elsewhere")
    with pytest.raises(DataError, match=r"elsewhere.*--data-root"):
        ready(places, "tiny", absent)


def test_scenes_that_are_drawn_otherwise_today_are_refused(planned: Plan, places: Places) -> None:
    made = [ready(places, "tiny", planned.data["tiny"]).ids("val") for _ in range(2)]
    assert made[0] == made[1]
    synth = planned.data["tiny"].synth
    assert synth is not None
    other = dataclasses.replace(planned.data["tiny"], synth=dataclasses.replace(synth, seed=4))
    with pytest.raises(DataError, match="holds other scenes than today"):
        ready(places, "tiny", other)


def test_a_variable_names_a_folder(planned: Plan, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    named = dataclasses.replace(planned.data["tiny"], synth=None, folder="elsewhere", environment="DIS2_TINY")
    monkeypatch.setenv("DIS2_TINY", "/somewhere/tiny")
    assert places.data("tiny", named) == Path("/somewhere/tiny")


def test_a_plan_goes_on_after_an_interrupt_and_ends_in_its_page(
    planned: Plan, places: Places, command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    started: list[str] = []

    def cut_off(run: Run, slot: int) -> processes.Child:
        started.append(run.name)
        if len(started) == 2:
            raise KeyboardInterrupt
        return here(command)(run, slot)

    assert main([*command, "--jobs", "1", "--no-probe"], cut_off) == 130
    assert "call it again" in capsys.readouterr().err
    kept = places.record(planned.runs()[0]).read_bytes()
    started.clear()
    made: list[str] = []

    def launch(run: Run, slot: int) -> processes.Child:
        made.append(run.name)
        return here(command)(run, slot)

    assert main([*command, "--jobs", "1", "--no-probe"], launch) == 0
    assert made == ["tiny/single-ndsm-s0", "tiny/dis2-s1", "tiny/single-ndsm-s1"]
    assert places.record(planned.runs()[0]).read_bytes() == kept
    told = capsys.readouterr().out
    assert "1 of 4 runs are finished" in told
    assert "finished seed" in told
    page = places.page.read_text()
    assert "4 of 4 runs are finished" in page
    assert "### Split `val`" in page
    assert "`ndsm`" in page.partition("**The bar.**")[2]
    assert (places.records / "tiny-classes.svg").read_text().startswith("<svg xmlns")
    assert "### Split `test`" not in page

    assert main([*command, "--list"]) == 0
    assert "To do: 0 runs" in capsys.readouterr().out
    _takes_in(planned, places, command, tmp_path)
    _judges_the_final_split(planned, places, command)


def _takes_in(planned: Plan, places: Places, command: list[str], tmp_path: Path) -> None:
    """A run made by other means counts for its row only, and only with its data."""
    run = planned.runs()[0]
    shutil.move(str(places.run(run)), str(tmp_path / "own"))
    before = records.read(places.record(run)).evaluations["val"]
    places.record(run).unlink()
    assert main([*command, "take", str(tmp_path / "own"), "--row", "tiny/single-ndsm"]) == 2
    assert not places.record(run).exists()
    assert main([*command, "take", str(tmp_path / "own"), "--row", "tiny/dis2", "--trained-on", "a big machine"]) == 0
    again = records.read(places.record(run))
    assert again.origin.taken
    assert again.origin.trained_on == "a big machine"
    assert again.evaluations["val"].label == run.name
    for name, counts in before.counts.items():
        np.testing.assert_array_equal(again.evaluations["val"].counts[name], counts)
    shutil.move(str(tmp_path / "own"), str(places.run(run)))


def _judges_the_final_split(planned: Plan, places: Places, command: list[str]) -> None:
    """With --test every finished run is judged again on that split, without training."""
    assert main([*command, "--test", "--no-probe", "--only", "dis2-s0"], here([*command, "--test"])) == 0
    assert set(records.read(places.record(planned.runs()[0])).evaluations) == {"val", "test"}
    assert "### Split `test`" in places.page.read_text()


def test_the_command_of_a_record_names_no_place(planned: Plan) -> None:
    line = words(planned, planned.runs("single")[0], threads=1)
    assert line[:2] == ["train", planned.row[1].recipe]
    assert line[line.index("--data") + 1] == "DATA"
    assert line[line.index("--out") + 1] == "out/reproduce/tiny/single-ndsm-s0"


def test_errors_of_the_user_end_with_2(command: list[str], planned: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--only", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err
    assert issubclass(RecipeError, UserError)
