"""A choice from the command to the files: what is recorded, that a replay gives the same bytes, what is refused."""

import argparse
import dataclasses
import json
import xml.etree.ElementTree as ET

import onnx
import pytest
from small import RECIPE

from dis2_boards.profile import load as board_of
from dis2_edge.errors import RecipeError, UserError
from dis2_edge.timing import Machine
from dis2_quantize.choosing import choose as choosing
from dis2_quantize.choosing import latency
from dis2_quantize.choosing.choice import BlockRow, Choice, ScenarioChoice, Tried, read_choice
from dis2_quantize.choosing.choose import Limits, choose, decide, trades
from dis2_quantize.choosing.front import Point
from dis2_quantize.choosing.interval import Interval, exactly, interval
from dis2_quantize.choosing.plot import front_picture, told
from dis2_quantize.verbs import quantize as verb
from dis2_train.fitting.fit import train

BLOCKS = ("inner.a", "inner.b", "inner.c")


def tried(kept, ms, damage, drop):
    return Tried(kept, Point(kept, ms, damage), Interval(ms, ms - 1, ms + 1), Interval(damage, 0, 2 * damage), drop)


MADE = (
    tried((), 10.0, 4e-5, 0.9),
    tried(("inner.a",), 12.0, 2e-5, 0.4),
    tried(("inner.a", "inner.b"), 13.0, 1e-5, 0.1),
    tried(BLOCKS, 20.0, 0.0, 0.0),
)


@pytest.mark.parametrize(
    ("limits", "kept", "why"),
    [
        (Limits(1.0), (), "fastest"),
        (Limits(0.5), ("inner.a",), "fastest"),
        (Limits(0.0), ("inner.a", "inner.b"), "none loses at most 0"),
        (Limits(0.5, 12.5), ("inner.a",), "least damage"),
        (Limits(0.5, 99.0), ("inner.a", "inner.b"), "least damage"),
        (Limits(0.5, 3.0), (), "none within 3 ms"),
    ],
)
def test_limits_decide(limits, kept, why):
    found, told_why = decide(MADE[:-1], limits)
    assert found == kept
    assert told_why.startswith(why)


def test_what_is_faster_by_chance_is_not_chosen():
    chance = Tried(("inner.c",), MADE[0].modelled, Interval(9.9, 9.7, 10.1), exactly(3e-5), 0.2)
    assert decide((MADE[0], chance), Limits(1.0))[0] == ()
    assert decide((MADE[0], dataclasses.replace(chance, ms=Interval(9.7, 9.6, 9.8))), Limits(1.0))[0] == ("inner.c",)


def test_damage_is_shared_out_as_blocks_cost_alone():
    rows = [
        BlockRow(name, exactly(cost), exactly(0.0), 0.0, 0.0, exactly(1.0)) for name, cost in (("a", 3.0), ("b", 1.0))
    ]
    assert [trade.damage for trade in trades(rows, 2.0)] == [1.5, 0.5]
    idle = [dataclasses.replace(row, alone=exactly(0.0)) for row in rows]
    assert [trade.damage for trade in trades(idle, 0.0)] == [0.0, 0.0]


def test_an_interval_holds_its_estimate_and_shrinks_with_samples():
    few, many = interval([1.0, 2.0, 3.0]), interval([1.0, 2.0, 3.0] * 30)
    assert few.low < few.value == 2.0 < few.high
    assert many.high - many.low < few.high - few.low
    assert interval([5.0]) == exactly(5.0)


def example():
    rows = tuple(BlockRow(name, exactly(1e-5), exactly(1e-5), 0.1, 0.1, exactly(2.0)) for name in BLOCKS)
    front = tuple(one.modelled for one in MADE)
    scenario = ScenarioChoice("rgb+ndsm", rows, front, MADE, ("inner.a",), "because < and & are no markup")
    machine = Machine("cpu", 2, "os", "3.10", {"torch": "2"})
    return Choice("host", machine, 0.5, None, {"ms": "a < b", "damage": "4 images"}, "0" * 64, (scenario,))


def test_a_choice_reads_back_equal(tmp_path):
    (tmp_path / "choice.json").write_text(json.dumps(example().to_table()))
    assert read_choice(tmp_path / "choice.json") == example()
    assert example().keep_float == ("rgb+ndsm:inner.a",)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 2}', '{"format": 1, "boards": "host"}', "no json"])
def test_what_is_no_choice_is_told(tmp_path, text):
    (tmp_path / "choice.json").write_text(text)
    with pytest.raises(RecipeError, match=r"choice\.json"):
        read_choice(tmp_path / "choice.json")


def test_the_picture_is_whole_and_says_what_was_chosen():
    picture = front_picture(example(), example().scenarios[0])
    root = ET.fromstring(picture)
    texts = [part.text for part in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a  (chosen)" in texts
    assert "latency, ms" in texts
    assert "divergence from FP32 (KL), 10⁻⁶ nats" in texts
    assert {"nothing: all INT8", "everything: FP32"} <= set(texts)
    _, _, width, height = map(float, root.get("viewBox").split())
    for part in root.iter():
        for key, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0 <= float(part.get(key, 0)) <= limit
    assert "prefers-color-scheme: dark" in picture


def test_blocks_are_told_the_shorter_way_round():
    assert told(("inner.a", "inner.b"), BLOCKS) == "all but c"
    assert told(("inner.c",), BLOCKS) == "c"
    assert told(("x.a",), ("x.a", "y.a", "z.b")) == "x.a"


@pytest.fixture(scope="module")
def alone(aerial, tmp_path_factory):
    """A run of one scenario: what is chosen for each is chosen alike."""
    recipe = dataclasses.replace(RECIPE, network="single", sensors=("ndsm",))
    return train(recipe, aerial, tmp_path_factory.mktemp("single") / "run", device="cpu")


@pytest.fixture
def quick(monkeypatch):
    """Few points, and time counted in kept blocks: the clock itself is tested elsewhere."""

    def clock(files, label):
        return {kept: exactly(10.0 + len(kept)) for kept in files}

    monkeypatch.setattr(choosing, "TRIES", 3)
    monkeypatch.setattr(choosing, "clock_of", lambda board, frames: clock)


def call(*words):
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    return verb.run(parser.parse_args([str(word) for word in words]))


def test_a_replay_gives_the_same_files_byte_for_byte(alone, aerial, tmp_path, quick, capsys):
    words = (alone.path, "--data", aerial.root, "--precision", "int8", "--set", "quantize_epochs=0")
    assert call(*words, "--out", tmp_path / "q", "--choose", "host", "--budget-ms", "16.5") in (0, 1)
    shown = capsys.readouterr()
    assert "damage of each block's INT8" in shown.out
    choice = read_choice(tmp_path / "q/choice.json")
    assert len(choice.keep_float) > 1
    assert all(one.chosen.ms.value <= 16.5 for one in choice.scenarios)
    assert all(one.front[0].kept == () for one in choice.scenarios)
    for one in choice.scenarios:
        model = onnx.load(tmp_path / f"q/models/{one.scenario}-int8-ort-frame.onnx")
        props = {prop.key: prop.value for prop in model.metadata_props}
        assert tuple(json.loads(props["keep_float"])) == one.kept
    assert str(list(choice.keep_float)).replace("'", '"') in (tmp_path / "q/recipe.toml").read_text()
    assert call(*words, "--replay", tmp_path / "q/choice.json", "--out", tmp_path / "again") in (0, 1)
    assert "damage" not in capsys.readouterr().out
    first, again = (contents(tmp_path / name) for name in ("q", "again"))
    assert first == again
    assert {"choice.json", "front-ndsm.svg", "models/ndsm-int8-ort-frame.onnx", "goldens/0.npz"} <= set(first)


def contents(folder):
    """Bytes of every file by its path, less the verdict, which holds how long the files took on that occasion."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "verdict.json")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_a_replay_on_other_weights_is_warned_of(alone, aerial, tmp_path, capsys):
    scenario = dataclasses.replace(example().scenarios[0], scenario="ndsm", kept=("inner.encoder",))
    scenario = dataclasses.replace(scenario, tried=(dataclasses.replace(MADE[0], kept=("inner.encoder",)),))
    choice = dataclasses.replace(example(), scenarios=(scenario,))
    (tmp_path / "choice.json").write_text(json.dumps(choice.to_table()))
    words = (alone.path, "--data", aerial.root, "--precision", "int8", "--set", "quantize_epochs=0")
    assert call(*words, "--out", tmp_path / "q", "--replay", tmp_path / "choice.json") in (0, 1)
    assert "made for other weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--choose", "hots"], "did you mean 'host'"),
        (["--choose", "host", "--set", 'keep_float=["inner.first"]'], "leave out one"),
        (["--choose", "host", "--precision", "fp32"], "without INT8"),
        (["--choose", "host", "--budget-ms", "0"], "--budget-ms 0"),
        (["--choose", "host", "--max-drop", "nan"], "--max-drop is nan"),
        (["--budget-ms", "5"], "--choose BOARD"),
        (["--set", 'keep_float=["inner.frist"]'], "did you mean 'inner.first'"),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_anything_is_made(trained, aerial, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        call(trained("dis2").path, "--data", aerial.root, "--out", tmp_path / "q", *words)
    assert not list(tmp_path.iterdir())


def test_host_really_measures(alone, aerial, monkeypatch):
    monkeypatch.setattr(choosing, "TRIES", 2)
    monkeypatch.setattr(latency, "ROUNDS", 2)
    found = choose(alone, alone.recipe, aerial, board_of("host"), Limits())
    (one,) = found.scenarios
    assert one.scenario == "ndsm"
    assert all(tried.ms.value > 0 for tried in one.tried)
    assert one.kept in [tried.kept for tried in one.tried]
