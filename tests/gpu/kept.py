"""What a part of `make gpu` wrote."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.findings import Findings


def read_lines(file: Path) -> Findings:
    findings = Findings()
    for line in file.read_text().splitlines():
        findings.take(line)
    return findings
