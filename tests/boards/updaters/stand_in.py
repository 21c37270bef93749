"""Stands for the agent on the board: its words and promises, on a folder; ROOT/blows.json says what strikes where.

A blow is `refuse` (the request ends in an error), `no` (no engine passes; not kept) or `die` (power goes before the
request is done). What is begun and not kept is undone by the end of a connection, or by the next `lock`.
"""

import hashlib
import json
import os
import sys

LISTS = ("log", "stock", "placed", "installed", "proven")


class Board:
    def __init__(self, root):
        self.path = os.path.join(root, "board.json")
        self.root = root
        self.now = {"current": None, "previous": None, "pending": None, **{name: [] for name in LISTS}}
        if os.path.exists(self.path):
            with open(self.path) as file:
                self.now.update(json.load(file))

    def keep(self):
        with open(self.path + ".new", "w") as file:
            json.dump(self.now, file)
        os.replace(self.path + ".new", self.path)

    def blow(self, verb):
        path = os.path.join(self.root, "blows.json")
        if not os.path.exists(path):
            return ""
        with open(path) as file:
            return json.load(file).get(verb, "")

    def undo(self):
        pending = self.now["pending"]
        if pending:
            self.now.update(current=pending["before"], pending=None)
            self.keep()


def serve(read, write):
    board = None
    while True:
        line = read.readline()
        if not line:
            if board:
                board.undo()
            return
        ask = json.loads(line)
        verb = ask.pop("ask")
        if verb == "hello":
            board = Board(ask["root"])
        body = read.read(ask["bytes"] - ask["offset"]) if verb == "put" else b""
        blow = board.blow(verb)
        if verb == "switch" and blow == "die":  # the hardest moment: it flies, and nobody kept it
            act(board, verb, ask, body)
        if blow == "die":
            os._exit(9)
        if verb == "prove":
            say(write, {"tell": {"label": "proving", "done": 1, "total": 2}})
        if blow == "refuse":
            say(write, {"error": {"found": verb + " failed", "expected": "better", "mend": "try again"}})
            continue
        answer = act(board, verb, ask, body) if blow != "no" else refusal(board, verb)
        board.now["log"].append(verb)
        board.keep()
        say(write, {"answer": answer})


def act(board, verb, ask, body):
    now, name = board.now, ask.get("id")
    if verb == "hello":
        tag = {"python_tag": "cp{}{}".format(*sys.version_info[:2]), "machine": os.uname().machine}
        return {"current": now["current"], "detected": {"board": board.blow("board")}, **tag}
    if verb == "lock":
        board.undo()
        return {}
    if verb == "status":
        healthy = False if board.blow("health") == "no" else None
        return {"current": now["current"], "pending": (now["pending"] or {}).get("id"), "healthy": healthy, "why": "x"}
    if verb == "have":
        return {"missing": [sha for sha, _ in ask["files"] if sha not in now["stock"]], "partial": {}}
    if verb == "put":
        assert hashlib.sha256(body).hexdigest() == ask["sha256"], "damaged on the way"
        now["stock"].append(ask["sha256"])
    elif verb == "place":
        assert all(sha in now["stock"] for sha, _ in ask["files"].values()), ask
        assert ask["files"]["manifest.json"][0].startswith(name)
        now["placed"].append(name)
    elif verb == "install":
        assert name in now["placed"]
        assert all(sha in now["stock"] for _, sha, _ in ask["wheels"]), ask
        now["wheels"] = [filename for filename, _, _ in ask["wheels"]]
        now["installed"].append(name)
    elif verb == "prove":
        assert name in now["installed"]
        now["proven"].append(name)
        return {"proof": {"chosen": {"engine": "onnxruntime", "precision": "int8"}, "why": ""}}
    elif verb == "switch":
        assert name in now["proven"]
        now.update(pending={"id": name, "before": now["current"]}, current=name)
        board.keep()
        return {"before": now["pending"]["before"]}
    elif verb == "settle":
        now.update(previous=now["pending"]["before"], pending=None)
        return {"kept": True, "why": ""}
    elif verb == "rollback":
        assert ask["to"] in now["placed"] or ask["to"] == "aaaaaaaaaaaa"
        now.update(current=ask["to"], previous=now["current"])
        return {"before": now["previous"], "current": ask["to"]}
    return {}


def refusal(board, verb):
    board.undo()
    return {"kept": False, "why": "no tick"} if verb == "settle" else {"proof": {"chosen": None, "why": "all wrong"}}


def say(write, table):
    write.write((json.dumps(table) + "\n").encode())
    write.flush()
