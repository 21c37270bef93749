#!/usr/bin/env python3
"""Stands for ansible-playbook: plays in order, a wave's hosts side by side, an end by max_fail_percentage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def main(words: list[str]) -> int:
    """Play the playbook as ansible would; 2 when a host failed."""
    options = {words[place]: words[place + 1] for place in range(0, len(words) - 1) if words[place].startswith("--")}
    files = [word for word in words if word.endswith("playbook.json")]
    groups = json.loads(Path(options["--inventory"]).read_text("utf-8"))["all"]["children"]
    failed_ever = False
    for play in json.loads(Path(files[0]).read_text("utf-8")):
        hosts = list(groups[play["hosts"]]["hosts"])
        with ThreadPoolExecutor(int(options["--forks"])) as pool:
            codes = list(pool.map(lambda host, play=play: _task(play, host), hosts))
        failed = sum(code != 0 for code in codes)
        failed_ever |= failed > 0
        if failed * 100 / len(hosts) > play["max_fail_percentage"] or failed == len(hosts):
            break
    return 2 if failed_ever else 0


def _task(play: dict[str, Any], host: str) -> int:
    board = re.sub("^board-", "", host)
    argv = play["tasks"][0]["ansible.builtin.command"]["argv"]
    return subprocess.run([word.replace("{{ board }}", board) for word in argv], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
