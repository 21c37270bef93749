"""A bundle that a board cannot fly, or may not, is refused before anything is sent, with the command that helps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from fake_board import HELLO, FakeBoard
from shipped import TAG, make_shipped, make_wheels

from dis2_boards.deployment.bundle_checks import BUNDLE_CHECKS, remarks
from dis2_boards.deployment.checks import BundleCase, hold
from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.facts import facts_of
from dis2_boards.deployment.needs import memory_bytes, room
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.shipment import shipment
from dis2_boards.deployment.telling import Spoken
from dis2_boards.deployment.wheels import glibc_of
from dis2_boards.packing.locks import read_lock
from dis2_boards.packing.pins import Wheel
from dis2_boards.profile import known_boards, load
from dis2_boards.trust import keys
from dis2_boards.trust.signing import sign
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError, WheelError

NANO = {"board": "orin-nano-8gb", "kind": "jetson", "model": "NVIDIA Jetson Orin Nano"}
JETSON = {"machine": "aarch64", "python_tag": "cp310", "detected": NANO, "tensorrt": "10.3.0"}


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def made(ask: dict[str, Any] | None = None, key: str = "", found: Any = None, **of: Any) -> BundleCase:
        bundle = make_shipped(tmp_path / "bundle", tmp_path / "wheels", **of)
        if key:
            bundle = sign(bundle.path, keys.new(tmp_path / key))
        name = bundle.manifest.board
        board = load(name) if name in known_boards() else None
        facts = facts_of({**HELLO, "trusted": [], **(found or {})})
        order = Order(bundle.path, FakeBoard(), words=("B", "--target", "ssh://pilot@drone"), **(ask or {}))
        return BundleCase(order, facts, 0.0, bundle, board)

    return made


def complaint(case: BundleCase) -> str:
    with pytest.raises(BoardError) as raised:
        hold(case, BUNDLE_CHECKS)
    assert raised.value.mend
    return str(raised.value)


def test_a_bundle_that_fits_passes(make: Any) -> None:
    hold(make(), BUNDLE_CHECKS)


def test_a_rig_of_other_sensors(make: Any, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text('[sensors.rgbb]\nsource = "folder:x"\n')
    told = complaint(make(ask={"rig": rig}))
    assert "rig.toml describes a sensor 'rgbb'; expected those of the bundle: " in told
    sensor = make().bundle.manifest.task.sensor_names[0]
    rig.write_text(f'[sensors.{sensor}]\nsource = "folder:x"\n')
    hold(make(ask={"rig": rig}), BUNDLE_CHECKS)
    rig.write_text("sensors = 3\n")
    hold(make(ask={"rig": rig}), BUNDLE_CHECKS)


def test_a_bundle_for_another_board(make: Any) -> None:
    told = complaint(make(found=JETSON, board="orin-nx-16gb", dialect="trt", tag="cp310-aarch64"))
    assert "is orin-nano-8gb (NVIDIA Jetson Orin Nano), and the bundle is for orin-nx-16gb" in told
    assert "dis2-edge deploy QRUN --board orin-nano-8gb --target ssh://pilot@drone" in told


def test_a_bundle_for_a_board_and_no_board_there(make: Any) -> None:
    found = {"detected": {"board": "", "why": "no device tree"}, "tensorrt": "10.3.0"}
    case = make(found=found, board="orin-nx-16gb", dialect="trt")
    with pytest.raises(BoardError) as raised:
        hold(case, BUNDLE_CHECKS)
    told = str(raised.value)
    assert (
        "is no board that is known (no device tree), and the bundle is for orin-nx-16gb; expected a bundle for" in told
    )
    assert "the processor of ssh://pilot@drone is x86_64; expected aarch64" in told


def test_a_bundle_for_a_processor_goes_to_any_board_of_it(make: Any) -> None:
    case = make(found=JETSON, board="generic-arm64", tag="cp310-aarch64")
    hold(case, BUNDLE_CHECKS)
    assert any("the GPU stays idle" in text for text in remarks(case))


def test_a_processor_of_another_kind(make: Any) -> None:
    told = complaint(make(board="generic-arm64"))
    assert "the processor of ssh://pilot@drone is x86_64; expected aarch64" in told


def test_a_board_of_ones_own_is_believed_and_told(make: Any) -> None:
    case = make(board="my-board")
    hold(case, BUNDLE_CHECKS)
    assert any("my-board is a board of your own" in text for text in remarks(case))


def test_no_wheels_for_the_python_of_the_board(make: Any) -> None:
    told = complaint(make(tag="cp312-x86_64"))
    assert f"needs wheels for {TAG}; expected one of those that the bundle names: cp312-x86_64" in told


@pytest.mark.parametrize(("glibc", "found"), [("2.27", "glibc 2.27"), ("", "no glibc")])
def test_a_c_library_that_is_too_old(make: Any, glibc: str, found: str) -> None:
    told = complaint(make(found={"glibc": glibc}))
    assert f"is {found}; expected glibc 2.28 or newer, for numpy-2.2.0-cp311-cp311-manylinux_2_28_x86_64.whl" in told


@pytest.mark.parametrize(
    ("platform", "version"),
    [
        ("any", (0, 0)),
        ("manylinux2014_aarch64", (2, 17)),
        ("manylinux_2_17_aarch64.manylinux2014_aarch64", (2, 17)),
        ("manylinux_2_27_x86_64.manylinux_2_28_x86_64", (2, 27)),
    ],
)
def test_a_wheel_serves_the_oldest_c_library_that_it_names(platform: str, version: tuple[int, int]) -> None:
    assert glibc_of([Wheel(f"a-1-py3-none-{platform}.whl", "0" * 64, 1)])[0] == version


def test_no_tensorrt_offers_onnx_runtime_where_the_bundle_has_files_for_it(make: Any) -> None:
    case = make(found={**JETSON, "tensorrt": ""}, board="orin-nano-8gb", dialect="trt", tag="cp310-aarch64")
    assert "dis2-edge deploy QRUN --board generic-arm64 --target ssh://pilot@drone" in complaint(case)
    manifest = case.bundle.manifest
    both = dataclasses.replace(
        manifest, models=(dataclasses.replace(manifest.models[0], dialect="ort"), *manifest.models)
    )
    case = dataclasses.replace(case, bundle=dataclasses.replace(case.bundle, manifest=both))
    told = complaint(case)
    assert "has no TensorRT that Python can import" in told
    assert "dis2-edge deploy B --target ssh://pilot@drone --engine onnxruntime" in told
    chosen = dataclasses.replace(case, order=dataclasses.replace(case.order, engine="onnxruntime"))
    hold(chosen, BUNDLE_CHECKS)


def test_tensorrt_asked_for_and_no_files_for_it(make: Any) -> None:
    assert "--engine tensorrt, and the bundle has no files" in complaint(make(ask={"engine": "tensorrt"}))


def test_too_little_memory(make: Any) -> None:
    case = make(found={"memory_free_bytes": 50_000_000, "memory_bytes": 512_000_000})
    told = complaint(case)
    assert "has 50 MB of memory free, of 512 MB; expected" in told
    needed = memory_bytes(case.bundle, {"ort"})
    hold(make_free(case, needed), BUNDLE_CHECKS)
    with pytest.raises(BoardError):
        hold(make_free(case, needed - 1), BUNDLE_CHECKS)


def make_free(case: BundleCase, free: int) -> BundleCase:
    return dataclasses.replace(case, facts=dataclasses.replace(case.facts, memory_free_bytes=free))


def test_a_bundle_that_nobody_signed(make: Any) -> None:
    told = complaint(make(found={"trusted": ["lab"]}))
    assert "takes bundles that lab signed, and this one is not signed" in told
    assert "dis2-edge deploy B --target ssh://pilot@drone --key KEY" in told


def test_a_bundle_that_a_stranger_signed(make: Any) -> None:
    case = make(key="k.pem", found={"trusted": ["lab"]})
    assert case.bundle.signature is not None
    told = complaint(dataclasses.replace(case, trusted=frozenset({"f" * 16})))
    assert f"signed by the key {case.bundle.signature.key_id}; expected a signature by one of {'f' * 16}" in told
    hold(dataclasses.replace(case, trusted=frozenset({case.bundle.signature.key_id})), BUNDLE_CHECKS)


def test_a_board_that_trusts_nobody_is_told_loudly(make: Any) -> None:
    assert any("trusts no key, so it takes every bundle" in text for text in remarks(make()))


def test_too_little_space_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    bundle = make_shipped(tmp_path / "bundle", tmp_path / "wheels")
    board = FakeBoard()
    board.hello |= {"free_bytes": 100_000_000, "trusted": []}
    order = Order(bundle.path, board, wheels=tmp_path / "wheels")
    told = r"has 100 MB free at /h/dis2-edge; expected 200 MB: .* to send, .* for the environment, 200 MB in reserve; "
    with pytest.raises(BoardError, match=f"{told}.*dis2-edge prune --target ssh://pilot@drone.*still runs"):
        deploy(order, Spoken())
    assert "put" not in board.verbs


def test_what_is_there_already_needs_no_room(tmp_path: Path) -> None:
    bundle = make_shipped(tmp_path / "bundle", tmp_path / "wheels")
    wheels = tuple(read_lock(bundle, TAG))
    load = shipment(bundle, wheels, {row.sha256: tmp_path / "wheels" / row.filename for row in wheels})
    all_of_it, rest = room(load, load.total_bytes, tensorrt=False), room(load, 0, tensorrt=False)
    assert all_of_it.total - rest.total == load.total_bytes
    # Two modules of 12 to 20 kB, each with its compiled copy, in blocks of 4 KiB.
    assert rest.environment == 2 * sum(-(-(path.stat().st_size - 120) // 4096) * 4096 for path in make_wheels(tmp_path))


def test_engines_of_tensorrt_need_room_too(make: Any, tmp_path: Path) -> None:
    case = make(dialect="trt", board="orin-nx-16gb", tag="cp310-aarch64")
    files = {row.file for row in case.bundle.manifest.models}
    load = shipment(case.bundle, (), {})
    assert room(load, 0, tensorrt=True).engines == 3 * sum(case.bundle.manifest.files[name].bytes for name in files)
    assert room(load, 0, tensorrt=False).engines == 0


def test_wheels_that_are_not_in_the_stock_are_named(tmp_path: Path) -> None:
    bundle: Bundle = make_shipped(tmp_path / "bundle", tmp_path / "wheels")
    gone = next((tmp_path / "wheels").glob("numpy*"))
    gone.unlink()
    board = FakeBoard()
    board.hello["trusted"] = []
    with pytest.raises(WheelError, match=f"{gone.name} is missing in"):
        deploy(Order(bundle.path, board, wheels=tmp_path / "wheels"), Spoken())
    assert "lock" not in board.verbs
