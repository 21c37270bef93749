"""`prune` gives room back and keeps what is needed; `fetch` hands out reports and nothing else."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.boards.agent.bundles import bundle
from tests.boards.agent.killed import talk
from tests.boards.agent.pretence import stand_ins
from tests.boards.agent.scenes import NEW, OLD, OLDER, deploy
from tests.boards.agent.talking import AgentError, Local


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board that flew OLDER, NEW and OLD, in that order."""
    with stand_ins():
        for count, fake in enumerate((OLDER, NEW, OLD)):
            talk(tmp_path / "root", deploy(fake))
            os.utime(tmp_path / "root" / "versions" / fake.id / "bundle", (count, count))
    return tmp_path / "root"


def shas(*names: str) -> set[str]:
    return {path.name for path in Path(*names).iterdir()}


def test_what_no_version_uses_goes_and_the_rest_stays(root: Path) -> None:
    model = OLDER.rows()["models/full.onnx"][0]
    for key, name in (("a" * 32, model), ("b" * 32, NEW.rows()["models/full.onnx"][0])):
        (root / "engines" / f"{key}.json").write_text(json.dumps({"key": {"model": name}}))
        (root / "engines" / f"{key}.plan").write_bytes(b"plan")
    (root / "engines" / "timings-x").write_bytes(b"timings")
    (root / "stock" / ("0" * 64)).write_bytes(b"of nothing")
    with stand_ins():
        (answer,) = talk(root, [{"ask": "prune", "keep": 0}])
    assert answer["removed"] == [OLDER.id]
    assert answer["freed_bytes"] > 0
    assert shas(str(root), "versions") == {NEW.id, OLD.id}
    assert shas(str(root), "engines") == {f"{'b' * 32}.json", f"{'b' * 32}.plan", "timings-x"}
    used = {row[0] for fake in (NEW, OLD) for row in fake.rows().values()}
    assert shas(str(root), "stock") == used | {hashlib.sha256(b"a wheel").hexdigest()}


def test_the_newest_are_kept_beside_what_flies_and_flew(root: Path) -> None:
    with stand_ins():
        assert talk(root, [{"ask": "prune", "keep": 1}])[0]["removed"] == []
        assert talk(root, [{"ask": "rollback", "to": OLDER.id}, {"ask": "prune", "keep": 0}])[1]["removed"] == [NEW.id]


def test_a_report_is_handed_out(root: Path) -> None:
    (root / "reports" / "x").mkdir(parents=True)
    (root / "reports" / "x" / "report.json").write_bytes(b"\x00\xff" * 700_000)
    with Local(root) as session:
        size = session.ask("fetch", path="reports/x/report.json")["bytes"]
        assert session.raw(size) == b"\x00\xff" * 700_000
        assert session.ask("trusted")["trusted"] == [], "and the conversation goes on"


@pytest.mark.parametrize(
    "path",
    [
        "deploy.log",
        "reports",
        "reports/",
        "reports/../deploy.log",
        "/etc/passwd",
        "versions/x/proof.json",
        "reports/link",
        "reports/folder",
        "reports/folder/link/f",
        "reports/none",
        "reports/pipe",
        "trusted/a.pub",
        "",
    ],
)
def test_nothing_else_is_handed_out(root: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "f").write_text("secret")
    (root / "reports" / "folder").mkdir()
    (root / "reports" / "link").symlink_to(tmp_path / "f")
    (root / "reports" / "folder" / "link").symlink_to(tmp_path)
    os.mkfifo(root / "reports" / "pipe")
    with Local(root) as session, pytest.raises(AgentError):
        session.ask("fetch", path=path)


def test_the_log_tells_who_did_what_and_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dis2_boards.agent import session as sessions

    lines = (root / "deploy.log").read_text().splitlines()
    assert f"test  switch  None -> {OLDER.id}" in "\n".join(lines)
    assert [line for line in lines if "settle  kept" in line]
    monkeypatch.setattr(sessions, "LOG_LIMIT", 500)
    with Local(root) as session:
        for _ in range(30):
            with pytest.raises(AgentError):
                session.ask("rollback", to="0" * 12)
    assert (root / "deploy.log").stat().st_size < 1000
    assert (root / "deploy.log.1").stat().st_size < 1000 + len("\n".join(lines))


def test_a_rollback_needs_somewhere_to_go(tmp_path: Path) -> None:
    with Local(tmp_path / "root") as session:
        with pytest.raises(AgentError, match="no version ever flew here"):
            session.ask("rollback")
        with pytest.raises(AgentError, match="is not on this board"):
            session.ask("rollback", to=bundle("x").id)
