"""The stand-in for ssh: what passes through it unchanged, which moments it tells, and what a blow does to them."""

import sys
from pathlib import Path

import pytest

from tests.boards.emulated.watch import Watched, Workstation

AGENT = """#!{python}
import hashlib, json, sys
words = sys.argv[1:]
assert words[0] == "-F", words
size = int(words[-1])
archive = sys.stdin.buffer.read(size)
def say(**table):
    sys.stdout.write(json.dumps(table) + chr(10)); sys.stdout.flush()
while line := sys.stdin.buffer.readline():
    ask = json.loads(line)
    if ask["ask"] == "put":
        data = sys.stdin.buffer.read(ask["bytes"] - ask["offset"])
        say(answer={{"sha256": hashlib.sha256(data).hexdigest()}})
    elif ask["ask"] == "fetch":
        say(answer={{"bytes": 70000}}); sys.stdout.buffer.write(b"x" * 70000); sys.stdout.buffer.flush()
    else:
        say(tell={{"label": "half", "done": 1, "total": 2}})
        say(answer={{"archive": hashlib.sha256(archive).hexdigest()}})
"""
DEPLOY = """
import hashlib, json, subprocess, sys
archive = b'PK {{"ask": "hello", no request }}' + bytes(range(256)) * 300
child = subprocess.Popen(["ssh", "user@host", str(len(archive))], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(raw=b"", **table):
    child.stdin.write(json.dumps(table).encode() + bytes([10]) + raw); child.stdin.flush()
    while "answer" not in (said := json.loads(child.stdout.readline())): pass
    return said["answer"]
child.stdin.write(archive); child.stdin.flush()
print("archive", ask(ask="hello", root="")["archive"] == hashlib.sha256(archive).hexdigest())
data = bytes(range(251)) * 1000
for _ in range(2):
    got = ask(data[100:], ask="put", bytes=len(data), offset=100)
    print("put", got["sha256"] == hashlib.sha256(data[100:]).hexdigest())
ask(ask="fetch"); print("fetched", len(child.stdout.read(70000)))
child.stdin.close(); sys.exit(child.wait())
"""
WHOLE = ["hello 1 before", "hello 1 amid 1", "hello 1 after"]
WHOLE += [f"put {n} {when}" for n in (1, 2) for when in ("before", "amid", "after")]
WHOLE += ["fetch 1 before", "fetch 1 after"]


@pytest.fixture
def station(tmp_path: Path) -> Workstation:
    agent = tmp_path / "agent"
    agent.write_text(AGENT.format(python=sys.executable))
    agent.chmod(0o755)
    return Workstation.made(tmp_path / "station", tmp_path / "key", ssh=str(agent))


def run(station: Workstation, **words: object) -> Watched:
    return station.run([sys.executable, "-c", DEPLOY], limit_s=120, **words)  # type: ignore[arg-type]


def test_what_passes_is_not_changed_and_every_moment_is_told(station: Workstation) -> None:
    heard: list[str] = []
    watched = run(station, hear=heard.append)
    assert watched.code == 0, watched.said
    assert watched.said.splitlines() == ["archive True", "put True", "put True", "fetched 70000"]
    assert watched.moments == heard == WHOLE
    assert len(watched.times_s) == len(WHOLE)


def test_a_bit_is_flipped_in_the_file_that_was_meant_and_in_no_other(station: Workstation) -> None:
    watched = run(station, blows={"put 2 before": lambda _: "flip"})
    assert watched.said.splitlines() == ["archive True", "put True", "put False", "fetched 70000"]


def test_a_connection_that_is_dropped_is_the_end_of_it(station: Workstation) -> None:
    watched = run(station, blows={"put 1 amid": lambda _: "drop"})
    assert watched.code != 0
    assert watched.moments[-1] == "put 1 amid"


def test_a_killed_deploy_says_no_more(station: Workstation) -> None:
    watched = run(station, blows={"put 1 after": lambda deploy: deploy.kill()})
    assert watched.code == -9
    assert watched.moments[-1] == "put 1 after"
    assert "put True" not in watched.said
