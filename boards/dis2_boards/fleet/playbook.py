"""The roll-out for ansible: inventory and playbook as files, and the process that runs them.

ansible decides who goes when: one play a wave, its boards side by side, and no further play once more boards failed
than the wave may lose. It is a tool in a process of its own and never imported. Both files are JSON, which is YAML, and
hold no word of the user's, as ansible would read `{{ }}` in it: the steps find theirs on the desk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dis2_boards.fleet.plan import Fleet, Member
from dis2_boards.fleet.step import DESK
from dis2_edge.errors import MissingExtraError
from dis2_edge.files import write_json, write_text

PATH = "DIS2_EDGE_FLEET_PATH"
"""Name of the environment variable with the folders in which a step finds our packages."""
_STEP = (
    f"import os, sys; sys.path[:0] = os.environ['{PATH}'].split(os.pathsep); "
    "from dis2_boards.fleet.step import main; sys.exit(main(sys.argv[1]))"
)
_SETTINGS = """[defaults]
host_key_checking = true
retry_files_enabled = false
deprecation_warnings = false
localhost_warning = false
nocows = true
nocolor = true

[inventory]
enable_plugins = ansible.builtin.yaml
"""


def find() -> str:
    """Path of `ansible-playbook`: from PATH, else beside this Python; MissingExtraError has the pip line."""
    beside = os.path.dirname(sys.executable)
    found = shutil.which("ansible-playbook") or shutil.which("ansible-playbook", path=beside)
    if found is None:
        raise MissingExtraError("ansible-core", "fleet")
    return found


def inventory(plan: Fleet) -> dict[str, Any]:
    """Every board as a host of its wave's group, reached from this machine without a connection of ansible's own."""
    groups: dict[str, Any] = {
        _group(number): {"hosts": {_host(member): {} for member in wave}} for number, wave in enumerate(plan.steps())
    }
    return {
        "all": {"children": groups, "vars": {"ansible_connection": "local", "ansible_python_interpreter": _python()}}
    }


def playbook(plan: Fleet) -> list[dict[str, Any]]:
    """One play a wave; the canary's is the first and may lose nobody."""
    return [_play(number, wave, plan.at_most_failed if number else 0) for number, wave in enumerate(plan.steps())]


def start(plan: Fleet, folder: Path, path: Sequence[str]) -> subprocess.Popen[bytes]:
    """Write both files below `folder` and start ansible on them, in a session of its own: Ctrl-C does not reach it."""
    program = find()
    write_json(folder / "inventory.json", inventory(plan))
    write_json(folder / "playbook.json", playbook(plan))
    write_text(folder / "ansible.cfg", _SETTINGS)
    words = [program, "--inventory", str(folder / "inventory.json"), str(folder / "playbook.json")]
    words += ["--forks", str(plan.at_once)]
    with (folder / "ansible.log").open("wb") as log:
        return subprocess.Popen(
            words,
            cwd=folder,
            env=_environment(folder, path),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _play(number: int, wave: Sequence[Member], may_fail: int) -> dict[str, Any]:
    task = {"name": "deploy", "ansible.builtin.command": {"argv": [_python(), "-c", _STEP, "{{ board }}"]}}
    return {
        "name": _group(number),
        "hosts": _group(number),
        "gather_facts": False,
        "vars": {"board": "{{ inventory_hostname | regex_replace('^board-', '') }}"},
        # A share between this many failures and one more, so that no rounding decides.
        "max_fail_percentage": round((may_fail + 0.5) * 100 / len(wave), 3),
        "tasks": [task],
    }


def _group(number: int) -> str:
    return f"wave_{number}"


def _host(member: Member) -> str:
    """A prefix keeps a board called `all` or `localhost` from meaning something to ansible."""
    return f"board-{member.name}"


def _python() -> str:
    return sys.executable


def _environment(folder: Path, path: Sequence[str]) -> dict[str, str]:
    """The user's environment without settings of theirs for ansible, which could change who goes when."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    ours = {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible" / "local"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "ansible" / "remote"),
        "LC_ALL": "C.UTF-8",  # ansible refuses to start in any other encoding
        DESK: str(folder),
        PATH: os.pathsep.join(path),
    }
    return {**kept, **ours}
