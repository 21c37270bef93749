"""`prove`: the version's own Python holds the loaded engines to the goldens, and chooses.

It is a bounded child, as a build may run out of memory or never end.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from dis2_boards.agent import bounded, disk, environment, judging, stock
from dis2_boards.agent.bounded import Ended
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, read_table
from dis2_boards.agent.session import Session

_WORD = re.compile("[a-z][a-z0-9_]{2,19}")
"""A choice becomes a word of a command: it may be no option and no path."""
ENGINES = ("auto", "onnxruntime", "tensorrt")


def prove(
    session: Session, *, id: str, engine: str, limit_s: float, max_drop: float, tiles: str | None
) -> dict[str, Any]:
    """Prove version `id` on this board; its proof, and time and memory that this took. What was chosen is written down.

    A version of which nothing could be chosen has a proof with `chosen` null, and cannot be switched to.
    """
    places = session.at()
    version, out = places.version(id), places.version(id) / ".proof.new"
    judging.judge_standing(places, id)
    if not environment.stands(version):
        raise RefusedError(f"version {id} has no whole environment", mend="install it first")
    disk.unlink(out)
    shown = _shown_tiles(places, version, tiles)
    command = _command(places, id, out, engine, max_drop, shown)
    try:
        ended = disk.made_by_child(out, lambda: bounded.run(command, limit_s, _Relay(session).hear, cwd=places.root))
        proof = _checked(out, id, ended, limit_s)
    finally:
        disk.unlink(out)
        disk.unlink(version / ".tiles.npz")
    _write_down(places, id, proof)
    return {"proof": proof, "seconds": round(ended.seconds, 2), "memory_bytes": ended.memory_bytes}


class _Relay:
    """Hands a child's progress on to the workstation."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hear(self, line: str) -> bool:
        """Whether `line` told progress."""
        if not line.startswith("{"):
            return False
        try:
            table = json.loads(line)
            label, done, total = str(table["label"])[:200], float(table["done"]), float(table["total"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        self._session.wire.tell(label, done, total)
        return True


def _command(
    places: Places, name: str, out: Path, engine: str, max_drop: float, tiles: Path | None
) -> list[str | Path]:
    python = Path(os.path.realpath(places.version(name) / "env")) / "bin" / "python"
    words: list[str | Path] = [python, "-I", "-m", "dis2_edge", "bundle", "prove", places.bundle(name), "--out", out]
    words += ["--engines", places.engines, "--engine", engine, "--max-drop", f"{max_drop:g}", "--progress", "json"]
    if tiles is not None:
        words += ["--tiles", tiles, "--report", places.reports / name]
    return words


def _shown_tiles(places: Places, version: Path, sha: str | None) -> Path | None:
    """The tiles under a name that tells what they are; None without any."""
    if sha is None:
        return None
    try:
        size = os.lstat(places.stock / sha).st_size
    except OSError as error:
        raise RefusedError(f"tiles {sha[:12]}... were not received", mend="deploy again: they are sent") from error
    stock.check(places, [(sha, size)])
    disk.unlink(version / ".tiles.npz")
    disk.same_file(places.stock / sha, version / ".tiles.npz")
    return version / ".tiles.npz"


def _checked(out: Path, name: str, ended: Ended, limit_s: float) -> dict[str, Any]:
    """The proof, if the child wrote one of this version; RefusedError says how the child ended instead."""
    memory = f"{ended.memory_bytes >> 20} MiB"
    if ended.late:
        mend = "give it more time, or prove with --engine onnxruntime"
        raise RefusedError(f"the proof took longer than {limit_s:.0f} s (it held {memory})", mend=mend)
    if ended.status == -9:
        mend = "end what else runs on the board, or prove with --engine onnxruntime"
        raise RefusedError(f"the proof was killed, most likely for lack of memory (it held {memory})", mend=mend)
    proof = read_table(out)
    if proof is None or proof.get("bundle") != name or not _chose(proof, ended):
        found = f"the proof of {name} ended with {ended.status} and no usable proof.json"
        raise RefusedError(f"{found}: {ended.tail.strip()[-600:]}")
    return proof


def _chose(proof: dict[str, Any], ended: Ended) -> bool:
    """Whether proof and exit code agree on there being a choice."""
    chosen = proof.get("chosen")
    if chosen is None:
        return ended.status != 0
    told = isinstance(chosen, dict) and all(_WORD.fullmatch(str(chosen.get(key))) for key in ("engine", "precision"))
    return told and ended.status == 0


def _write_down(places: Places, name: str, proof: dict[str, Any]) -> None:
    """proof.json, then choice.json, which a start reads. What flies keeps its choice where none was made now."""
    version, chosen = places.version(name), proof.get("chosen")
    disk.write_whole(version / "proof.json", as_json(proof))
    if chosen is not None:
        choice = {"engine": chosen["engine"], "precision": chosen["precision"], "rows": proof.get("rows", [])}
        disk.write_whole(version / "choice.json", as_json(choice))
    elif places.flying() != name:
        disk.unlink(version / "choice.json")
        disk.sync_folder(version)
