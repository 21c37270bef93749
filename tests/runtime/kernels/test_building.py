"""Kernels as files: built once, built again when anything has changed, refused when they are not whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dis2_edge import cli
from dis2_edge.errors import EngineError
from dis2_runtime.kernels import building
from dis2_runtime.kernels.building import FIRST_CLASS, PORTABLE, build, digest_of, take
from dis2_runtime.kernels.compiler import Compiled, Compiler
from dis2_runtime.verbs import kernels as verb

Capture = pytest.CaptureFixture[str]
LOG = """ptxas info    : Compiling entry function 'k' for 'sm_87'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers"""


def test_a_file_is_built_once(tmp_path: Path) -> None:
    nvcc = Played()
    assert build(nvcc, "decide", "sm_87", tmp_path).fresh
    assert not build(nvcc, "decide", "sm_87", tmp_path).fresh
    assert nvcc.calls == ["decide sm_87"]


def _damage(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


def _other_source(file: Path) -> None:
    _edit(file, source="0" * 64)


def _other_flags(file: Path) -> None:
    _edit(file, flags=["-O0"])


def _other_compiler(file: Path) -> None:
    _edit(file, compiler="12.6.0")


def _no_record(file: Path) -> None:
    file.with_suffix(".json").unlink()


def _half_a_record(file: Path) -> None:
    file.with_suffix(".json").write_text('{"source": ')


def _foreign_record(file: Path) -> None:
    file.with_suffix(".json").write_text('{"resources": [{"name": 1}]}')


def _no_image(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    "change",
    [
        _damage,
        _other_source,
        _other_flags,
        _other_compiler,
        _no_record,
        _half_a_record,
        _foreign_record,
        _no_image,
    ],
)
def test_what_is_not_of_today_is_built_again(change: Callable[[Path], None], tmp_path: Path) -> None:
    nvcc = Played()
    change(build(nvcc, "decide", "sm_87", tmp_path).file)

    assert build(nvcc, "decide", "sm_87", tmp_path).fresh
    assert take(tmp_path, "decide", "sm_87")[0] == b"image"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_damage, "is damaged.*dis2-edge kernels --arch sm_87"),
        (_other_source, "was built from other sources"),
        (_no_record, "decide.json does not exist"),
        (_half_a_record, "is not readable JSON"),
        (_foreign_record, "is no record of a kernel"),
        (_no_image, "cannot be read"),
    ],
)
def test_what_may_not_be_used_is_told(change: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    change(build(Played(), "decide", "sm_87", tmp_path).file)
    with pytest.raises(EngineError, match=words):
        take(tmp_path, "decide", "sm_87")


def test_machine_code_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no resource report"):
        build(Played(log="nothing"), "decide", "sm_87", tmp_path)
    assert not list(tmp_path.rglob("*.cubin"))


def test_a_header_is_part_of_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("decide.cu", "device.cuh"):
        (tmp_path / name).write_bytes((building.SOURCES / name).read_bytes())
    monkeypatch.setattr(building, "SOURCES", tmp_path)
    digest_of.cache_clear()
    before = digest_of("decide")
    (tmp_path / "device.cuh").write_text("// changed")
    digest_of.cache_clear()
    changed = digest_of("decide")
    digest_of.cache_clear()
    assert before != changed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--arch", "orin"], "'orin' is no architecture"),
        (["--arch", "sm_870"], "does not build for sm_870; expected one of "),
        (["--arch", "sm_870"], "; did you mean 'sm_87'?"),
        (["--arch", "sm_101"], "; Thor is sm_110 since CUDA 13"),
        (["--board", "host"], "has no GPU"),
        (["--board", "orin"], "unknown board 'orin'"),
    ],
)
def test_what_nobody_can_build_for_is_refused(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(verb, "find_compiler", Played)
    assert cli.main(["kernels", *words, "--out", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


class Played(Compiler):
    """An nvcc that makes nothing."""

    def __init__(self, log: str = LOG) -> None:
        super().__init__(Path("nvcc"), "13.0.88", frozenset({*FIRST_CLASS, PORTABLE}))
        object.__setattr__(self, "log", log)
        object.__setattr__(self, "calls", [])

    calls: list[str]
    log: str

    def compile(self, source: Path, target: str) -> Compiled:
        self.calls.append(f"{source.stem} {target}")
        return Compiled(b"image", self.log)


def test_records_are_plain_json(tmp_path: Path) -> None:
    file = build(Played(), "decide", "sm_87", tmp_path).file
    assert set(json.loads(file.with_suffix(".json").read_text())) == {
        "source",
        "flags",
        "compiler",
        "sha256",
        "resources",
    }


def _edit(file: Path, **changes: object) -> None:
    record = file.with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))
