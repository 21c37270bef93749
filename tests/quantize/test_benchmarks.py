"""Benchmarks of stage 2: every rewrite is really left out, the plain export says what the released model says."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from small import TWO, frames_of

from benchmarks import host, keys, peak, rewrites
from benchmarks.operators import Share
from benchmarks.plain_export import write_plain
from benchmarks.released import ReleasedDis2
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.timing import summarise
from dis2_quantize.costs import layer_costs
from dis2_runtime.engines.onnx_runtime import open_model

TASK = rewrites.aerial_task(64)
TELLS = {
    "linear layers in integers": ("MatMulIntegerToFloat", -1),
    "enlarging as sums": ("Resize", 1),
    "stems that read bytes": ("Conv", 1),
    "fused attention": ("MultiHeadAttention", -1),
}


def kinds(file):
    return Counter(node.op_type for node in onnx.load(file).graph.node)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("less")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rewrites, "Recipe", lambda: Recipe(width=0.25))
        written = {}
        for number, name in enumerate(rewrites.WITHOUT):
            with rewrites.WITHOUT[name]():
                rewrites.write(TASK, folder / f"{number}.onnx")
            written[name] = folder / f"{number}.onnx"
    return written


@pytest.mark.parametrize("name", TELLS)
def test_a_file_less_a_rewrite_has_other_operators(files, name):
    kind, change = TELLS[name]
    assert np.sign(kinds(files[name])[kind] - kinds(files[rewrites.AS_IT_IS])[kind]) == change


def test_every_rewrite_changes_the_file_and_hardly_the_answer(files):
    random = np.random.default_rng(0)
    frames = {"rgb": random.integers(0, 256, (64, 64, 3), dtype=np.uint8)}
    frames["ndsm"] = random.random((64, 64, 1), dtype=np.float32) * 20
    plain = files[rewrites.AS_IT_IS].read_bytes()
    expected = open_model(files[rewrites.AS_IT_IS], threads=1).run(frames).mask
    for name, file in files.items():
        alike = name == rewrites.AS_IT_IS or name.startswith("keys")  # 64 pixels are too few for larger squares
        assert (file.read_bytes() == plain) == alike, name
        assert (open_model(file, threads=1).run(frames).mask == expected).mean() > 0.9, name


def test_the_table_tells_what_a_rewrite_gains(capsys):
    rewrites.show({"as it is": summarise([10.0] * 5, 0), "fused attention": summarise([15.0] * 5, 0)}, 2)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fused attention")]
    assert line.split()[2:] == ["15.0", "5.0", "1.50"]


def test_the_plain_export_answers_what_the_released_model_answers(tmp_path):
    released = ReleasedDis2(TASK)
    frames = {sensor.name: torch.randn(1, sensor.channels, 64, 64) for sensor in TASK.sensors}
    for scenario in ("rgb+ndsm", "ndsm"):
        released.write(scenario, tmp_path / "m.onnx")
        session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        used = {value.name: frames[value.name].numpy() for value in session.get_inputs()}
        assert "+".join(used) == scenario
        expected = released.infer(scenario, frames).numpy()
        assert np.abs(session.run(None, used)[0] - expected).max() < 1e-4


@pytest.mark.parametrize("kind", ["csknet", "early_fusion"])
def test_the_plain_export_of_any_network_answers_what_the_network_answers(lived_in, tmp_path, kind):
    network = lived_in(kind, TWO)
    for scenario in TWO.scenarios:
        write_plain(network, scenario, tmp_path / "plain.onnx")
        frames = {name: frames_of(TWO)[name] for name in sensors_of(scenario)}
        with torch.no_grad():
            expected = network(frames, scenario).logits.numpy()
        found = host.rival(tmp_path / "plain.onnx", 1)(frames)[0]
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_with_a_run_its_plain_export_is_the_rival_and_without_one_the_released_model(lived_in, monkeypatch):
    run = SimpleNamespace(network=lived_in("csknet", TWO))
    assert list(host.plain_rival(run, "rgb", 1)) == [host.PLAIN]
    monkeypatch.setattr(host, "exported", lambda released, scenario, threads: None)
    assert list(host.released_rivals(ReleasedDis2(TASK), "rgb+ndsm", 1)) == [host.RELEASED, host.EXPORTED]


def test_achieved_operations_count_integer_convolutions_and_what_stands_between(files):
    file = files[rewrites.AS_IT_IS]
    shares = [Share("QLinearConv", 30, 4.0), Share("QLinearAdd", 5, 1.0), Share("MultiHeadAttention", 2, 100.0)]
    operations = sum(cost.operations for cost in layer_costs(onnx.load(file)) if cost.kind == "QLinearConv")
    assert peak.achieved_gops(file, shares) == pytest.approx(operations / 5.0 / 1e6)


def test_the_peak_is_a_real_convolution_in_integers(monkeypatch):
    monkeypatch.setattr(peak, "SHAPES", ((1, 8, 16, 16),))
    assert peak.peak_gops(1) > 0
    onnx.checker.check_model(peak._convolution(1, 8, 16, 16))


def test_keys_are_scored_with_the_squares_that_were_asked_for(trained, aerial, capsys, monkeypatch):
    run, sides = trained("dis2").path, []
    monkeypatch.setattr(keys.fusion, "_side", lambda positions: sides.append(keys.fusion.MOST_KEYS) or 2)
    assert keys.main([str(run), "--data", str(aerial.root), "--most", "3,1"]) == 0
    assert dict.fromkeys(sides) == {3: None, 1: None}
    shown = capsys.readouterr().out
    assert "3x3" in shown
    assert "rgb+ndsm" in shown
    assert keys.main([str(aerial.root), "--data", str(aerial.root)]) == 2
