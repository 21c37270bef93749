"""What an updater runs on the board: `python3 -I updater.pyz install|commit|rollback ARCHIVE STATE`.

All safety is the agent's, which the archive brings. Python's standard library only, as nothing else is there yet. STATE
is a folder that the updater keeps for the whole of one update; each command may be cut off and repeated. See
`settings` for what the environment may say.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from dis2_boards.updaters import settings
from dis2_boards.updaters.messages import StoppedError, say
from dis2_boards.updaters.payload import AGENT, BUNDLE, SOURCE, WHEELS, Payload
from dis2_boards.updaters.settings import Settings
from dis2_boards.updaters.talking import Agent

MIN_TICKS = 5
"""Ticks that a new version must have answered to be kept."""
MAX_DROP = 0.5
"""Points of mIoU that the faster precision may lose."""


def install(payload: Payload, state: str, given: Settings) -> None:
    """Place, install, prove, switch and settle the version; what flew before is remembered in `state`."""
    with _agent(payload, given) as agent:
        facts = _greet(agent, payload, given)
        status = _lock(agent, given)
        _remember(state, payload.id, status.get("current"))
        if status.get("current") == payload.id and status.get("healthy") is not False:
            say(f"{payload.id} flies already")
            return
        _check_board(payload, facts)
        wheels = payload.wheels(f"{facts.get('python_tag')}-{facts.get('machine')}")
        _send_missing(agent, payload, wheels)
        _bring_up(agent, payload, wheels, given)


def commit(payload: Payload, state: str, given: Settings) -> None:
    """Only ask: what was installed must fly, kept, and be healthy where the board can tell."""
    with _agent(payload, given) as agent:
        _greet(agent, payload, given)
        status = agent.ask("status")
    if status.get("current") != payload.id or status.get("pending"):
        raise StoppedError(f"{status.get('current') or 'nothing'} flies", payload.id)
    if status.get("healthy") is False:
        raise StoppedError(f"{payload.id} is not healthy: {status.get('why')}")
    say(f"{payload.id} flies")


def rollback(payload: Payload, state: str, given: Settings) -> None:
    """Let fly again what flew before this update; nothing to do where the version never came to fly."""
    with _agent(payload, given) as agent:
        _greet(agent, payload, given)
        current = _lock(agent, given).get("current")
        before = _remembered(state, payload.id)
        if current != payload.id or before == payload.id:
            say(f"{current or 'nothing'} flies: there is nothing to undo")
        elif before is None:
            raise StoppedError(f"{payload.id} flies, and nothing flew before it", "a version to go back to")
        else:
            say(f"{agent.ask('rollback', to=before)['current']} flies again")


def main(words: list[str]) -> int:
    """Do a command; 0 when it is done, 1 with the reason on stderr."""
    if len(words) != 3 or words[0] not in COMMANDS:
        print(f"usage: updater.pyz {'|'.join(COMMANDS)} ARCHIVE STATE", file=sys.stderr)
        return 1
    try:
        given = settings.read(os.environ)
        with Payload(words[1]) as payload:
            COMMANDS[words[0]](payload, words[2], given)
    except (StoppedError, OSError, ValueError) as error:
        print(f"dis2-edge: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 1
    return 0


COMMANDS: dict[str, Callable[[Payload, str, Settings], None]] = {
    "install": install,
    "commit": commit,
    "rollback": rollback,
}


def _agent(payload: Payload, given: Settings) -> Agent:
    return Agent(payload.read(SOURCE).decode("utf-8"), payload.read(AGENT), given.root, given.user)


def _greet(agent: Agent, payload: Payload, given: Settings) -> dict[str, Any]:
    return agent.ask("hello", root=given.root, now_s=time.time(), version=str(payload.contents["version"]))


def _lock(agent: Agent, given: Settings) -> dict[str, Any]:
    """Hold the board, which undoes what an interrupted update left, and say what is there then."""
    agent.ask("lock", wait_s=given.wait_s, who="an updater")
    return agent.ask("status")


def _check_board(payload: Payload, facts: dict[str, Any]) -> None:
    found, wanted = (facts.get("detected") or {}).get("board") or "", payload.contents["only_on"]
    if wanted and found != wanted:
        mend = f"make an archive for it: dis2-edge deploy QRUN --board {found or 'NAME'}"
        raise StoppedError(f"this is {found or 'no board that is known'}, and the bundle is for {wanted}", wanted, mend)


def _send_missing(agent: Agent, payload: Payload, wheels: list[list[Any]]) -> None:
    """Every file that the board's stock lacks, by content."""
    files = {sha: (BUNDLE + path, size) for path, (sha, size) in payload.contents["files"].items()}
    files.update({sha: (WHEELS + filename, size) for filename, sha, size in wheels})
    answer = agent.ask("have", files=[[sha, size] for sha, (_, size) in sorted(files.items())])
    for sha in answer["missing"]:
        name, size = files[sha]
        agent.ask("put", payload.pieces(name), sha256=sha, bytes=size, offset=0)


def _bring_up(agent: Agent, payload: Payload, wheels: list[list[Any]], given: Settings) -> None:
    """From files in the stock to a version that is kept; one that is not is a StoppedError, and the old one flies."""
    name, engine = payload.id, given.engine
    agent.ask("place", id=name, files=payload.contents["files"])
    system_packages = bool(payload.contents["tensorrt"]) and engine != "onnxruntime"
    agent.ask("install", id=name, wheels=wheels, system_packages=system_packages)
    proof = agent.ask("prove", id=name, engine=engine, limit_s=given.limit_s, max_drop=MAX_DROP, tiles=None)["proof"]
    if not proof.get("chosen"):
        raise StoppedError(f"no engine of {name} passed: {proof.get('why') or 'no reason was told'}")
    if given.service:
        agent.ask("service", kind=given.service, command=None)
    agent.ask("switch", id=name)
    verdict = agent.ask("settle", wait_s=given.settle_s, min_ticks=MIN_TICKS)
    if not verdict.get("kept"):
        raise StoppedError(f"{name} was not kept, what flew before flies: {verdict.get('why')}")
    say(f"{name} flies: {proof['chosen']['engine']} {proof['chosen']['precision']}")


def _remember(state: str, name: str, before: str | None) -> None:
    """Keep what flew before, once: a command that is repeated after its switch must not remember itself."""
    path = os.path.join(state, f"{name}.json")
    if os.path.exists(path):
        return
    with open(f"{path}.new", "w", encoding="ascii") as file:
        json.dump({"before": before}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def _remembered(state: str, name: str) -> str | None:
    """What flew before; where nothing was remembered nothing was begun, and `name` itself says so."""
    try:
        with open(os.path.join(state, f"{name}.json"), encoding="ascii") as file:
            return json.load(file)["before"]  # type: ignore[no-any-return]
    except FileNotFoundError:
        return name
