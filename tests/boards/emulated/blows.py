"""What happens to boards: each kind of blow, and how it is struck at a moment of a deploy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.boards.emulated.scene import Scene
from tests.boards.emulated.watch import Watched

Strike = Callable[[Scene, Watched], str]
AGENT = "b64decode"
"""A word of the agent's command line on the board, and of no other's."""
SERVICE, FLIGHT = "launch.py", ("dis2_edge", " run ")
"""Words of the command lines of what flies: its launcher, and the flight."""
STARTS_S = 60.0
"""How long a flight may take to be there, from the start of its launcher."""
KB = 1024


@dataclass(frozen=True)
class Kind:
    """One kind of blow."""

    name: str
    """Its name in the table."""
    strike: Strike
    """Does it; returns how the deploy's connection goes on."""
    verbs: tuple[str, ...]
    """Requests at whose moments it is struck."""
    when: tuple[str, ...] = ("before", "amid", "after")
    """Which moments of them."""


def kill_deploy(_: Scene, watched: Watched) -> str:
    """The workstation's process is gone; its connection ends."""
    return watched.kill()


def kill_agent(scene: Scene, _: Watched) -> str:
    """The board's agent is gone; its children are not."""
    scene.board.kill(AGENT)
    return "go"


def cut_power(scene: Scene, _: Watched) -> str:
    """The board is dark; what was not synced is lost."""
    scene.board.cut()
    return "drop"


def pull_cable(scene: Scene, _: Watched) -> str:
    """The connection is reset, and no other can be had until somebody plugs it in again."""
    scene.board.wire.plugged = False
    scene.board.wire.cut()
    return "go"


def noise(scene: Scene, _: Watched) -> str:
    """One bit of what the cable carries next is flipped; ssh finds it."""
    scene.board.wire.flip_after = 0
    return "go"


def damage(_: Scene, __: Watched) -> str:
    """One bit of the next file is flipped before ssh seals it, as bad memory would."""
    return "flip"


def damage_stock(scene: Scene, _: Watched) -> str:
    """One bit of each file of the board's stock is flipped that is no file of a version as well (a hard link)."""
    for path in (scene.root / "stock").iterdir():
        if path.stat().st_nlink == 1:
            flip(path)
    return "go"


def damage_bundle(scene: Scene, _: Watched) -> str:
    """One bit of a model of the version that was just placed is flipped, and so in the stock, of which it is a link."""
    new = next(id for id, name in scene.known().items() if name == "new")
    flip(sorted((scene.root / "versions" / new / "bundle").rglob("*.onnx"))[0])
    return "go"


def kill_service(scene: Scene, _: Watched) -> str:
    """What flies is gone, its launcher with it; one that is just being started is waited for."""
    until = time.monotonic() + STARTS_S
    while not scene.board.kill(*FLIGHT) and time.monotonic() < until:
        time.sleep(0.2)
    scene.board.kill(SERVICE)
    return "go"


def fill_disk(left_bytes: int) -> Strike:
    """The disk is full but for some bytes."""

    def strike(scene: Scene, _: Watched) -> str:
        scene.board.fill(left_bytes)
        return "go"

    return strike


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file, whatever its permissions are."""
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


ALL = ("hello", "lock", "have", "put", "place", "install", "prove", "service", "switch", "settle")
CHANGING = ALL[3:]
KINDS = (
    Kind("the deploy is killed", kill_deploy, ALL),
    Kind("the board's agent is killed", kill_agent, ALL),
    Kind("the board's power is cut", cut_power, ALL),
    Kind("the cable is pulled", pull_cable, ALL),
    Kind("a bit flips on the cable", noise, ("put",), ("before", "amid")),
    Kind("a bit flips before ssh", damage, ("put",), ("before",)),
    Kind("bits flip in the board's stock", damage_stock, ("place", "install"), ("before",)),
    Kind("a bit flips in the placed bundle", damage_bundle, ("install", "prove", "switch"), ("before",)),
    Kind("what flies is killed", kill_service, ("prove", "switch", "settle"), ("before", "amid", "after")),
    Kind("the disk is full", fill_disk(0), CHANGING, ("before", "amid")),
    Kind("the disk has 64 kB left", fill_disk(64 * KB), CHANGING, ("before", "amid")),
)


def moments_of(kind: Kind, moments: Sequence[str]) -> list[str]:
    """The moments of a rehearsed deploy at which `kind` is struck.

    Of the many files that are sent, one in the middle and the last; of many words of progress, the middle one.
    """
    chosen = []
    for verb in kind.verbs:
        numbers = sorted({int(m.split()[1]) for m in moments if m.split()[0] == verb})
        for number in {numbers[i]: None for i in (len(numbers) // 2, -1)} if numbers else {}:
            of_it = [m for m in moments if m.split()[:2] == [verb, str(number)]]
            for when in kind.when:
                at = [m for m in of_it if m.split()[2] == when]
                chosen += at[len(at) // 2 : len(at) // 2 + 1]
    return chosen


def wait_for_frozen(scene: Scene, runs: Callable[[], bool]) -> bool:
    """Wait until the board's agent stands still; False where the deploy, of which `runs` tells, ended before."""
    while runs():
        for pid, line in scene.board.processes().items():
            if AGENT in line and _stands(pid):
                return True
        time.sleep(0.1)
    return False


def _stands(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
