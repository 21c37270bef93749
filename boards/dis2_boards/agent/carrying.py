"""The agent as a program that is carried to the board: some lines of Python, then an archive read from stdin.

Nothing is written on the board for it: the modules are imported from memory.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("agent", "detection")
"""Packages below dis2_boards that travel; both need Python's standard library alone."""
OLDEST = (3, 10)

# Read by whatever the board calls python3: the syntax is that of Python 2.7 and 3.4 too, so that these answer in words.
_SOURCE = """\
import sys
if sys.version_info < {oldest}:
    sys.stdout.write('{{"error": {{"found": "the board has Python %d.%d", "expected": "{needed} or newer", '
                     '"mend": "use a newer JetPack or Debian, or install a newer python3"}}}}\\n'
                     % (sys.version_info[0], sys.version_info[1]))
    sys.exit(2)
import io, os, zipfile
from importlib import abc, util
class Carried(abc.MetaPathFinder, abc.InspectLoader):
    def __init__(self, data):
        self.files = zipfile.ZipFile(io.BytesIO(data))
        self.names = set(self.files.namelist())
    def find_spec(self, name, path=None, target=None):
        base = name.replace('.', '/')
        for file, package in ((base + '/__init__.py', True), (base + '.py', False)):
            if file in self.names:
                spec = util.spec_from_loader(name, self, origin='/carried/' + file, is_package=package)
                spec.has_location = True
                return spec
    def get_source(self, name):
        return self.get_data(util.find_spec(name).origin).decode('utf-8')
    def is_package(self, name):
        return name.replace('.', '/') + '/__init__.py' in self.names
    def exec_module(self, module):
        origin = module.__spec__.origin
        exec(compile(self.get_data(origin), origin, 'exec'), module.__dict__)
    def get_data(self, path):
        return self.files.read(path.partition('/carried/')[2])
def whole(count):
    data = b''
    while len(data) < count:
        piece = stdin.read(count - len(data))
        if not piece:
            sys.exit('the connection ended before the agent had arrived')
        data += piece
    return data
stdin = os.fdopen(os.dup(0), 'rb')
stdout = os.fdopen(os.dup(1), 'wb')
sys.meta_path.insert(0, Carried(whole({size})))
from dis2_boards.agent.serving import serve_alone
serve_alone(stdin, stdout)
"""


def bootstrap() -> tuple[str, bytes]:
    """What to run as `python3 -I -c SOURCE`, and the archive to send to its stdin before the first request."""
    archive = _archive()
    needed = ".".join(map(str, OLDEST))
    return _SOURCE.format(oldest=OLDEST, needed=needed, size=len(archive)), archive


def _archive() -> bytes:
    """The packages as a zip, the same bytes for the same files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files()):
            archive.writestr(zipfile.ZipInfo(f"dis2_boards/{name}", (1980, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    porch = Path(__file__).resolve().parents[1]
    yield "__init__.py", (porch / "__init__.py").read_bytes()
    for room in ROOMS:
        if (porch / room).is_dir():
            yield from _below(porch / room, f"{room}/")


def _below(folder: Path, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _below(entry, f"{path}{entry.name}/")
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            yield f"{path}{entry.name}", entry.read_bytes()
