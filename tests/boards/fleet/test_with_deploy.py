"""The step with the real `dis2-edge deploy` and the real agent, on a folder: what it records, what it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dis2_boards.trust import keys
from dis2_edge.cli import main
from tests.boards.updaters.test_with_agent import archive_of

pytestmark = pytest.mark.usefixtures("fake_ansible")


def test_a_board_takes_it_once_and_is_left_alone_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = archive_of(tmp_path, "made")
    (tmp_path / "fleet.toml").write_text(f'[boards.one]\ntarget = "dir:{tmp_path / "one"}"\nservice = "none"\n')
    words = ["deploy", str(made.path), "--fleet", str(tmp_path / "fleet.toml"), "--wheels", str(tmp_path / "stock")]

    def rolled_out(state: str, code: int = 0) -> dict[str, Any]:
        assert main([*words, "--yes-workstation"]) == code, capsys.readouterr()
        row = dict(json.loads((tmp_path / "fleet.json").read_text())["boards"][0])
        assert row["state"] == state, row
        return row

    first = rolled_out("kept")
    assert (first["before"], first["after"], first["engine"]) == (None, made.id, "onnxruntime")
    again = rolled_out("flew already")
    assert (again["before"], again["after"], again["precision"]) == (made.id, made.id, "int8")
    (tmp_path / "one" / "trusted").mkdir(exist_ok=True)
    keys.new(tmp_path / "lab")
    shutil.copy(keys.public_path(tmp_path / "lab"), tmp_path / "one" / "trusted" / "lab.pub")
    refused = rolled_out("failed", 2)
    assert "signed" in refused["why"]
    assert (refused["before"], refused["after"]) == (None, made.id)
