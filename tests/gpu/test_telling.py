"""What `make gpu` keeps and tells: JSON, the page, the targets, and one message where it cannot run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import facts, page
from benchmarks.gpu.children import Ended, run_limited
from benchmarks.gpu.contest import COPY, LONGEST_PROBLEM, short
from benchmarks.gpu.findings import OURS, Findings, Looked, Pen, Proven, Row, load
from benchmarks.gpu.verdicts import verdicts
from dis2_edge.errors import EngineError, StorageError


def found() -> Findings:
    """A run in which some things went wrong."""
    return Findings(
        {"name": "NVIDIA H100 80GB HBM3", "torch": "2.11.0+cu130"},
        [Proven("pycuda", "decide", 8, 0.5), Proven("pycuda", "prepare", 0, None, "no module | at all")],
        [Looked("memcheck", 0), Looked("racecheck", None, "not done after 60 s")],
        [
            Row("fusion_attention", "512 px", OURS, 10.0, 11.0, 100, 0.5, "tensor cores", 0.3),
            Row("fusion_attention", "512 px", "SDPA flash", 12.0, 13.0, 100, 0.4, "tensor cores", 0.3),
            Row("fusion_attention", "512 px", "SDPA math", 90.0, 91.0, 100, 0.1, "tensor cores", 0.3),
            Row("classwise_attention", "512 px", OURS, 10.0, 11.0, 100, 0.5, "bandwidth", 0.3),
            Row("classwise_attention", "512 px", COPY, 8.0, 9.0, 100, 0.7, "bandwidth", None),
            Row("classwise_attention", "512 px", "torch eager", 20.0, 21.0, 100, 0.2, "bandwidth", 0.5),
            Row("decide", "512 px", OURS, 10.0, 11.0, 100, 0.5, "bandwidth", 3.0, "the answer is wrong"),
            Row("decide", "512 px", COPY, 8.0, 9.0, 100, 0.7, "bandwidth", None),
            Row("fusion_attention", "512 px", "torch.compile", problem="InductorError: no gcc"),
        ],
        ["look:synccheck: no time was left"],
    )


def test_targets_are_judged_by_what_was_timed_and_right() -> None:
    judged = {one.target: (one.held, one.told) for one in verdicts(found().rows)}
    assert judged == {
        "fusion attention not slower than torch's best backend": (True, "10.0 us, SDPA flash 12.0 us"),
        "class-wise attention at 70% of copy bandwidth": (True, "80% of a copy of as many bytes"),
        "class-wise attention 3 times eager": (False, "2.0 times as fast as eager"),
        "decide at 70% of copy bandwidth": (None, "not timed"),
    }


def test_findings_survive_the_disk(tmp_path: Path) -> None:
    found().save(tmp_path / "gpu.json")
    assert load(tmp_path / "gpu.json") == found()
    assert load(tmp_path / "none.json") == Findings()


def test_a_part_writes_lines_that_are_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    pen, findings = Pen(tmp_path / "lines"), Findings()
    pen.fact("name", "GPU")
    pen.add(Proven("pycuda", "decide", 8, float("inf")))
    pen.missing("a shape")
    whole = pen.file.read_text()
    for line in [*whole.splitlines(), whole.splitlines()[1][:-5], "[]", "3", '{"kind": "Row", "x": 1}', "{}", ""]:
        findings.take(line)
    assert findings == Findings({"name": "GPU"}, [Proven("pycuda", "decide", 8, None)], missing=["a shape"])


def test_the_page_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    text = page.text_of(found())
    for words in (
        "| name | NVIDIA H100 80GB HBM3 |",
        "| pycuda | prepare | 0 | – | no module / at all |",
        "| racecheck | – | not done after 60 s |",
        "| 512 px | torch.compile | – | – | – | – | – | – | failed: InductorError: no gcc |",
        "| decide at 70% of copy bandwidth | 512 px | ? | not timed |",
        "- look:synccheck: no time was left",
        "## How it is measured",
    ):
        assert words in text
    assert "could be had" not in text
    page.show(found())
    assert "failed: InductorError" in capsys.readouterr().out


def test_the_page_in_the_docs_is_made_of_what_was_kept() -> None:
    assert page.PAGE.read_text("utf-8") == page.text_of(load(page.FINDINGS)), "python -m benchmarks.gpu page"


def test_before_a_run_the_page_says_what_is_missing_and_what_to_type() -> None:
    text = page.text_of(Findings({"Python": "3.12"}))
    assert "Nothing has run on a GPU yet" in text
    assert page.COMMAND in text


def test_a_problem_is_one_line_of_bearable_length() -> None:
    assert short("\n\n  first\nsecond") == "first"
    assert short("") == "no reason given"
    assert len(short("x" * 1000)) == LONGEST_PROBLEM


def test_a_child_that_is_cut_short_takes_its_own_children_along(tmp_path: Path) -> None:
    script = f"(sleep 2; touch {tmp_path}/survived) & sleep 20"
    begun = time.monotonic()
    assert run_limited(["sh", "-c", f"echo begun; {script}"], 0.5) == Ended(None, "begun\n")
    assert time.monotonic() - begun < 2
    assert run_limited(["sh", "-c", "sleep 20 & echo done; exit 3"], 10) == Ended(3, "done\n")
    time.sleep(max(0.0, begun + 2.3 - time.monotonic()))
    assert not (tmp_path / "survived").exists()


def test_unknown_words_are_refused() -> None:
    with pytest.raises(SystemExit):
        program.main(["fly"])


def test_what_was_kept_and_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text("kept")
    with pytest.raises(StorageError, match="not readable JSON"):
        load(tmp_path / "gpu.json")
    (tmp_path / "gpu.json").write_text('{"facts": {}}')
    with pytest.raises(StorageError, match="is not what `make gpu` writes"):
        load(tmp_path / "gpu.json")


class PlayedLibrary:
    """As much of libcuda as is asked before anything else."""

    def __init__(self, code: int, devices: int) -> None:
        self.code, self.devices = code, devices

    def cuInit(self, flags: int) -> int:  # noqa: N802 - CUDA's name
        return self.code

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - CUDA's name
        count._obj.value = self.devices
        return 0


@pytest.mark.parametrize(("code", "devices", "error"), [(100, 0, "CUDA error 100"), (0, 0, "counts 0"), (0, 2, "")])
def test_a_device_is_looked_for(code: int, devices: int, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts.ctypes, "CDLL", lambda name: PlayedLibrary(code, devices))
    if not error:
        return facts.look_for_device()
    with pytest.raises(EngineError, match=error):
        facts.look_for_device()


def test_without_the_drivers_library_there_is_no_device() -> None:
    with pytest.raises(EngineError, match="there is no GPU to measure: libabsent"):
        facts.look_for_device("libabsent.so.1")


def test_no_device_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    calls: list[str] = []

    def fake(part: str, *_: Any) -> str:
        calls.append(part)
        return f"{part}: exit code 2: error: there is no GPU to measure"

    monkeypatch.setattr(program, "run_child", fake)
    for only in ([], ["--only", "times:"]):
        assert program.main(["--out", str(tmp_path), *only]) == 2
        told = "error: there is no GPU to measure; go where one is, or rehearse: --pretend\n"
        assert capsys.readouterr().err.endswith(told)
    assert calls == ["device", "device"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--only", "tims:"], "no part begins with 'tims:'"), (["--kernels", "/absent"], "no such folder")],
)
def test_a_wrong_word_is_told_before_anything_runs(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(program, "run_child", lambda *_: pytest.fail("it ran"))
    assert program.main(words) == 2
    assert told in capsys.readouterr().err


def test_interrupted_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def stop(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run_child", stop)
    assert program.main(["--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("interrupted; what the parts before had found is kept\n")


@pytest.mark.parametrize("size", ["0", "-1", "x"])
def test_a_size_that_is_none_is_refused(size: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main([f"--sizes={size}"])
    assert stopped.value.code == 2
    assert "is no count of pixels" in capsys.readouterr().err


def test_a_part_that_is_none_is_refused(capsys: Any) -> None:
    assert program.main(["part", "times:fly"]) == 2
    assert "no part is called 'times:fly'; expected one of" in capsys.readouterr().err
