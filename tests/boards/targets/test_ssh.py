"""The way over ssh: a stand-in for `ssh` runs the command here, through any shell, or fails as OpenSSH does."""

from __future__ import annotations

import base64
import shutil
import sys
from pathlib import Path

import pytest
from fake_ssh import make_stand_in, path_with

from dis2_boards.targets import ssh
from dis2_boards.targets.bootstrap import Carried
from dis2_boards.targets.ssh import SshTarget
from dis2_edge.errors import BoardError, LostError, UserError

AGENT = """
import sys, json
archive = sys.stdin.buffer.read(5)
for line in sys.stdin.buffer:
    ask = json.loads(line)
    print(json.dumps({"tell": {"label": "it's $HOME `x` !", "done": 1, "total": 2}}), flush=True)
    print(json.dumps({"answer": {"archive": archive.decode(), "asked": ask["ask"]}}), flush=True)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `ssh` in it, first on PATH: `shell` names the login shell, `said` makes it fail in these words."""
    room = make_stand_in(tmp_path / "bin")
    monkeypatch.setenv("PATH", path_with(room))
    monkeypatch.setattr(ssh, "carried", lambda: Carried(AGENT, b"12345"))
    return room


def target(**more: object) -> SshTarget:
    return SshTarget("drone", "pilot", python=sys.executable, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "fish", "csh", "tcsh", "ksh", "busybox"])
def test_any_login_shell_starts_the_agent(stand_in: Path, shell: str) -> None:
    found = shutil.which(shell, path="/usr/bin:/bin:/usr/local/bin")
    if found is None or shell == "busybox":
        pytest.skip(f"no {shell} here")
    (stand_in / "shell").write_text(found)
    told: list[tuple[str, int, int]] = []
    with target().open() as session:
        assert session.hello == {"archive": "12345", "asked": "hello"}
        assert session.ask("status", lambda *row: told.append(row))["asked"] == "status"
    assert told == [("it's $HOME `x` !", 1, 2)]


def test_the_command_holds_nothing_that_a_shell_reads() -> None:
    line = Carried("print('$HOME `id` \"!\" \\\\ \n')", b"").one_line("python3")
    inner = line.split("'", 1)[1].rsplit("'", 1)[0]
    assert line.count("'") == 2
    assert not set(inner) & set("'\n!$`\\")
    packed = inner.split('"')[1]
    assert base64.b64decode(packed).decode().startswith("print('$HOME")


def test_what_a_login_prints_before_the_agent_is_passed_over(stand_in: Path) -> None:
    (stand_in / "greeting").write_text('Welcome to {"a": board\n\nlast login: today ')
    with target().open() as session:
        assert session.hello["asked"] == "hello"


def test_a_login_that_never_stops_talking_is_refused(stand_in: Path) -> None:
    (stand_in / "greeting").write_text("hello\n" * 500)
    with pytest.raises(BoardError, match=r"talks before the agent does: 'hello'.*bashrc"):
        target().open()


def test_ssh_is_told_what_this_program_needs_and_no_more(stand_in: Path) -> None:
    import json

    with SshTarget("drone", "pilot", 2222, config="my config", python=sys.executable).open():
        pass
    words = json.loads((stand_in / "words").read_text())
    options = [words[place + 1] for place, word in enumerate(words) if word == "-o"]
    assert {"BatchMode=yes", "ServerAliveInterval=5", "ServerAliveCountMax=3"} <= set(options)
    assert not [option for option in options if "HostKey" in option or "KnownHosts" in option]
    assert words[words.index("-F") + 1] == "my config"
    assert words[words.index("-p") + 1] == "2222"
    assert words[-3:-1] == ["--", "pilot@drone"]


CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:abcDEF123+/x.
Add correct host key in /h/known_hosts to get rid of this message.
Offending ED25519 key in /h/known_hosts:3
Host key verification failed.
"""
FAILURES = [
    (
        255,
        CHANGED,
        r"host key .*changed to SHA256:abcDEF123\+/x.*ssh_host_ed25519_key.pub.*ssh-keygen -R 'drone' -f /h/kn",
    ),
    (
        255,
        "No ED25519 host key is known for drone\nHost key verification failed.\n",
        r"does not know .*connect once by hand",
    ),
    (
        255,
        "pilot@drone: Permission denied (publickey,password).\n",
        r"lets pilot@drone not in .*ssh-copy-id pilot@drone",
    ),
    (255, "ssh: Could not resolve hostname drone: Name or service not known\n", r"no host is called 'drone'"),
    (255, "ssh: connect to host drone port 22: Connection refused\n", r"no ssh server listens on port 22"),
    (255, "ssh: connect to host drone port 22: Connection timed out\n", r"does not answer .*ping drone"),
    (255, "ssh: connect to host drone port 22: No route to host\n", r"does not answer .*No route to host"),
    (255, "Connection timed out during banner exchange\n", r"does not answer"),
    (255, "Received disconnect: Too many authentication failures\n", r"too many keys.*IdentitiesOnly"),
    (
        255,
        "/h/c: line 1: Bad configuration option: hots\n",
        r"refuses its configuration: Bad configuration option: hots",
    ),
    (255, "Can't open user config file /h/c: No such file\n", r"refuses its configuration.*--ssh-config"),
    (127, "bash: line 1: exec: python3: not found\n", r"has no .*python.*sudo apt install python3 python3-venv"),
    (127, "sh: 1: exec: whatever\n", r"has no .*python"),
]
CUTS = [
    (255, "Timeout, server drone not responding.\n", "was taken .*not responding"),
    (255, "Connection to drone closed by remote host.\n", "was taken"),
    (255, "client_loop: send disconnect: Broken pipe\n", "was taken"),
    (255, "kex_exchange_identification: read: Connection reset by peer\n", "was taken .*reset by peer"),
    (3, "something new\n", "ended the conversation: something new"),
    (255, "", "ended the conversation: exit 255"),
]


@pytest.mark.parametrize(("code", "said", "told"), FAILURES, ids=[row[1][-45:].strip() for row in FAILURES])
def test_failures_of_ssh_come_with_their_mend(stand_in: Path, code: int, said: str, told: str) -> None:
    (stand_in / "said").write_text(f"{code}\n{said}")
    with pytest.raises(BoardError, match=told) as raised:
        target().open()
    assert not isinstance(raised.value, LostError)
    assert raised.value.mend


@pytest.mark.parametrize(("code", "said", "told"), CUTS)
def test_a_taken_connection_is_a_lost_one(stand_in: Path, code: int, said: str, told: str) -> None:
    (stand_in / "said").write_text(f"{code}\n{said}")
    with pytest.raises(LostError, match=told):
        target().open()


def test_the_changed_key_of_another_port_is_forgotten_by_its_own_name(stand_in: Path) -> None:
    (stand_in / "said").write_text(f"255\n{CHANGED}")
    with pytest.raises(UserError, match=r"ssh-keygen -R '\[drone\]:2222'.*ssh -F cfg -p 2222 pilot@drone"):
        target(port=2222, config="cfg").open()


def test_no_ssh_here_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, stand_in: Path) -> None:
    (stand_in / "ssh").unlink()
    monkeypatch.setenv("PATH", str(stand_in))
    with pytest.raises(BoardError, match="openssh-client"):
        target().open()
