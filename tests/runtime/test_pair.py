"""A quantised CSK-Net on a camera and a thermal one, through every verb that flies or proves a bundle."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened import flight_words
from PIL import Image
from tiny_bundle import HEAT, RGB, task_of, write_scene

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.report.write import read
from dis2_runtime.faults import KINDS

BAD = [kind for kind in KINDS if kind != "nan"]
"""What can happen to a sensor of whole numbers."""
LENGTH_S, EVERY_S = 2.0, 5.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"), task_of(RGB, HEAT))


@pytest.fixture
def fly(pair: Bundle, scene: Path, tmp_path: Path) -> Callable[..., tuple[list[dict[str, Any]], Path]]:
    """Runs the verb over a fault file: its telemetry rows, and its folder."""

    def flown(faults: list[tuple[str, str, float]], seconds: float, *words: str) -> tuple[list[dict[str, Any]], Path]:
        rows = [
            f'[[fault]]\nsensor = "{s}"\nkind = "{k}"\nstart_s = {at}\nlength_s = {LENGTH_S}' for s, k, at in faults
        ]
        (tmp_path / "faults.toml").write_text("\n".join(rows))
        command = ["run", str(pair.path), *flight_words(scene, "rgb", "heat"), "--out", str(tmp_path / "out")]
        command += ["--faults", str(tmp_path / "faults.toml"), "--seconds", str(seconds), "--speed", "max", *words]
        assert main([*command, "--threads", "1"]) == 0
        lines = (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines], tmp_path / "out"

    return flown


@pytest.mark.parametrize("sensor", ["rgb", "heat"])
def test_every_fault_of_a_sensor_is_flown_through_and_ends_with_both_again(fly, sensor: str) -> None:
    starts = {kind: 2.0 + EVERY_S * place for place, kind in enumerate(BAD)}
    rows, _ = fly([(sensor, kind, start) for kind, start in starts.items()], 2.0 + EVERY_S * len(BAD))
    assert [row["tick"] for row in rows] == list(range(len(rows)))
    assert len(rows) >= 10 * EVERY_S * len(BAD)
    other = "heat" if sensor == "rgb" else "rgb"
    assert {row["scenario"] for row in rows[1:]} == {"rgb+heat", other}
    for kind, start in starts.items():
        hit = [row for row in rows if start < row["time_ms"] / 1e3 < start + LENGTH_S]
        named = {row["sensors"][sensor]["health"] for row in hit}
        if kind != "intermittent":  # bursts that are shorter than a frame may age are borne
            assert kind in named or (kind in ("slow", "delayed") and named != {"ok"}), (kind, named)
        after = [row for row in rows if start + LENGTH_S + 1.5 < row["time_ms"] / 1e3 < start + EVERY_S]
        assert {row["scenario"] for row in after} == {"rgb+heat"}, kind


def test_from_both_to_one_to_the_other_to_none_and_back(fly, pair: Bundle, tmp_path: Path) -> None:
    faults = [("heat", "off", 2.0), ("rgb", "garbage", 6.0), ("rgb", "off", 10.0), ("heat", "wrong", 10.0)]
    rows, out = fly(faults, 14.0, "--state", str(tmp_path / "live.json"))
    order = [scenario for scenario, _ in itertools.groupby(row["scenario"] for row in rows[3:])]
    assert order == ["rgb+heat", "rgb", "rgb+heat", "heat", "rgb+heat", "rgb", "blind", "rgb", "rgb+heat"]
    expected = {row.scenario: row.miou for row in pair.manifest.models}
    assert all(row["expected_miou"] == expected[row["scenario"]] for row in rows if row["state"] == "fresh")
    live = json.loads((tmp_path / "live.json").read_text())
    assert (live["bundle"], live["scenario"], live["sensors"]) == (pair.id, "rgb+heat", {"rgb": "ok", "heat": "ok"})
    with Image.open(sorted((out / "masks").iterdir())[-1]) as mask:
        assert set(np.unique(np.asarray(mask))) == {0, 1}


def test_it_is_verified_shown_and_proven(pair: Bundle, tmp_path: Path, capsys) -> None:
    assert main(["bundle", "verify", str(pair.path), "--threads", "1"]) == 0
    assert main(["bundle", "show", str(pair.path)]) == 0
    shown = capsys.readouterr().out
    assert "heat  thermal  1 x uint16" in shown
    assert "csknet" in shown
    words = ["bundle", "prove", str(pair.path), "--out", str(tmp_path / "proof.json"), "--threads", "1"]
    assert main([*words, "--calls", "12"]) == 0
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["chosen"] == {"engine": "onnxruntime", "precision": "int8"}
    assert {(row["scenario"], row["agreement"]) for row in proof["rows"]} == {
        (s, 1.0) for s in ("rgb+heat", "rgb", "heat")
    }


def test_a_profile_flies_every_fault_and_shows_both_sensors(pair: Bundle, pair_run: Path, tmp_path: Path) -> None:
    data = pair_run.parent / "data"
    words = ["profile", str(pair.path), "--data", str(data), "--out", str(tmp_path / "out"), "--faults"]
    assert main([*words, "--calls", "20", "--threads", "1"]) == 0
    (told,) = read(tmp_path / "out").bundles
    assert {(flight.sensor, flight.kind) for flight in told.through} == {(s, k) for s in ("rgb", "heat") for k in BAD}
    assert {row.scenario for row in told.rows} == {"rgb+heat", "rgb", "heat"}
    assert all([shot.caption for shot in tile.inputs] == ["rgb", "heat", "truth"] for tile in told.tiles)
