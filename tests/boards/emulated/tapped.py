"""dis2-edge with an agent that counts the changes it makes to the board's disk, and stops before one of them.

    python -m tests.boards.emulated.tapped count|kill|freeze NUMBER VERB ...

The agent that is carried to the board is the real one, with lines added behind its module `disk`, through which every
change goes. `kill` ends it there (SIGKILL); `freeze` stops it (SIGSTOP), so that the power can be cut at that point.
"""

from __future__ import annotations

import io
import signal
import sys
import zipfile

from dis2_boards.agent import carrying
from dis2_edge.cli import main

COUNTED = "/tmp/changes"
"""The board's list of changes: in its memory, so that its disk is left alone."""
MODULE = "dis2_boards/agent/disk.py"
SIGNALS = {"count": 0, "kill": int(signal.SIGKILL), "freeze": int(signal.SIGSTOP)}
LINES = """

class _Counting(Witness):
    count = 0

    def before(self, name, path):
        self.count += 1
        with open({counted!r}, "a") as file:
            file.write("%d %s %s\\n" % (self.count, name, path.name))
        if self.count == {at} and {number}:
            os.kill(os.getpid(), {number})


witness = _Counting()
"""


def tap(archive: bytes, how: str, at: int, counted: str = COUNTED) -> bytes:
    """The agent's archive, with the counting added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for row in old.infolist():
            more = LINES.format(counted=counted, at=at, number=SIGNALS[how]) if row.filename == MODULE else ""
            new.writestr(row, old.read(row) + more.encode())
    return out.getvalue()


if __name__ == "__main__":
    real, mode, change = carrying._archive, sys.argv[1], int(sys.argv[2])
    carrying._archive = lambda: tap(real(), mode, change)
    sys.exit(main(sys.argv[3:]))
