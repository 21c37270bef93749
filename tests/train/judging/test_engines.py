"""`dis2-edge eval --engine`: torch and torch-tensorrt side by side, by a fake that computes; the real one never ran."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))

from fake_torch_tensorrt import Fake

from dis2_edge import cli
from dis2_edge.errors import CheckpointError, UserError
from dis2_train.judging import engines
from dis2_train.judging.evaluation import read_evaluation
from dis2_train.segmenters import compiled as compiled_segmenter
from dis2_train.segmenters import tensorrt
from dis2_train.segmenters.compiled import CompiledSegmenter
from dis2_train.segmenters.run import RunSegmenter

NO_DATA = ["--data", "nowhere"]


@pytest.fixture
def there(monkeypatch):
    """The fake in the place of the package, the CPU in the place of the GPU, and few calls."""
    fake = Fake()
    monkeypatch.setitem(sys.modules, "torch_tensorrt", fake)
    for module in (tensorrt, compiled_segmenter):
        monkeypatch.setattr(module, "gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(engines, "CALLS", 20)
    monkeypatch.setattr(engines, "WARM_UP", 1)
    return fake


@pytest.fixture
def by_engine(tiny_folder):
    return lambda run, *words: cli.main(["eval", str(run), *map(str, words), "--data", str(tiny_folder), "--no-noise"])


@pytest.mark.parametrize("words", [["torch,torch-tensorrt"], ["torch", "torch-tensorrt"]])
def test_two_engines_stand_side_by_side(make_run, there, by_engine, tmp_path, capsys, words):
    run, out = make_run("net", network="dis2"), tmp_path / "net.json"
    assert by_engine(run, *(w for word in words for w in ("--engine", word)), "--out", out) == 0
    printed = capsys.readouterr().out
    times = printed[printed.index("time of a frame of 32x32 on ") :].splitlines()
    assert re.split(r"  +", times[1].strip()) == [
        "scenario", "engine", "precision", "mIoU (%)", "ms median", "ms p95", "ms p99", "speed-up", "TensorRT",
    ]  # fmt: skip
    rows = [re.split(r"  +", line.strip()) for line in times[3:9]]
    assert [row[0] for row in rows[::2]] == ["opt+sar", "opt", "sar"]
    for plain, fast in zip(rows[::2], rows[1::2], strict=True):
        assert plain[1:3] == ["torch", "fp32"]
        assert fast[:2] == ["torch-tensorrt", "fp32"]
        assert plain[3] == fast[2]  # the fake computes what torch does
        assert float(plain[4]) > 0
        assert plain[6:] == ["–", "–", "–"]  # twenty calls tell no p99
        assert fast[-1] == "1 engine"
        assert re.fullmatch(r"\d+\.\d\dx", fast[-2])
    assert "20 calls after 1 of warm-up" in printed
    assert len(there.calls) == 3
    assert "net by torch-tensorrt" in printed
    both = [read_evaluation(tmp_path / f"net-{name}.json") for name in ("torch", "torch-tensorrt")]
    assert not out.exists()
    for scenario, counts in both[0].counts.items():
        np.testing.assert_array_equal(counts, both[1].counts[scenario])
    assert max(len(line) for line in printed.splitlines() if str(tmp_path) not in line) <= 100


@pytest.mark.parametrize("half", [False, True])
def test_every_scenario_answers_as_torch_does_a_frame_at_a_time(make_run, there, half):
    run, random = make_run("net", network="dis2"), np.random.default_rng(0)
    plain, fast = RunSegmenter(run, device="cpu"), CompiledSegmenter(run, half=half)
    assert [tuple(given.shape)[:2] for call in there.calls for given in call["arg_inputs"]] == [
        (1, 3), (1, 1), (1, 3), (1, 1),
    ]  # fmt: skip
    frames = {"opt": random.integers(0, 255, (3, 32, 32, 3)), "sar": random.integers(0, 255, (3, 32, 32, 1))}
    frames = {name: frame.astype(np.uint8) for name, frame in frames.items()}
    answers = []
    for scenario in plain.scenarios:
        answers.append(fast.many(frames, scenario))
        np.testing.assert_allclose(answers[-1], plain.many(frames, scenario), atol=0.02 if half else 1e-5)
        assert fast.masks(frames, scenario).shape == (3, 32, 32)
        inputs = fast.flying(scenario)[1]
        assert {tensor.dtype for tensor in inputs} == {torch.float16 if half else torch.float32}
    assert np.abs(answers[0] - answers[1]).max() > 0.01
    with pytest.raises(CheckpointError, match="does not serve scenario 'blue'"):
        fast.masks(frames, "blue")


def test_the_file_tells_engine_device_and_versions(make_run, there, by_engine, tmp_path, capsys):
    run, out = make_run("net"), tmp_path / "net.json"
    assert by_engine(run, "--engine", "torch-tensorrt-fp16", "--out", out) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("net by torch-tensorrt-fp16 on tiny, split test, 4 images of 32x32, per cent")
    assert "time of a frame of 32x32 on " in printed
    told = json.loads(out.read_text())["engine"]
    assert (told["name"], told["precision"]) == ("torch-tensorrt-fp16", "fp16")
    assert told["device"] == told["machine"]["cpu"]  # of the fake; on a GPU its name
    assert told["machine"]["packages"]["torch"] == torch.__version__
    full = told["scenarios"]["opt+sar"]
    assert (full["n"], full["warm_up"], full["engines"], full["torch_operations"]) == (20, 1, 1, 0)
    assert full["median_ms"] <= full["p95_ms"]
    assert read_evaluation(out).precision == "fp16"
    assert {given.dtype for call in there.calls for given in call["arg_inputs"]} == {torch.float16}


def test_what_was_left_to_torch_is_told(make_run, there, by_engine, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", Fake(parts=2, left=3))
    assert by_engine(make_run("net"), "--engine", "torch-tensorrt") == 0
    assert capsys.readouterr().out.count("2 engines, 3 ops in torch") == 3


def test_torch_alone_is_what_it_was(make_run, by_engine, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    run = make_run("net")
    assert by_engine(run, "--out", tmp_path / "a.json") == 0
    first = capsys.readouterr().out
    assert by_engine(run, "--engine", "torch", "--out", tmp_path / "b.json") == 0
    assert capsys.readouterr().out == first.replace("a.json", "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert "engine" not in json.loads((tmp_path / "a.json").read_text())
    assert "time of a frame" not in first


@pytest.fixture
def quantised(tmp_path):
    (folder := tmp_path / "q").mkdir()
    (folder / "quantized.json").write_text("{}")
    return folder


def test_files_are_no_networks_of_torch(there, quantised, tmp_path, capsys):
    (file := tmp_path / "m.onnx").write_bytes(b"")
    for model in (quantised, file):
        assert cli.main(["eval", str(model), "--engine", "torch-tensorrt", *NO_DATA]) == 2
        error = capsys.readouterr().err
        assert f"{model} holds ONNX files, and torch-tensorrt compiles networks of torch; expected a run" in error


def test_what_is_missing_is_told_before_any_data_are_read(make_run, there, capsys, monkeypatch):
    run = str(make_run("net"))
    words = ["eval", run, "--engine", "torch-tensorrt", *NO_DATA]
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    assert cli.main(words) == 2
    assert "'torch-tensorrt' is not installed; pip install 'dis2-edge[tensorrt]'" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "no CUDA device here; expected an NVIDIA GPU" in error
    assert "leave out --engine torch-tensorrt" in error
    assert "nowhere" not in error
    assert cli.main([*words, "--device", "cpu"]) == 2
    assert "--engine torch-tensorrt with --device cpu; expected an NVIDIA GPU" in capsys.readouterr().err


def test_a_package_that_does_not_load_is_told(make_run, there, capsys, monkeypatch):
    def broken(name):
        raise Exception("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(UserError, match=r"does not load: Exception: libnvinfer.so.11"):
        engines.check_engines(["torch-tensorrt"], make_run("net"), "auto")


def test_a_failing_compilation_names_the_scenario_and_what_was_said(make_run, there, by_engine, tmp_path, capsys):
    compiled = there.dynamo.compile

    def compile_one(program, **named):
        if there.calls:
            raise RuntimeError("no converter for aten::upsample_bilinear2d")
        return compiled(program, **named)

    there.dynamo.compile = compile_one
    assert by_engine(make_run("net"), "--engine", "torch,torch-tensorrt", "--out", tmp_path / "o.json") == 2
    error = capsys.readouterr().err
    said = "RuntimeError: no converter for aten::upsample_bilinear2d"
    assert f"torch-tensorrt cannot compile scenario 'opt' of net: {said}" in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("o*.json"))


def test_an_unknown_engine_is_told_with_the_nearest(make_run, by_engine, capsys):
    assert by_engine(make_run("net"), "--engine", "torch-tensort") == 2
    expected = "no engine is called 'torch-tensort'; expected one or more of torch, torch-tensorrt, torch-tensorrt-fp16"
    assert f"{expected}; did you mean 'torch-tensorrt'?" in capsys.readouterr().err


def test_engines_are_parted_by_commas_and_named_once():
    assert engines.engines_of([]) == ("torch",)
    assert engines.engines_of(["torch-tensorrt, torch", "torch"]) == ("torch-tensorrt", "torch")


def test_a_gpu_is_waited_for_before_the_clock_stops(monkeypatch):
    events = []
    monkeypatch.setattr("torch.cuda.synchronize", lambda device: events.append(str(device)))
    engines.waited(lambda *_: events.append("run"), [], torch.device("cuda", 0))()
    engines.waited(lambda *_: events.append("run"), [], torch.device("cpu"))()
    assert events == ["run", "cuda:0", "run"]


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True])
def test_the_real_one_answers_as_torch_does(make_run, half):
    pytest.importorskip(
        "torch_tensorrt", reason="torch-tensorrt is missing: pip install -c constraints.txt .[tensorrt]"
    )
    run, random = make_run("net", network="dis2"), np.random.default_rng(0)
    plain, fast = RunSegmenter(run, device="cuda"), CompiledSegmenter(run, half=half)
    frames = {"opt": random.integers(0, 255, (2, 32, 32, 3)), "sar": random.integers(0, 255, (2, 32, 32, 1))}
    frames = {name: frame.astype(np.uint8) for name, frame in frames.items()}
    for scenario in plain.scenarios:
        assert fast.parts(scenario)["engines"] > 0
        error = np.abs(fast.many(frames, scenario) - plain.many(frames, scenario))
        assert error.max() < (0.05 if half else 0.01)  # TF32 keeps ten bits
