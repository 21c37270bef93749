"""A bundle to roll out, and a fake ansible-playbook on PATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tiny_bundle import NDSM, RGB, make_bundle, task_of


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small whole bundle; its folder is called `new`."""
    return make_bundle(tmp_path_factory.mktemp("rolled") / "new", task_of(RGB, NDSM)).path


@pytest.fixture
def fake_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, first on PATH."""
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    script = Path(__file__).parent / "fake_ansible.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{script}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program
