"""The proof is a bounded child: one that hangs, dies, lies or says too much costs the proof, and nothing else."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dis2_boards.agent import bounded
from tests.boards.agent.bundles import send
from tests.boards.agent.standin import NAME, version, wheel
from tests.boards.agent.talking import AgentError, Local


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, copied_environments: None) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("proving") / "root") as talk:
        yield talk


def placed(talk: Local, prove: str) -> str:
    fake = version(f"proves {prove}", prove=prove)
    send(talk, fake)
    sha, size = talk.upload(wheel())
    talk.ask("install", id=fake.id, wheels=[[NAME, sha, size]])
    return fake.id


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("hang", r"longer than 1 s \(it held \d+ MiB\)"),
        ("kill", "lack of memory"),
        ("crash", "ended with 1 and no usable proof.json: x*[x ]* the end of it"),
        ("garbage", "no usable proof"),
        ("other", "no usable proof"),
    ],
)
def test_a_proof_that_fails_is_told_and_chooses_nothing(
    talk: Local, how: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "_GRACE_S", 0.2)  # it hears no SIGTERM, however long it is asked
    name = placed(talk, how)
    with pytest.raises(AgentError, match=why):
        talk.ask("prove", id=name, limit_s=1 if how == "hang" else 60)
    with pytest.raises(AgentError, match="was not proven"):
        talk.ask("switch", id=name)


def test_a_proof_that_chose_nothing_is_handed_over_and_cannot_be_switched_to(talk: Local) -> None:
    name = placed(talk, "none")
    answer = talk.ask("prove", id=name)
    assert answer["proof"]["chosen"] is None
    assert answer["memory_bytes"] > 1 << 20
    size = talk.ask("fetch", path=f"versions/{name}/proof.json")["bytes"]
    assert json.loads(talk.raw(size)) == answer["proof"]
    with pytest.raises(AgentError, match="was not proven"):
        talk.ask("switch", id=name)


def test_tiles_reach_the_proof_and_leave_again(talk: Local) -> None:
    name = placed(talk, "ok")
    sha, size = talk.upload(b"tiles" * 100)
    proof = talk.ask("prove", id=name, tiles=sha)["proof"]
    assert proof["tiles"] == size
    with pytest.raises(AgentError, match="were not received"):
        talk.ask("prove", id=name, tiles="0" * 64)


def test_an_environment_of_the_same_wheels_is_not_built_again(talk: Local, tmp_path: Path) -> None:
    name = placed(talk, "ok")
    assert talk.ask("status")["versions"]
    sha, size = talk.upload(wheel())
    root = Path(talk.facts["root"])
    first = (root / "versions" / name / "env").resolve()
    talk.ask("install", id=name, wheels=[[NAME, sha, size]])
    assert (root / "versions" / name / "env").resolve() == first
    other, size = talk.upload(wheel(extra__py="1"))
    talk.ask("install", id=name, wheels=[[NAME, other, size]])
    second = (root / "versions" / name / "env").resolve()
    assert {first.name, second.name} == {"env-1", "env-2"}
    assert first.is_dir(), "what flies may still need it"
    (second / "lib").rename(second / "lib.gone")
    with pytest.raises(AgentError, match="no whole environment"):
        talk.ask("prove", id=name)
    talk.ask("install", id=name, wheels=[[NAME, other, size]])
    talk.ask("prove", id=name)


def test_nothing_of_a_child_that_was_ended_is_left(tmp_path: Path) -> None:
    code = "import os, time; os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)"
    heard: list[int] = []
    ended = bounded.run(["/usr/bin/env", "python3", "-c", code], 2, lambda line: heard.append(int(line)) is None)
    assert ended.late
    assert len(heard) == 2
    end = time.monotonic() + 60
    while any(lives(pid) for pid in heard):
        assert time.monotonic() < end
        time.sleep(0.02)


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


def test_a_child_that_says_too_much_is_heard_to_its_end() -> None:
    ended = bounded.run(["/usr/bin/env", "python3", "-c", "print('x' * 10_000_000); print('the end', end='')"], 60)
    assert ended.well
    assert len(ended.tail) <= bounded.TAIL
    assert ended.tail.endswith("the end\n")
