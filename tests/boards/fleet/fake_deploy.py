"""Stands for `dis2-edge deploy` and `status`: a board is a folder: what flies, how it will go."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(words: list[str]) -> int:
    """Do what the board's `mode` says: keep, roll back, refuse, die, wait for a file or forever."""
    asked = words
    words = [word for word in words if word != "--unless-flying"]
    first = 2 if words[0] == "deploy" else 1
    options = {words[place]: words[place + 1] for place in range(first, len(words) - 1, 2)}
    board, new = Path(options["--target"].removeprefix("dir:")), Path(words[1]).name
    if words[0] == "status":
        print(json.dumps({"current": _text(board / "current") or None}))
        return 2 if words[-1] == "--json" else 1
    flies = _text(board / "current") or None
    _note(board, f"begin {board.name}")
    (board / "words").write_text(json.dumps(words))
    (board / "asked").write_text(json.dumps(asked))
    mode = _text(board / "mode") or "keep"
    if mode == "wait":
        _wait(board / "go on")
        mode = "keep"
    if mode == "forever":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        (board / "at work").touch()
        _wait(board / "never")
    if mode == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "refuse":
        print("dis2-edge: too little space; expected 100 MB; free some", file=sys.stderr)
        return 2
    state = {"keep": "kept", "roll back": "rolled back"}[mode]
    if flies == new:
        state = "flew already"
    elif mode == "keep":
        (board / "current").write_text(new)
    told = {"state": state, "before": flies, "after": _text(board / "current") or None, "why": ""}
    if state == "rolled back":
        told["why"] = "no tick within 10 s"
    else:
        told |= {"engine": "onnxruntime", "precision": "int8", "p50_ms": 12.5}
    Path(options["--record"]).write_text(json.dumps(told))
    _note(board, f"end {board.name}")
    return 2 if state == "rolled back" else 0


def _wait(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise SystemExit("nobody came")


def _text(path: Path) -> str:
    return path.read_text("utf-8").strip() if path.is_file() else ""


def _note(board: Path, line: str) -> None:
    """Add to the diary of the fleet, whose lines are whole as they are short."""
    with (board.parent / "diary").open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
