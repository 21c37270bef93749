"""Checks of the machine alone: Python, clock, folder, who may do what. They are held before anything is packed."""

from __future__ import annotations

import time

from dis2_boards.deployment.checks import Case, Check
from dis2_boards.profile import known_boards, load
from dis2_edge.errors import BoardError
from dis2_edge.quantities import span

PYTHONS = ((3, 10), (3, 13))
"""Oldest and newest Python that there are wheels for."""
CLOCK_LIMIT_S = 300.0
"""Difference of clocks that is let pass."""


def _refused(case: Case) -> BoardError | None:
    found = case.facts.board
    reason = load(found, even_refused=True).refused if found in known_boards() else ""
    if not reason:
        return None
    return BoardError(
        f"{case.order.target.name} is a board that is listed and refused: {found}, as {reason}",
        expected="a board that is served",
        mend="list them: dis2-edge boards",
    )


def _python(case: Case) -> BoardError | None:
    oldest, newest = PYTHONS
    found = tuple(int(part) for part in case.facts.python.split(".")[:2] if part.isdecimal())
    if oldest <= found <= newest:
        return None
    age = "old" if found < oldest else "new"
    return BoardError(
        f"the Python of {case.order.target.name} is {case.facts.python}, too {age}",
        expected="3.10 to 3.13, for which there are wheels",
        mend="name another one that is there: --python python3.10; JetPack 6 brings 3.10, JetPack 7 brings 3.12, and "
        "JetPack 5 (3.8) and older ones are not served",
    )


def _venv(case: Case) -> BoardError | None:
    if case.facts.venv:
        return None
    version = ".".join(case.facts.python.split(".")[:2])
    return BoardError(
        f"the Python {version} of {case.order.target.name} cannot make environments: its venv is not installed",
        expected="the modules venv and ensurepip",
        mend=f"install it: {case.order.target.shell(f'sudo apt install python{version}-venv')}",
    )


def _folder(case: Case) -> BoardError | None:
    if case.facts.writable:
        return None
    own = case.order.target.shell(f"sudo install -d -o {case.facts.user} {case.facts.root}")
    return BoardError(
        f"{case.facts.user or 'the user'} cannot write {case.facts.root} on {case.order.target.name}",
        mend=f"give it to them: {own}; or choose another one: --root",
    )


def _clock(case: Case) -> BoardError | None:
    if abs(case.ahead_s) <= CLOCK_LIMIT_S:
        return None
    way = "ahead of" if case.ahead_s > 0 else "behind"
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    network = case.order.target.shell("sudo timedatectl set-ntp true")
    by_hand = case.order.target.shell(f"sudo date -u -s '{now}'")
    return BoardError(
        f"the clock of {case.order.target.name} is {span(abs(case.ahead_s))} {way} this computer's",
        expected=f"at most {span(CLOCK_LIMIT_S)}: logs, flights and the health check are told by it",
        mend=f"set it from the network: {network}; or by hand: {by_hand}",
    )


def _workstation(case: Case) -> BoardError | None:
    meant = case.order.workstation or not case.order.target.remote or case.order.board == "workstation-cuda"
    if meant or not case.facts.workstation:
        return None
    return BoardError(
        f"{case.order.target.name} is a workstation ({case.facts.detected.get('model') or case.facts.machine}, with a "
        "desktop), no board",
        expected="the board that flies",
        mend=f"see whether the address is right; if it is meant: {case.order.again('--yes-workstation')}",
    )


def _service(case: Case) -> BoardError | None:
    kind, target = case.order.service or case.facts.service, case.order.target
    if kind.startswith("systemd") and not case.facts.systemd:
        return BoardError(
            f"{target.name} has no systemd, which --service {kind} needs",
            mend=f"start it as a plain process: {case.order.again('--service', 'process')}",
        )
    if kind == "systemd" and not case.facts.sudo and case.facts.user != "root":
        return BoardError(
            f"{case.facts.user or 'the user'} may not use sudo without a password on {target.name}, which --service "
            "systemd needs to start what flies",
            mend=f"let it be a service of the user's own: {case.order.again('--service', 'systemd-user')}; or "
            f"allow it: {target.shell('sudo visudo -f /etc/sudoers.d/dis2-edge')}",
        )
    return None


MACHINE_CHECKS = (
    Check("refused board", _refused),
    Check("Python", _python),
    Check("venv", _venv),
    Check("root folder", _folder),
    Check("clock", _clock),
    Check("workstation", _workstation),
    Check("service", _service),
)
"""Held before a bundle is packed, which may take minutes."""
