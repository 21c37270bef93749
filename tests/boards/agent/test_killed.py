"""Stopped before any change, whatever was not synced is lost: a board holds the old version or the new one, whole."""

from pathlib import Path
from unittest import mock

import pytest

from dis2_boards.agent import disk, switching
from dis2_boards.agent.disk import Writing
from tests.boards.agent.killed import Stop, stops, table
from tests.boards.agent.scenes import SCENES, Scene

_FOUND: dict[str, list[Stop]] = {}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_board_is_never_left_half_done(scene: Scene) -> None:
    found = _FOUND[scene.name] = stops(scene)
    assert len(found) > 20
    assert {stop.mended["kept"] for stop in found} <= set(scene.may)
    assert found[-1].mended["kept"] == scene.ends


def test_the_table_in_the_documentation_is_what_happens() -> None:
    """Made by `python -m tests.boards.agent.killed --table`."""
    rows = {scene.name: _FOUND.get(scene.name) or stops(scene) for scene in SCENES}
    page = (Path(__file__).parents[3] / "docs" / "deploying" / "killed.md").read_text("utf-8")
    assert page.partition("<!-- made -->\n")[2] == table(rows)


@pytest.mark.parametrize(
    ("where", "name", "fault", "model"),
    [
        (Writing, "sync", lambda self: None, "torn"),
        (disk, "sync_folder", lambda path: None, "shallow"),
        (disk, "sync_all", lambda path: None, "lost"),
        (switching, "finish", lambda places: None, "kept"),
        (switching, "prepared", lambda places: (), "kept"),
    ],
    ids=[
        "files are not synced",
        "folders are not synced",
        "environments are not synced",
        "no end",
        "nothing is tidied",
    ],
)
def test_an_agent_that_forgets_a_step_is_found(where: object, name: str, fault: object, model: str) -> None:
    with mock.patch.object(where, name, fault), pytest.raises(AssertionError):
        stops(SCENES[1], [model])
