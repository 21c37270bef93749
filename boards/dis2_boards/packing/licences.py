"""Licences of what a board installs, read out of the wheels themselves; what may not be shipped is refused here."""

from __future__ import annotations

import email.parser
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dis2_boards.packing.own_wheel import licence_text
from dis2_boards.packing.pins import Wheel
from dis2_boards.packing.stock import path_of
from dis2_edge import __version__
from dis2_edge.errors import WheelError
from dis2_edge.files import write_text

FOLDER = "licences"
"""The folder of licences in a bundle."""
NEVER = ("jetson-stats", "jetson_stats")
"""Packages that are never shipped, whatever they say of themselves: AGPL-3.0."""
_AGPL = re.compile(r"\bAGPL|\bAffero\b", re.IGNORECASE)
_TEXTS = re.compile(r"(?:licen[cs]e|copying|notice|thirdparty|authors)[^/]*", re.IGNORECASE)
_LIMIT = 8 << 20
"""Largest licence text or metadata, in bytes, that is unpacked."""


@dataclass(frozen=True)
class Licence:
    """The licence of one version of a package."""

    name: str
    """The package, as it calls itself."""
    version: str
    """Its version."""
    stated: str
    """What its metadata says: an SPDX expression where it gives one."""
    file: str = ""
    """Its texts, in the bundle."""


@dataclass(frozen=True)
class _Facts:
    licence: Licence
    texts: tuple[tuple[str, str], ...]


def own_licence() -> Licence:
    """The licence of dis2-edge itself."""
    return Licence("dis2-edge", __version__, "Apache-2.0", _file_of("dis2-edge", __version__))


def write_licences(folder: Path, wheels: Iterable[Wheel], stock: Path) -> tuple[Licence, ...]:
    """Write the texts of dis2-edge and of all `wheels` into the bundle that is made in `folder`; what each states.

    Wheels of one version may differ from machine to machine in what they bundle: every text is kept once, with the
    wheels that it came in. Raises WheelError on a wheel that is under the AGPL, or cannot be read.
    """
    own = own_licence()
    write_text(folder / own.file, f"dis2-edge {__version__}: Apache-2.0\n\n{licence_text()}")
    facts: dict[tuple[str, str], list[tuple[Wheel, _Facts]]] = {}
    for wheel in sorted(set(wheels), key=lambda wheel: wheel.filename):
        if not wheel.filename.startswith("dis2_edge-"):
            found = _read(path_of(stock, wheel))
            facts.setdefault((found.licence.name, found.licence.version), []).append((wheel, found))
    for rows in facts.values():
        licence = rows[0][1].licence
        write_text(folder / licence.file, _page(licence, rows))
    return (own, *(rows[0][1].licence for rows in facts.values()))


def _read(path: Path) -> _Facts:
    """What a wheel states, and its texts; WheelError when it may not be shipped."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            head = email.parser.Parser().parsestr(_text(archive, info))
            texts = tuple((name, _text(archive, name)) for name in _texts_of(archive.namelist()))
    except (OSError, zipfile.BadZipFile, StopIteration, NotImplementedError, RuntimeError) as cause:
        raise WheelError(f"{path} is no wheel that can be read ({cause})", mend="remove it, deploy again") from cause
    name, version = str(head["Name"]), str(head["Version"])
    said = [str(value) for key in ("License-Expression", "License", "Classifier") for value in head.get_all(key, [])]
    said = [text for text in said if not text.startswith("Classifier") and (" :: " not in text or "License" in text)]
    _refuse_agpl(path, name, said, texts)
    return _Facts(Licence(name, version, _stated(said), _file_of(name, version)), texts)


def _refuse_agpl(path: Path, name: str, said: list[str], texts: tuple[tuple[str, str], ...]) -> None:
    # By heads alone: the GPL, which NumPy's wheels quote for a library of GCC, names the AGPL deep in its text.
    is_agpl = any(_AGPL.search(text[:300]) for text in (*said, *(text for _, text in texts)))
    if is_agpl or name.lower() in NEVER:
        mend = "install it on the board by hand, if you want it there: dis2-edge finds it, and does without it"
        raise WheelError(f"{path.name} is under the AGPL", expected="licences that let a bundle carry it", mend=mend)


def _texts_of(names: list[str]) -> list[str]:
    """Licence texts of the distribution: in its .dist-info and at the top of its package, none of parts within."""
    found = []
    for name in sorted(names):
        *rooms, last = name.split("/")
        top = len(rooms) == 1 or (len(rooms) == 2 and rooms[0].endswith(".dist-info"))
        if top and _TEXTS.fullmatch(last) and not last.endswith((".py", ".pyc")):
            found.append(name)
    return found


def _text(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _LIMIT:
        raise zipfile.BadZipFile(f"{name} is larger than {_LIMIT} bytes")
    return archive.read(name).decode("utf-8", "replace").replace("\r\n", "\n")


def _stated(said: list[str]) -> str:
    """The shortest true answer: an expression, else the classifiers, else the first line of what is said."""
    short = [text for text in said if len(text) <= 60 and "\n" not in text]
    plain = [text for text in short if " :: " not in text]
    classed = [text.rpartition(" :: ")[2] for text in short if " :: " in text]
    return next(iter(plain), "") or " and ".join(classed) or "not stated"


def _file_of(name: str, version: str) -> str:
    return f"{FOLDER}/{re.sub(r'[^A-Za-z0-9._+-]', '_', f'{name}-{version}')}.txt"


def _page(licence: Licence, rows: list[tuple[Wheel, _Facts]]) -> str:
    """All texts of one version, each once."""
    pages: dict[tuple[str, str], list[str]] = {}
    for wheel, facts in rows:
        for name, text in facts.texts:
            pages.setdefault((re.sub(r"^[^/]+\.dist-info/", "", name), text.strip()), []).append(wheel.filename)
    lines = [f"{licence.name} {licence.version}: {licence.stated}", *(f"  {wheel.filename}" for wheel, _ in rows)]
    if not pages:
        lines += ["", "Its wheels hold no text of their licence; the line above is what their metadata states."]
    for (name, text), wheels in pages.items():
        some = "" if len(set(wheels)) == len(rows) else f" (of {', '.join(dict.fromkeys(wheels))})"
        lines += ["", f"==== {name}{some}", "", text]
    return "\n".join(lines) + "\n"
