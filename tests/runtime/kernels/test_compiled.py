"""What nvcc makes of the kernels for every architecture of the first class: nothing spills, all fit, the verb tells."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dis2_edge import cli
from dis2_runtime.kernels import CASES, building
from dis2_runtime.kernels.building import FIRST_CLASS, PORTABLE, Built, build, build_all, names, put
from dis2_runtime.kernels.compiler import OLDEST_PTX, find_compiler, number_of
from dis2_runtime.kernels.rehearsing import Launch, launches_of
from dis2_runtime.kernels.resources import blocks_an_sm
from dis2_runtime.verbs import kernels as verb
from tests.runtime.kernels.host_driver import HostDriver

PAGES = Path(__file__).parents[3] / "docs" / "kernels"
FOLDER = Path(__file__).parents[3] / "out" / "kernels"
"""Built once and kept: what has not changed is not compiled again."""
needs_nvcc = pytest.mark.skipif(
    find_compiler() is None or shutil.which("g++") is None,
    reason="no nvcc with g++ here: apt-get install g++, pip install -c constraints.txt '.[kernels]'",
)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def built() -> list[Built]:
    nvcc = find_compiler()
    assert nvcc is not None
    return build_all(nvcc, (*FIRST_CLASS, PORTABLE), FOLDER)


@pytest.fixture(scope="module")
def launches() -> dict[str, Launch]:
    return launches_of(case for name in names() for case in CASES[name]())


@needs_nvcc
def test_every_source_is_there_for_every_architecture(built: list[Built]) -> None:
    assert {(one.name, one.target) for one in built} == {(n, t) for n in CASES for t in (*FIRST_CLASS, PORTABLE)}
    assert all(one.file.stat().st_size > 0 for one in built)


@needs_nvcc
@pytest.mark.parametrize("name", ["classwise_attention", "decide", "prepare"])
def test_the_page_of_a_kernel_tells_no_fewer_registers(built: list[Built], name: str) -> None:
    told = re.search(r"at\s+most\s+(\d+)\s+registers", (PAGES / f"{name}.md").read_text())
    assert told is not None
    assert max(row.registers for one in built if one.name == name for row in one.resources) <= int(told[1])


@needs_nvcc
def test_nothing_spills_and_nothing_is_left_to_local_memory(built: list[Built]) -> None:
    spilled = {
        f"{row.kernel} for {one.target}: {row.stack_bytes} bytes of stack, {row.spill_bytes} spilled"
        for one in built
        for row in one.resources
        if row.stack_bytes or row.spill_bytes
    }
    assert not spilled


@needs_nvcc
def test_every_kernel_is_launched_within_its_bounds_and_fits(built: list[Built], launches: dict[str, Launch]) -> None:
    bounds = _bounds()
    for one in built:
        for row in one.resources:
            launch = launches[row.kernel]
            assert launch.threads <= bounds[row.kernel], f"{row.kernel} is launched beyond its bounds"
            fits = blocks_an_sm(row, number_of(one.target), bounds[row.kernel], launch.shared_bytes)
            assert fits is not None, one.target
            assert fits >= 1, f"{row.kernel} for {one.target} does not fit"


@needs_nvcc
@pytest.mark.parametrize("target", ["sm_87", PORTABLE])
def test_two_folders_get_the_same_bytes(target: str, tmp_path: Path) -> None:
    """A bundle's kernels must be reproducible, wherever they are built."""
    nvcc = find_compiler()
    assert nvcc is not None
    one, two = (build(nvcc, "decide", target, tmp_path / place).file for place in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


@needs_nvcc
def test_machine_code_and_ptx_hold_the_same_kernels(built: list[Built]) -> None:
    for name in names():
        reported = {one.target: {row.kernel for row in one.resources} for one in built if one.name == name}
        assert {frozenset(reported[target]) for target in FIRST_CLASS} == {frozenset(_entries(name))}


@needs_nvcc
def test_ptx_is_for_old_drivers_too(built: list[Built]) -> None:
    for name in names():
        text = (FOLDER / PORTABLE / f"{name}.ptx").read_text()
        assert f".version {OLDEST_PTX}\n" in text, f"{name} uses what CUDA 11.4 did not have"


@needs_nvcc
def test_ptx_that_needs_a_newer_version_says_so() -> None:
    nvcc = find_compiler()
    assert nvcc is not None
    newer = nvcc.compile(building.SOURCES / "decide.cu", "compute_110").image  # no older version knows this device

    assert f".version {OLDEST_PTX}".encode() not in newer
    assert b".target sm_110" in newer


@needs_nvcc
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here: apt-get install g++")
def test_a_gpu_and_the_host_take_the_same_parameters(built: list[Built]) -> None:
    """HostDriver compares the types of what launchers give with the host's; so they are the GPU's, too."""
    widths = {"*": ".u64", "i4": ".u32", "u4": ".u32", "f4": ".f32"}
    for one in built:
        if one.target == PORTABLE:
            module, text = HostDriver().built(one.name), one.file.read_text()
            entries = re.findall(r"\.visible \.entry (\w+)\((.*?)\)", text, re.DOTALL)
            assert {name for name, _ in entries} == set(_entries(one.name))
            for name, parameters in entries:
                found = re.findall(r"\.param (?:\.align \d+ )?(\S+)", parameters)
                assert found == [widths[kind] for kind in module.parameters(name)], name


@needs_nvcc
def test_the_verb_prints_a_row_a_kernel(built: list[Built], capsys: Capture) -> None:
    assert cli.main(["kernels", "--board", "orin-nx-16gb", "--out", str(FOLDER)]) == 0

    out = capsys.readouterr().out
    rows = [text.split() for text in out.splitlines() if " sm_87 " in text]
    wanted = {row.kernel for one in built for row in one.resources}
    assert {row[0] for row in rows} == wanted
    assert {len(row) for row in rows} == {len(verb.COLUMNS)}
    assert "–" not in out, "a kernel that no case launches"
    assert f"{len(names()) * 2} files" in out


def test_without_a_compiler_the_verb_lives_on_what_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(verb, "find_compiler", lambda: None)
    assert cli.main(["kernels", "--arch", "sm_87", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{len(names())} of {len(names())} files" in told
    assert "(sm_87/classwise_attention first), and no nvcc that answers was found" in told
    for name in names():
        put(tmp_path, name, "sm_87", b"image", "13.0.88")
    assert cli.main(["kernels", "--arch", "sm_87", "--out", str(tmp_path)]) == 0
    assert "0 built" in capsys.readouterr().out


def test_a_launch_that_no_case_makes_is_a_dash() -> None:
    resources = building.Resources("k", 32, 0, 0, 0, 1)
    assert verb.line(resources, "sm_87", None)[-3:] == ("–", "–", "–")
    assert verb.line(resources, "sm_75", Launch(256, 0))[-3:] == (256, "–", "–")


def _bounds() -> dict[str, int]:
    """By kernel, the largest block that it was compiled for."""
    texts = "".join((FOLDER / PORTABLE / f"{name}.ptx").read_text() for name in names())
    found = re.findall(r"\.entry (\w+)\(.*?\)\s*\.maxntid (\d+)", texts, re.DOTALL)
    return {name: int(threads) for name, threads in found}


def _entries(name: str) -> list[str]:
    return re.findall(r"\.entry (\w+)\(", (FOLDER / PORTABLE / f"{name}.ptx").read_text())
