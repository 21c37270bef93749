"""The launcher, and systemd by a stand-in: units that systemd would read, and messages where something is missing."""

import os
import stat
import sys
from pathlib import Path

import pytest

from dis2_boards.agent import launcher, system
from dis2_boards.agent.places import Places, as_json
from dis2_boards.agent.services import systemd
from dis2_boards.agent.services.systemd import SystemdService, unit_text
from tests.boards.agent.talking import AgentError, Local

A, B = "a" * 12, "b" * 12
CONTROL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *show-user*) echo Linger={linger} ;;
  *enable-linger*) exit {enabling} ;;
  *show*) printf 'ActiveState=active\\nSubState=running\\nMainPID=1\\nNRestarts=3\\n' ;;
  *{failing}*) echo "it is broken"; exit 1 ;;
esac
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board on which B was switched to over A, and not kept yet."""
    root = tmp_path / "a root with 100% $pace"
    for name in (A, B):
        (root / "versions" / name / "bundle").mkdir(parents=True)
        (root / "versions" / name / "env").symlink_to("env-1")
        (root / "versions" / name / "choice.json").write_text('{"engine": "tensorrt", "precision": "fp16"}')
    (root / "state").mkdir()
    (root / "current").symlink_to(f"versions/{B}")
    (root / ".current.back").symlink_to(f"versions/{A}")
    (root / ".pending.ticket").touch()
    (root / "pending.json").write_bytes(as_json({"id": B, "before": A, "boot": launcher.boot_id()}))
    return root


def test_what_was_not_kept_is_started_once(root: Path) -> None:
    assert not launcher.go_back(root)
    assert os.readlink(root / "current") == f"versions/{B}"
    assert launcher.go_back(root)
    assert os.readlink(root / "current") == f"versions/{A}"
    assert not launcher.go_back(root), "and what flew before is started as often as it takes"


def test_after_a_power_cut_what_was_not_kept_is_not_started_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "boot_id", lambda: "another start")
    assert launcher.go_back(root)
    assert os.readlink(root / "current") == f"versions/{A}"


def test_what_was_kept_is_started_for_ever(root: Path) -> None:
    (root / "pending.json").unlink()
    assert not [None for _ in range(5) if launcher.go_back(root)]


def test_the_choice_and_the_words_of_the_service_are_what_is_started(root: Path) -> None:
    (root / "service.json").write_text('{"kind": "process", "args": ["--source", "rgb=v4l2:{root}/x"]}')
    (root / "rig.toml").write_text("x = 1")
    words = launcher.command_of(root)
    assert words[0] == str(root / "versions" / B / "env-1" / "bin" / "python")
    assert words[1:6] == ["-I", "-m", "dis2_edge", "run", str(root / "current" / "bundle")]
    assert words[words.index("--engine") + 1] == "tensorrt"
    assert words[words.index("--precision") + 1] == "fp16"
    assert words[words.index("--rig") + 1] == str(root / "rig.toml")
    assert words[-1] == f"rgb=v4l2:{root}/x"


def test_a_command_of_ones_own_replaces_it(root: Path) -> None:
    (root / "service.json").write_text('{"command": ["{python}", "{bundle}", "{precision}"]}')
    assert launcher.command_of(root)[1:] == [str(root / "current" / "bundle"), "fp16"]


def test_the_service_of_before_comes_back_with_the_version_of_before(root: Path) -> None:
    (root / "service.json").write_text('{"args": ["new"]}')
    (root / ".service.back").write_text('{"args": ["old"]}')
    assert launcher.command_of(root)[-1] == "new"
    launcher.go_back(root)
    launcher.go_back(root)
    assert launcher.command_of(root)[-1] == "old"


def test_output_is_kept_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "OUTPUT_LIMIT", 5000)
    code = "for n in range(2000): print('line', n)"
    assert launcher._pumped([sys.executable, "-c", code], tmp_path / "out") == 0
    sizes = [path.stat().st_size for path in (tmp_path / "out", tmp_path / "out.1")]
    assert max(sizes) <= 5000
    assert (tmp_path / "out").read_text().endswith("line 1999\n")
    assert launcher._pumped([sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "out") == 7


class Board:
    """A board whose systemctl, loginctl and sudo are scripts that write down what they were asked."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bin, self.log = folder / "bin", folder / "asked"
        self.bin.mkdir()
        self.log.touch()
        patch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        patch.setenv("HOME", str(folder))
        patch.setattr(systemd, "SYSTEM_UNITS", folder)
        for name in ("systemctl", "loginctl"):
            self.script(name)

    def script(self, name: str, failing: str = "nothing", linger: str = "yes", enabling: int = 0) -> None:
        text = CONTROL.format(log=self.log, failing=failing, linger=linger, enabling=enabling)
        self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path, monkeypatch)


def test_a_unit_of_the_users_is_written_and_enabled(board: Board, tmp_path: Path) -> None:
    with Local(tmp_path / "dis2-edge") as talk:
        talk.ask("service", kind="systemd-user")
        assert talk.ask("status")["service"]["restarts"] == 3
    unit = (tmp_path / ".config" / "systemd" / "user" / "dis2-edge.service").read_text()
    assert f'-I "{tmp_path}/dis2-edge/current/launch.py"' in unit
    assert "User=" not in unit
    assert "--user daemon-reload" in board.asked()
    assert "--user enable dis2-edge.service" in board.asked()


def test_a_user_who_does_not_linger_is_told_the_line(board: Board, tmp_path: Path) -> None:
    board.script("loginctl", linger="no", enabling=1)
    with Local(tmp_path / "dis2-edge") as talk:
        with pytest.raises(AgentError, match=r"sudo loginctl enable-linger \w+"):
            talk.ask("service", kind="systemd-user")
        assert not (tmp_path / "dis2-edge" / "service.json").exists()


def test_sudo_that_wants_a_password_is_told_the_line(board: Board, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    board.write("sudo", "#!/bin/sh\nexit 1\n")
    with Local(root) as talk, pytest.raises(AgentError, match=r"ALL=\(root\) NOPASSWD: .*daemon-reload"):
        talk.ask("service", kind="systemd")


def test_the_systems_unit_goes_through_sudo(board: Board, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    board.write("sudo", f'#!/bin/sh\necho "sudo $@" >> {board.log}\n[ "$2" = -l ] && exit 0\nshift\nexec "$@"\n')
    service = SystemdService(Places(root), user=False)
    service.set_up()
    installed = (systemd.SYSTEM_UNITS / service.unit).read_text()
    assert "User=" in installed
    assert f"enable {service.unit}" in board.asked()
    assert [line for line in board.asked() if line.startswith("sudo -n") and "install -m 644" in line]


def test_a_service_that_cannot_be_started_is_told(board: Board, root: Path) -> None:
    board.script("systemctl", failing="start")
    from dis2_boards.agent.fault import RefusedError

    with pytest.raises(RefusedError, match="it is broken"):
        SystemdService(Places(root), user=True).start()


def test_a_unit_is_quoted_as_systemd_reads_it(root: Path) -> None:
    text = unit_text(Places(root), "pilot")
    assert "100%% $$pace/current/launch.py" in text
    assert "WorkingDirectory=" + str(root).replace("%", "%%") in text
    assert "User=pilot" in text
