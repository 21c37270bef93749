"""A bundle that does not do what it was made to do is refused, with the file and the row named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from proven_bundle import TASK, make_proven, other_model
from tiny_bundle import HEAT, NDSM, RGB, linear_model, task_of

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import BundleError
from dis2_edge.goldens import read_golden, write_golden
from dis2_runtime.selftest.verify import verify


@pytest.fixture
def proven(tmp_path: Path) -> Bundle:
    return make_proven(tmp_path / "bundle")


def reseal(bundle: Bundle, **changes: object) -> None:
    """Seal the folder again as it is now, as if it had been made so."""
    bundles.write(bundle.path, dataclasses.replace(bundle.manifest, **changes))  # type: ignore[arg-type]


def test_every_row_is_run_on_every_golden(proven: Bundle) -> None:
    checks = verify(proven.path, threads=1)
    assert [check.row for check in checks] == list(proven.manifest.models)
    assert {check.goldens for check in checks} == {2}
    assert all(check.agreement == 1 and check.error == 0 for check in checks)


def test_a_bundle_of_some_models_verifies_with_the_goldens_of_all(tmp_path: Path) -> None:
    made = make_proven(tmp_path / "some", task_of(RGB, NDSM, grid=(480, 512)))
    for row in made.manifest.models:
        if row.precision == "fp32":
            made.file(row.file).unlink()
    reseal(made, models=tuple(row for row in made.manifest.models if row.precision == "int8"))
    assert len(verify(made.path, threads=1)) == 3


def test_a_three_sensor_bundle_verifies(tmp_path: Path) -> None:
    bundle = make_proven(tmp_path / "three", task_of(RGB, NDSM, HEAT), precisions=("int8",))
    assert len(verify(bundle.path, threads=1)) == 7


def test_a_flipped_byte_in_a_model_is_found_before_it_is_loaded(proven: Bundle) -> None:
    path = proven.file("models/rgb-int8-ort-frame.onnx")
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"models/rgb-int8-ort-frame\.onnx was altered"):
        verify(proven.path, threads=1)


def test_another_networks_file_is_found_by_the_goldens(proven: Bundle) -> None:
    other_model(proven.path, "rgb")
    reseal(proven)
    with pytest.raises(BundleError, match=r"rgb-int8-ort-frame\.onnx \(rgb int8\) agrees with its golden on 0\."):
        verify(proven.path, threads=1)


def test_a_confidence_that_is_off_is_found(proven: Bundle) -> None:
    golden = proven.manifest.goldens[1]
    arrays = read_golden(proven.file(golden.file), TASK)
    arrays["ndsm/fp32/confidence"][3, 4] ^= 0x40
    write_golden(proven.file(golden.file), arrays)
    reseal(proven)
    with pytest.raises(BundleError, match=r"ndsm-fp32.* differs from its golden's confidence by 0\.25"):
        verify(proven.path, threads=1)


def test_tolerances_come_from_the_row(proven: Bundle) -> None:
    other_model(proven.path, "rgb")
    loose = tuple(dataclasses.replace(row, golden_agreement=0.0, golden_error=1.0) for row in proven.manifest.models)
    reseal(proven, models=loose)
    worst = min(verify(proven.path, threads=1), key=lambda check: check.agreement)
    assert (worst.row.scenario, worst.row.precision) == ("rgb", "int8")
    assert worst.agreement < 0.9


def test_a_file_that_is_no_model_is_named(proven: Bundle) -> None:
    proven.file("models/ndsm-fp32-ort-frame.onnx").write_bytes(b"no protobuf at all")
    reseal(proven)
    with pytest.raises(BundleError, match=r"models/ndsm-fp32-ort-frame\.onnx does not load"):
        verify(proven.path, threads=1)


def test_a_model_of_another_scenario_is_named(proven: Bundle) -> None:
    onnx.save(linear_model(TASK, "ndsm"), proven.file("models/rgb-int8-ort-frame.onnx"))
    reseal(proven)
    with pytest.raises(BundleError, match=r"rgb-int8-ort-frame\.onnx takes \['ndsm'\].*expected \['rgb'\]"):
        verify(proven.path, threads=1)


@pytest.mark.parametrize("name", ["rgb", "rgb/int8/mask", "ndsm/fp32/confidence"])
def test_a_golden_that_lacks_something_is_named(proven: Bundle, name: str) -> None:
    golden = proven.file("goldens/seed1.npz")
    arrays = read_golden(golden, TASK)
    del arrays[name]
    write_golden(golden, arrays)
    reseal(proven)
    with pytest.raises(BundleError, match=rf"goldens/seed1\.npz.*{name}"):
        verify(proven.path, threads=1)


def test_a_bundle_without_goldens_proves_nothing(proven: Bundle) -> None:
    reseal(proven, goldens=())
    with pytest.raises(BundleError, match="holds no golden"):
        verify(proven.path, threads=1)


def test_pickles_in_a_golden_are_not_unpacked(proven: Bundle) -> None:
    path = proven.file("goldens/seed1.npz")
    np.savez(path, rgb=np.array([{"code": 1}], dtype=object))
    with pytest.raises(BundleError, match=r"seed1\.npz is not a readable npz"):
        read_golden(path, TASK)


def test_a_golden_that_would_fill_the_memory_is_not_unpacked(proven: Bundle) -> None:
    path = proven.file("goldens/seed1.npz")
    write_golden(path, {"rgb": np.zeros((4000, 4000), np.uint8)})
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleError, match="unpacks to 16000"):
        read_golden(path, TASK)


def test_the_verb_prints_a_table_and_exits_0(proven: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(proven.path), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "rgb+ndsm  int8" in printed
    assert "6 models are as they were made" in printed


def test_the_verb_exits_2_with_the_file_and_no_trace(proven: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    card = proven.file("card.md")
    card.write_bytes(card.read_bytes().replace(b"linear", b"lineaR"))
    assert main(["bundle", "verify", str(proven.path)]) == 2
    caught = capsys.readouterr()
    assert "card.md was altered" in caught.err
    assert "Traceback" not in caught.err


def test_show_prints_what_the_manifest_says(proven: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(proven.path)]) == 0
    printed = capsys.readouterr().out
    for word in (proven.id, "0 dark, 1 bright", "-5..80", "models/ndsm-fp32-ort-frame.onnx"):
        assert word in printed
