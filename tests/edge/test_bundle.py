"""Faults of a bundle: every altered, missing, extra or foreign byte is refused with the file named."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Golden, Manifest, ModelRow, Policy
from dis2_edge.errors import BundleError, StorageError, UserError
from dis2_edge.manifest import parse
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task

FILES = ("models/rgb+tir-int8-ort-frame.onnx", "goldens/a.npz", "recipe.toml", "card.md")
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def manifest(sensors: tuple[str, ...] = ("rgb", "ndsm", "tir")) -> Manifest:
    """A manifest of as many one-channel sensors as there are names, with one model of the first and last."""
    task = Task(
        sensors=tuple(Sensor(name, "optical", 1, "uint8", "DN", 0, 255, (1.0,), (2.0,)) for name in sensors),
        classes=("land", "water"),
        colours=("#000000", "#ffffff"),
        grid=(4, 4),
    )
    return Manifest(
        name="small",
        network="dis2",
        recipe_hash="ab12",
        task=task,
        statistics=tuple(SensorStatistics(name, (1.0,), (2.0,), 0, 255, 0, 255, 0, 99, 0.1) for name in sensors),
        models=(ModelRow("rgb+tir", "int8", "ort", "frame", FILES[0], 0.99, 0.1, 0.5, (None, 0.5)),),
        goldens=(Golden("a", FILES[1]),),
        policy=Policy("rgb", 5.0),
        board="host",
        provenance={"data": "made up"},
    )


def fill(folder: Path) -> Bundle:
    """A sealed bundle in `folder`; its files hold a few bytes each."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"the bytes of {name}".encode())
    return bundles.write(folder, manifest())


@pytest.fixture
def sealed(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    return fill(tmp_path / "bundle")


def prove(folder: Path) -> None:
    """What every user of a bundle does first."""
    bundles.verify_hashes(bundles.read(folder))


def reseal(folder: Path, **changes: Any) -> None:
    """Change keys of the manifest and seal it again: what a forger who knows the format would do."""
    path = folder / bundles.MANIFEST
    table = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(table))
    (folder / bundles.SEAL).write_text(bundles._seal_of(path.read_bytes()))


def test_a_three_sensor_bundle_reads_back_equal(sealed: Bundle) -> None:
    prove(sealed.path)
    again = bundles.read(sealed.path)
    assert again == sealed
    assert again.manifest.task.scenarios[0] == "rgb+ndsm+tir"
    assert dataclasses.replace(again.manifest, files={}) == manifest()
    assert again.model("rgb+tir", "int8").class_iou == (None, 0.5)


def test_same_input_same_bytes(sealed: Bundle, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert fill(tmp_path / "other").digest == sealed.digest
    for name in (*FILES, bundles.MANIFEST, bundles.SEAL):
        assert (tmp_path / "other" / name).read_bytes() == (sealed.path / name).read_bytes()


@FUZZ
@given(data=st.data())
def test_any_flipped_bit_is_refused_with_the_file_named(sealed: Bundle, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from((*FILES, bundles.MANIFEST, bundles.SEAL)))
    path = sealed.path / name
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(before[:place] + bytes([before[place] ^ (1 << bit)]) + before[place + 1 :])
    try:
        with pytest.raises(BundleError) as caught:
            prove(sealed.path)
        assert name in str(caught.value)
    finally:
        path.write_bytes(before)


@FUZZ
@given(data=st.data())
def test_any_truncation_or_tail_is_refused_with_the_file_named(sealed: Bundle, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from((*FILES, bundles.MANIFEST, bundles.SEAL)))
    path = sealed.path / name
    before = path.read_bytes()
    cut = data.draw(st.integers(0, len(before) - 1))
    after = data.draw(st.sampled_from((before[:cut], before + before[cut:])))
    path.write_bytes(after)
    try:
        with pytest.raises(BundleError) as caught:
            prove(sealed.path)
        assert name in str(caught.value)
    finally:
        path.write_bytes(before)


@FUZZ
@given(
    text=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("format", "task", "files", "models")), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps({"format": 2, "files": value, "models": value}).encode())
)
def test_any_other_manifest_text_is_a_bundle_error(sealed: Bundle, text: bytes) -> None:
    (sealed.path / bundles.MANIFEST).write_bytes(text)
    (sealed.path / bundles.SEAL).write_text(bundles._seal_of(text))
    with pytest.raises(BundleError):
        bundles.read(sealed.path)


@pytest.mark.parametrize("name", [*FILES, bundles.MANIFEST, bundles.SEAL])
def test_a_missing_file_is_named(sealed: Bundle, name: str) -> None:
    (sealed.path / name).unlink()
    with pytest.raises(BundleError, match=name.replace("+", r"\+")):
        bundles.read(sealed.path)


def test_an_extra_file_is_named(sealed: Bundle) -> None:
    (sealed.path / "models" / "extra.onnx").write_text("x")
    with pytest.raises(BundleError, match=r"models/extra\.onnx is not listed"):
        bundles.read(sealed.path)


def test_links_are_refused_even_to_equal_files(sealed: Bundle, tmp_path: Path) -> None:
    shutil.copy(sealed.path / "card.md", tmp_path / "card.md")
    (sealed.path / "card.md").unlink()
    (sealed.path / "card.md").symlink_to(tmp_path / "card.md")
    with pytest.raises(BundleError, match=r"card\.md is a link"):
        bundles.read(sealed.path)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "models/../../x", "a\\b", "C:x", "", ".", "a//b", "a/", ".hidden", "a\nb", "x" * 300],
)
def test_paths_that_could_leave_the_folder_are_refused(sealed: Bundle, path: str) -> None:
    files = json.loads((sealed.path / bundles.MANIFEST).read_text())["files"]
    reseal(sealed.path, files={**files, path: files["card.md"]})
    with pytest.raises(BundleError, match=r"unsafe path|hidden text"):
        bundles.read(sealed.path)


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_an_unknown_format_is_refused_before_its_shape_is_looked_at(sealed: Bundle, version: Any) -> None:
    reseal(sealed.path, format=version, new_key_of_that_format=1)
    with pytest.raises(BundleError, match="bundle format"):
        bundles.read(sealed.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"polcy": {}}, "did you mean 'policy'"),
        ({"policy": {"anchor": "lidar"}}, "anchor 'lidar'"),
        ({"policy": {"rate_hz": 0}}, "rate_hz above 0"),
        ({"models": []}, "no model"),
        ({"statistics": [SensorStatistics("rgb", (), (), 0, 1, 0, 1, 0, 1, 0).__dict__]}, "statistics of"),
        ({"goldens": [{"name": "a", "file": "goldens/b.npz"}]}, r"goldens/b\.npz is used but not listed"),
        ({"goldens": [{"name": "a", "file": FILES[1]}] * 2}, "stands twice"),
        ({"board": 3}, "board is 3"),
    ],
)
def test_an_inconsistent_manifest_says_what_is_wrong(sealed: Bundle, changes: dict[str, Any], message: str) -> None:
    reseal(sealed.path, **changes)
    with pytest.raises(BundleError, match=message):
        bundles.read(sealed.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": "lidar"}, "scenario 'lidar'"),
        ({"golden_agreement": 1.5}, "tolerances"),
        ({"class_iou": [0.5]}, "one a class"),
        ({"precision": "int4"}, "'int4'"),
    ],
)
def test_a_bad_model_row_says_what_is_wrong(sealed: Bundle, changes: dict[str, Any], message: str) -> None:
    row = {**json.loads((sealed.path / bundles.MANIFEST).read_text())["models"][0], **changes}
    reseal(sealed.path, models=[row])
    with pytest.raises(BundleError, match=message):
        bundles.read(sealed.path)


def test_a_huge_manifest_is_not_read(sealed: Bundle) -> None:
    with (sealed.path / bundles.MANIFEST).open("ab") as file:
        file.truncate(bundles.MANIFEST_LIMIT + 1)
    with pytest.raises(BundleError, match="too large"):
        bundles.read(sealed.path)


def test_an_unknown_model_names_the_nearest(sealed: Bundle) -> None:
    with pytest.raises(BundleError, match=r"did you mean 'rgb\+tir int8 ort frame'"):
        sealed.model("rgb+tir", "int7")


def test_no_folder_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a folder"):
        bundles.read(tmp_path / "nothing")


def test_a_full_disk_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left") as caught:
        fill(tmp_path)
    assert isinstance(caught.value, UserError)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        Path(name).name for name in FILES
    )


def test_a_folder_that_cannot_be_listed_is_a_bundle_error(sealed: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BundleError, match=r"bundle cannot be read \(Permission denied\)"):
        bundles.read(sealed.path)


def test_a_rate_that_overflows_to_infinity_is_refused(sealed: Bundle) -> None:
    text = (sealed.path / bundles.MANIFEST).read_bytes().replace(b'"rate_hz": 5.0', b'"rate_hz": 1e999')
    with pytest.raises(BundleError, match="rate_hz above 0"):
        parse(text)
