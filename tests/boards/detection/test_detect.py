"""Detection: each written tree is told for what it is, by names; what is not told stays empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dis2_boards.detection import Detected, detect
from tests.boards.detection.trees import AGX_ORIN, ORIN_NANO, ORIN_NX_SUPER, PC, THOR, TREES, jetson, package, plant

ROOM = Path(__file__).parents[3] / "boards"

EXPECTED = {
    "orin-nano": {
        "board": "orin-nano-8gb",
        "module": "p3767-0005",
        "memory_bytes": 7_802_708 * 1024,
        "l4t": "36.4.0",
        "jetpack": "6.1",
        "cuda": "12.6",
        "tensorrt": "10.3.0",
        "python": "3.10",
        "power_mode": "7W",
        "modes": ["15W", "7W"],
        "default_mode": "15W",
        "gpu_max_mhz": 408.0,
        "kind": "jetson",
        "machine": "aarch64",
    },
    "orin-nx-super": {
        "board": "orin-nx-16gb",
        "jetpack": "6.2",
        "cuda": "12.6",
        "power_mode": "25W",
        "modes": ["MAXN_SUPER", "10W", "15W", "25W", "40W"],
        "default_mode": "40W",
        "gpu_max_mhz": 408.0,
    },
    "agx-orin": {
        "board": "agx-orin-64gb",
        "power_mode": "MAXN",
        "jetpack": "6.2.1",
        "tensorrt": "10.3.0",
        "python": "3.10",
    },
    "thor": {
        "board": "thor-t5000",
        "l4t": "39.2.1",
        "jetpack": "7.2.1",
        "cuda": "13.2",
        "tensorrt": "10.16.2",
        "power_mode": "120W",
        "gpu_max_mhz": 1386.0,
    },
    "pc": {
        "board": "workstation-cuda",
        "kind": "pc",
        "machine": "x86_64",
        "model": "Dell Inc. Precision 7920 Tower",
        "gpu": "NVIDIA RTX A6000",
        "tensorrt": "10.14.1",
        "cuda": "13.0",
        "l4t": "",
        "modes": [],
        "gpu_max_mhz": None,
    },
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_told_for_what_it_is(tmp_path: Path, name: str) -> None:
    found = detect(plant(tmp_path, TREES[name])).to_table()
    assert {key: found[key] for key in EXPECTED[name]} == EXPECTED[name]
    assert found["why"]
    assert json.loads(json.dumps(found)) == found


def test_one_id_is_another_mode_on_another_board(tmp_path: Path) -> None:
    nano, nx = plant(tmp_path / "a", ORIN_NANO), plant(tmp_path / "b", ORIN_NX_SUPER)
    for root in (nano, nx):
        (root / "var/lib/nvpmodel/status").write_text("pmode:0001")
    assert (detect(nano).power_mode, detect(nx).power_mode) == ("7W", "10W")


def test_what_the_machines_own_file_caps_is_told_by_mode(tmp_path: Path) -> None:
    limits = detect(plant(tmp_path / "a", ORIN_NX_SUPER)).mode_limits
    assert limits["25W"] == {"gpu_max_mhz": 408.0, "processors": 8, "gpu_mask": 0}
    assert limits["10W"] == {"gpu_max_mhz": 612.0, "processors": 4, "gpu_mask": 252}
    assert detect(plant(tmp_path / "b", THOR)).mode_limits["MAXN"]["gpu_max_mhz"] is None, "-1 is no limit"


def test_an_id_that_the_file_does_not_name_is_no_mode(tmp_path: Path) -> None:
    root = plant(tmp_path, ORIN_NANO)
    (root / "var/lib/nvpmodel/status").write_text("pmode:0007")
    assert detect(root).power_mode == ""
    (root / "var/lib/nvpmodel/status").unlink()
    assert detect(root).power_mode == "", "a mode nobody reported was taken from the default"


@pytest.mark.parametrize(
    ("compatible", "model", "kilobytes", "board"),
    [
        ("nvidia,p3450-0000 nvidia,p3448-0000 nvidia,tegra210", "NVIDIA Jetson Nano Developer Kit", 4_000_000, "nano"),
        ("nvidia,p2597-0000+p3310-1000 nvidia,p3310-1000 nvidia,tegra186", "quill", 8_000_000, "tx2"),
        ("nvidia,p3509-0000+p3668-0001 nvidia,p3668-0001 nvidia,tegra194", "x", 8_000_000, "xavier-nx"),
        ("nvidia,p2972-0000 nvidia,p2888-0004 nvidia,tegra194", "Jetson-AGX", 32_000_000, "agx-xavier"),
        ("nvidia,p3768-0000+p3767-0001 nvidia,p3767-0001 nvidia,tegra234", "x", 8_000_000, "orin-nx-8gb"),
        ("nvidia,p3768-0000+p3767-0004 nvidia,p3767-0004 nvidia,tegra234", "x", 4_000_000, "orin-nano-4gb"),
        ("nvidia,p3737-0000+p3701-0004 nvidia,p3701-0004 nvidia,tegra234", "x", 32_000_000, "agx-orin-32gb"),
        ("nvidia,p4071-0000+p3834-0000 nvidia,p3834-0000 nvidia,tegra264", "x", 64_000_000, "thor-t4000"),
        ("acme,carrier nvidia,tegra234", "ACME box with Jetson Orin NX", 16_084_000, "orin-nx-16gb"),
        ("acme,carrier nvidia,tegra234", "ACME box with Jetson Orin NX", 7_900_000, "orin-nx-8gb"),
        ("acme,carrier nvidia,tegra234", "ACME box", 16_084_000, ""),
        ("nvidia,p9999-0000 nvidia,tegra999", "NVIDIA Jetson of tomorrow", 16_084_000, ""),
    ],
)
def test_modules_and_models(tmp_path: Path, compatible: str, model: str, kilobytes: int, board: str) -> None:
    found = detect(plant(tmp_path, jetson(compatible, model, kilobytes, "R36 (release), REVISION: 4.3")))
    assert (found.board, found.kind) == (board, "jetson")


def test_the_module_is_read_from_the_dts_name_and_the_board_ids_too(tmp_path: Path) -> None:
    files = jetson("acme,box nvidia,tegra234", "ACME", 8_000_000, "R36 (release), REVISION: 4.3")
    name = b"/dvs/hardware/nvidia/t23x/tegra234-p3768-0000+p3767-0003-nv.dts\0"
    first = plant(tmp_path / "a", {**files, "/proc/device-tree/nvidia,dtsfilename": name})
    second = plant(tmp_path / "b", {**files, "/proc/device-tree/nvidia,boardids": "3767:0004:300"})
    assert detect(first).board == "orin-nano-8gb"
    assert "dtsfilename" in detect(first).why
    assert detect(second).board == "orin-nano-4gb"


def test_the_release_comes_from_the_package_where_the_file_is_gone(tmp_path: Path) -> None:
    files = {**THOR, "/var/lib/dpkg/status": package("nvidia-l4t-core", "38.2.0-20250821174705")}
    del files["/etc/nv_tegra_release"]
    found = detect(plant(tmp_path, files))
    assert (found.l4t, found.jetpack) == ("38.2.0", "7.0")


def test_old_cuda_and_a_pc_without_a_card(tmp_path: Path) -> None:
    files = {key: value for key, value in PC.items() if "nvidia" not in key and "version.json" not in key}
    root = plant(tmp_path, {**files, "/usr/local/cuda-10.2/version.txt": "CUDA Version 10.2.89\n"})
    (root / "sys/class/dmi/id/product_name").write_text("To Be Filled By O.E.M.\n")
    assert (detect(root).board, detect(root).cuda, detect(root).model) == ("host", "10.2", "Dell Inc.")


def test_an_arm_computer_that_is_no_jetson(tmp_path: Path) -> None:
    files = {"/proc/cpuinfo": "processor : 0\nCPU architecture: 8\n", "/proc/device-tree/model": "Raspberry Pi 5\0"}
    found = detect(plant(tmp_path, files))
    assert (found.board, found.kind, found.machine, found.model) == (
        "generic-arm64",
        "arm64",
        "aarch64",
        "Raspberry Pi 5",
    )


def test_nothing_at_all_is_nothing_at_all(tmp_path: Path) -> None:
    found = detect(tmp_path / "gone")
    assert found == Detected(why=found.why)
    assert "neither" in found.why


def test_this_machine_is_told() -> None:
    found = detect()
    assert found.machine == os.uname().machine
    assert found.memory_bytes > 0
    assert found.python == ".".join(map(str, sys.version_info[:3]))


def test_links_of_a_tree_stay_inside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("< POWER_MODEL ID=0 NAME=outside >\n")
    root = plant(tmp_path / "root", {**AGX_ORIN, "/etc/loop": "-> loop"})
    (root / "etc/nvpmodel.conf").unlink()
    (root / "etc/nvpmodel.conf").symlink_to("../../../../../../../../../secret")
    assert detect(root).modes == ()
    (root / "etc/nvpmodel.conf").unlink()
    (root / "etc/nvpmodel.conf").symlink_to("loop")
    assert detect(root).modes == ()


def test_the_room_is_the_standard_library_alone(tmp_path: Path) -> None:
    archive = tmp_path / "agent.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("dis2_boards/__init__.py", "")
        for source in (ROOM / "dis2_boards" / "detection").glob("*.py"):
            file.write(source, f"dis2_boards/detection/{source.name}")
    root = plant(tmp_path / "root", ORIN_NX_SUPER)
    code = (
        f"import sys; sys.path = [p for p in sys.path if 'packages' not in p]; sys.path.insert(0, {str(archive)!r})\n"
        f"from dis2_boards.detection import detect\n"
        f"assert detect({str(root)!r}).board == 'orin-nx-16gb'\n"
        "known = set(sys.stdlib_module_names) | {'__main__', 'dis2_boards'}\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] not in known and not m.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
