"""The verb `run` as a person types it: bad input first, then what a run leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from opened import ROOTS, flight_words
from PIL import Image
from tiny_bundle import HEAT, NDSM, RGB, make_bundle, task_of, write_scene

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main, parser_of
from dis2_runtime.verbs import run as verb


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return write_scene(tmp_path_factory.mktemp("flight"), task_of(RGB, NDSM, HEAT))


def refused(capsys, words: list[str], *messages: str) -> None:
    assert main(["run", *words]) == 2
    error = capsys.readouterr().err
    for message in messages:
        assert message in error


def test_no_source_unknown_sensor_double_and_broken_words_are_refused(capsys, two: Bundle, scene, tmp_path) -> None:
    bundle, out = str(two.path), ["--out", str(tmp_path / "out")]
    refused(capsys, [bundle, *out], "no sensor has a source", "--source SENSOR=URI")
    refused(capsys, [bundle, *out, *flight_words(scene, "rbg")], "unknown sensor 'rbg'", "did you mean 'rgb'")
    refused(capsys, [bundle, *out, *flight_words(scene, "rgb", "rgb")], "gives 'rgb' twice")
    refused(capsys, [bundle, *out, "--source", "rgb"], "expected SENSOR=URI")
    refused(capsys, [bundle, *out, "--source", "rgb=http://x"], "no known scheme", "folder:, flight:")
    refused(capsys, [bundle, *out, "--source", f"rgb=folder:{tmp_path}/none"], "is not a folder")
    refused(capsys, [bundle, *out, *flight_words(scene), "--seconds", "0"], "--seconds is 0.0; expected above 0")
    refused(capsys, [bundle, *out, *flight_words(scene), "--ticks", "-1"], "--ticks is -1")
    refused(capsys, [bundle, *out, *flight_words(scene), "--threads", "-1"], "--threads is -1")
    refused(capsys, [bundle, *out, *flight_words(scene), "--rig", str(tmp_path / "none.toml")], "does not exist")
    refused(capsys, [str(tmp_path / "none"), *out, *flight_words(scene)], "is not a folder; expected a bundle")
    assert not (tmp_path / "out").exists()


def test_a_geometry_that_can_never_fit_is_refused_before_a_folder_is_made(capsys, two: Bundle, scene, tmp_path) -> None:
    words = [str(two.path), "--out", str(tmp_path / "out"), *flight_words(scene), "--set"]
    refused(capsys, [*words, "sensors.rgb.to_grid=[0,0,0,0,0,0,0,0,1]"], "cannot be inverted")
    refused(capsys, [*words, f'sensors.rgb.remap="{tmp_path}/none.npz"'], "none.npz cannot be read")
    numpy_file = tmp_path / "small.npz"
    np.savez(numpy_file, map=np.zeros((3, 3, 2), np.float32))
    refused(capsys, [*words, f'sensors.rgb.remap="{numpy_file}"'], "a remap table of 3x3x2", "expected")
    assert not (tmp_path / "out").exists()


def test_masks_that_no_map_can_take_are_told(capsys, two: Bundle, scene, tmp_path) -> None:
    words = ["run", str(two.path), *flight_words(scene), "--out", str(tmp_path / "out"), "--set", 'sinks=["geotiff"]']
    assert main([*words, "--ticks", "5", "--speed", "max", "--threads", "1"]) == 0
    assert "geotiff: 5 ticks without a pose" in capsys.readouterr().out


def test_out_folder_with_files_is_refused_and_left_alone(capsys, two: Bundle, scene, tmp_path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    refused(capsys, [str(two.path), "--out", str(tmp_path), *flight_words(scene)], "exists already and is not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_an_out_folder_within_the_bundle_is_refused_and_the_bundle_left_whole(capsys, two: Bundle, scene) -> None:
    before = sorted(two.path.rglob("*"))
    refused(capsys, [str(two.path), "--out", str(two.path / "flight"), *flight_words(scene)], "lies within the bundle")
    assert sorted(two.path.rglob("*")) == before


def test_bundle_with_one_flipped_bit_never_flies(capsys, scene, tmp_path) -> None:
    bundle = make_bundle(tmp_path / "b", task_of(RGB, NDSM))
    file = bundle.file(bundle.manifest.models[0].file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused(capsys, [str(bundle.path), "--out", str(tmp_path / "out"), *flight_words(scene)], file.name, "altered")
    assert not (tmp_path / "out").exists()


def test_full_disk_is_told_once_leaves_no_half_mask_and_ends_no_flight(
    capsys, two: Bundle, scene, tmp_path, monkeypatch
) -> None:
    real, room = Path.write_bytes, [3]

    def write(path: Path, data: bytes) -> int:
        if path.suffix == ".part":
            room[0] -= 1
            if room[0] < 0:
                real(path, data[: len(data) // 2])
                raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    words = [str(two.path), "--out", str(tmp_path / "out"), *flight_words(scene), "--seconds", "2", "--speed", "max"]
    assert main(["run", *words]) == 0
    shown = capsys.readouterr().out
    assert shown.count("sink png loses output: no space left while writing") == 1
    assert "sink png: 3 written, 14 dropped, 3 failed: no space left" in shown
    assert "20 of 20 ticks answered" in shown
    rows = (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()
    assert len(rows) == 20
    masks = sorted(path.name for path in (tmp_path / "out" / "masks").iterdir())
    assert masks == ["00000000.png", "00000001.png", "00000002.png"]


def test_sources_that_break_at_once_still_give_blind_ticks(two: Bundle, tmp_path, capsys) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG cut")
    words = [str(two.path), "--source", f"rgb=folder:{tmp_path / 'pictures'}", "--out", str(tmp_path / "out")]
    assert main(["run", *words, "--ticks", "5", "--speed", "max"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()]
    assert [row["state"] for row in rows] == ["blind"] * 5


def test_run_leaves_a_palette_mask_a_row_a_tick_and_a_summary(three: Bundle, scene, tmp_path, capsys) -> None:
    (tmp_path / "faults.toml").write_text('[[fault]]\nsensor = "rgb"\nkind = "off"\nstart_s = 1\nlength_s = 1\n')
    words = [str(three.path), *flight_words(scene, "rgb", "ndsm", "heat"), "--out", str(tmp_path / "out")]
    words += ["--faults", str(tmp_path / "faults.toml"), "--seconds", "4", "--speed", "max", "--precision", "fp32"]
    assert main(["run", *words]) == 0
    shown = capsys.readouterr().out
    assert "ndsm+heat: rgb off: no frame for" in shown
    assert "40 of 40 ticks answered" in shown
    rows = [json.loads(line) for line in (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()]
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert [row["tick"] for row in rows] == list(range(40))
    assert [path.name for path in masks] == [f"{tick:08d}.png" for tick in range(40)]
    with Image.open(masks[-1]) as mask:
        assert mask.mode == "P"
        assert mask.size == (32, 24)
        assert set(np.unique(np.asarray(mask))) <= {0, 1}
        assert mask.getpalette()[:9] == [0x20, 0x40, 0x80, 0xF0, 0xE0, 0x20, 128, 128, 128]
    last = rows[-1]
    assert set(last["stages_ms"]) == {"health", "align", "engine", "sink"}
    assert last["latency_ms"] >= last["stages_ms"]["engine"] > 0
    assert last["expected_miou"] == 0.8
    assert set(last["sensors"]["rgb"]) == {
        "health",
        "reason",
        "used",
        "left_out",
        "frame",
        "age_ms",
        "stamp",
        "dropped",
        "holes",
    }
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["due"], summary["answered"], summary["switches"]) == (40, 40, 2)
    assert summary["scenarios"] == {"rgb+ndsm+heat": 40 - summary["scenarios"]["ndsm+heat"], "ndsm+heat": 11}
    assert summary["latency_ms"]["p50"] > 0
    assert summary["machine"]["packages"]["onnxruntime"]


def test_run_by_rig_takes_sources_beside_it_and_ends_with_them(two: Bundle, scene, tmp_path) -> None:
    rig = f"""
        sinks = ["telemetry"]
        [sensors.rgb]
        source = "flight:{os.path.relpath(scene, tmp_path)}?seconds=1"
        [sensors.ndsm]
        source = "flight:{scene}?seconds=1"
        [policy]
        anchor = "rgb"
    """
    (tmp_path / "rig.toml").write_text(rig)
    words = [str(two.path), "--rig", str(tmp_path / "rig.toml"), "--out", str(tmp_path / "out"), "--speed", "max"]
    assert main(["run", *words]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ended_by"] == "end of the sources"
    assert summary["answered"] in (10, 11, 12)
    assert not (tmp_path / "out" / "masks").exists()


def test_real_time_ticks_are_counted_against_the_clock(two: Bundle, scene, tmp_path, capsys) -> None:
    began = time.monotonic()
    words = [str(two.path), *flight_words(scene), "--out", str(tmp_path / "out"), "--seconds", "1.5", "--threads", "1"]
    assert main(["run", *words]) == 0
    assert 1.4 < time.monotonic() - began < 6
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["due"] == summary["answered"] == 15


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_a_run_within_a_second_with_its_summary(two: Bundle, scene, tmp_path, number) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "dis2_edge", "run", str(two.path), *flight_words(scene), "--out", str(out)]
    # Under nohup SIGHUP is ignored, and what is ignored is inherited: the flight is given the usual way back.
    heard = partial(signal.signal, number, signal.SIG_DFL)
    process = subprocess.Popen(
        [*words, "--threads", "1"], env=_environment(), stdout=subprocess.PIPE, text=True, preexec_fn=heard
    )
    try:
        deadline = time.monotonic() + 20
        while not list(out.glob("masks/0000000[3-9].png")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        told = time.monotonic()
        shown, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert time.monotonic() - told < 1.0 + _slack_s()
    assert json.loads((out / "summary.json").read_text())["ended_by"] == "request"
    assert "ticks answered" in shown
    rows = (out / "telemetry.jsonl").read_text().splitlines()
    assert len(rows) == len(list((out / "masks").iterdir()))


STREAM = ("av", "mcap", "zstandard", "rasterio")
"""What only some sources and sinks need."""


def test_flying_on_a_processor_loads_nothing_of_torch_onnx_gpus_or_streams(two: Bundle, scene, tmp_path) -> None:
    ours = (f"dis2_runtime.{room}" for room in ("kernels", "engines.tensorrt", "engines.model_form", "driver.opening"))
    names = ("torch", "onnx", "pycuda", "cuda", "scipy", "cv2", "matplotlib", *ours, *STREAM)
    blocked = f"import sys\nfor name in {names!r}: sys.modules[name] = None\n"
    words = [
        "run",
        str(two.path),
        *flight_words(scene),
        "--out",
        str(tmp_path / "out"),
        "--ticks",
        "3",
        "--speed",
        "max",
    ]
    code = f"{blocked}from dis2_edge.cli import main, parser_of\nsys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3


def test_help_ends_with_an_example_that_parses(capsys) -> None:
    assert main(["run", "--help"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(verb.EXAMPLE)
    args = parser_of("run")[0].parse_args(verb.EXAMPLE.split()[2:])
    assert (args.speed, args.seconds, len(args.source)) == ("max", 20.0, 2)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ROOTS))}


def _slack_s() -> float:
    """Leaving Python takes longer on a machine that is busy with other things."""
    return 0.5 * max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)
