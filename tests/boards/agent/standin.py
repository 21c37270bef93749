"""A stand-in for dis2-edge as a wheel: a bundle's file behaviour.json says what `bundle prove` and `run` do with it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import zipfile
from typing import Any

from tests.boards.agent.bundles import Fake, bundle, send
from tests.boards.agent.talking import Talk

NAME = "dis2_edge-0.0.1-py3-none-any.whl"
MAIN = """
import json, os, signal, sys, time
from pathlib import Path

words = sys.argv[1:]
given = dict(zip(words, words[1:]))
place = Path(words[2] if words[0] == "bundle" else words[1])
does = json.loads((place / "behaviour.json").read_text())
name = os.path.basename(os.path.dirname(os.path.realpath(place)))
assert sys.flags.isolated and "json" in sys.modules and not hasattr(json, "taken_from_home")

def write(path, table):
    Path(f"{path}.part").write_text(json.dumps(table))
    os.replace(f"{path}.part", path)

def prove(how):
    print("a word that is no progress", flush=True)
    for done in range(3):
        print(json.dumps({"label": "build", "done": done, "total": 2}), file=sys.stderr, flush=True)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not os.fork():
            time.sleep(600)
        time.sleep(600)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash":
        sys.exit("x" * 100000 + " the end of it")
    chosen = None if how == "none" else {"engine": "onnxruntime", "precision": "int8"}
    told = {"bundle": "0" * 12 if how == "other" else name, "rows": [], "chosen": chosen, "why": how}
    told["tiles"] = len(Path(given["--tiles"]).read_bytes()) if "--tiles" in given else None
    write(given["--out"], "[]" if how == "garbage" else told)
    sys.exit(0 if chosen else 2)

def run(how):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    print("flying", name, words, flush=True)
    state, started = given["--state"], time.time()
    for tick in range(10000):
        if stop:
            break
        if how == "crash" or (how == "restart" and tick == 10):
            sys.exit("fell over")
        if how != "silent":
            ticks = 0 if how == "stuck" else tick
            live = {"bundle": name, "pid": os.getpid(), "started_s": started, "written_s": time.time()}
            write(state, {**live, "ticks": ticks, "telemetry": {"power_w": 7.0}})
        time.sleep(0.02)
    Path(state).with_name(f"summary-{name}").write_text("ended well")

(prove if words[0] == "bundle" else run)(does["prove" if words[0] == "bundle" else "run"])
"""


def wheel(**extra: str) -> bytes:
    """The wheel; `extra` are further files by path with `__` for `/`."""
    info = "dis2_edge-0.0.1.dist-info"
    files = {"dis2_edge/__init__.py": "", "dis2_edge/__main__.py": MAIN}
    files |= {
        "dis2_edge/tests/test_it.py": "1",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: dis2-edge\nVersion: 0.0.1\n",
    }
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files |= {path.replace("__", "/"): text for path, text in extra.items()}
    files[f"{info}/RECORD"] = (
        "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in files.items()) + f"{info}/RECORD,,\n"
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
    return data.getvalue()


def version(name: str, prove: str = "ok", run: str = "ok", **options: Any) -> Fake:
    """A bundle that behaves so."""
    return bundle(name, **options, **{"behaviour.json": json.dumps({"prove": prove, "run": run}).encode()})


def deliver(talk: Talk, fake: Fake) -> None:
    """Send, install and prove."""
    send(talk, fake)
    sha, size = talk.upload(wheel())
    talk.ask("install", id=fake.id, wheels=[[NAME, sha, size]])
    talk.ask("prove", id=fake.id, limit_s=60)


def tag() -> str:
    """What wheels of this machine's Python are for."""
    import platform

    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}"


def _hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
