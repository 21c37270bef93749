"""Write files and folders whole or not at all: temporary name first, then rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dis2_edge.errors import StorageError, UserError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10 on JetPack 6
    import tomli as tomllib

_ELSEWHERE = "choose another --out"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the disk's own errors, met while writing `path`, into a StorageError with a mend."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(
                f"no space left while writing {path}", mend="free some space or choose another --out"
            ) from error
        if error.errno in _REFUSED and _about(error, path):
            raise StorageError(f"{path} cannot be written ({error.strerror})", mend=_ELSEWHERE) from error
        raise


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to fill, which becomes `path` at the end: readers see the old file or the new one, never a part."""
    with storage_errors(path):
        _make_room(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, as `new_file` does."""
    with new_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, keys sorted and indented, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, error: type[UserError]) -> Any:
    """Read JSON from `path`; what is missing or broken is raised as `error`."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as cause:
        raise error(f"{path} does not exist") from cause
    except (ValueError, OSError, RecursionError) as cause:
        raise error(f"{path} is not readable JSON ({cause})") from cause


def parse_toml(text: str) -> dict[str, Any]:
    """The table of TOML `text`; a ValueError says where it is broken."""
    return tomllib.loads(text)


def toml_value(text: str) -> Any:
    """What stands behind `key=` on a command line: TOML where it is TOML, else a bare word as a string."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def read_toml(path: Path, error: type[UserError]) -> dict[str, Any]:
    """Read TOML from `path`; what is missing or broken is raised as `error`."""
    try:
        return parse_toml(path.read_text("utf-8"))
    except FileNotFoundError as cause:
        raise error(f"{path} does not exist") from cause
    except (ValueError, OSError, RecursionError) as cause:
        raise error(f"{path} is not readable TOML ({cause})") from cause


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill a temporary folder beside `path`, then rename it to `path`; on any error nothing is left behind.

    An existing `path` that holds files is refused unless `replace` says that it may go.
    """
    path = Path(os.path.abspath(path))
    if not replace:
        check_free(path)
    with storage_errors(path):
        _make_room(path)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        os.chmod(scratch, 0o755)
        try:
            yield scratch
            _swap(scratch, path)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise


def check_free(path: Path, mend: str = "choose another --out or remove it") -> None:
    """Refuse a `path` that holds files; asked before long work too, so that it does not end with this error."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StorageError(f"{path} exists already and is not empty", mend=mend)


def refuse_within(path: Path, bundle: Path, word: str = "--out") -> None:
    """StorageError where `path`, given as `word`, lies in `bundle`: with a file more no board would read that again."""
    if path.resolve().is_relative_to(bundle.resolve()):
        raise StorageError(f"{path} lies within the bundle {bundle}", mend=f"choose another {word}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _make_room(path: Path) -> None:
    """The folder that `path` goes into; some places, as /proc, answer that they do not exist."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise StorageError(f"{path} cannot be written (no folder can be made there)", mend=_ELSEWHERE) from error


def _swap(scratch: Path, path: Path) -> None:
    """Put `scratch` in the place of `path`; what stood there is removed only after the new folder stands."""
    if not os.path.lexists(path):
        os.replace(scratch, path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")) / "old"
    os.replace(path, aside)
    try:
        os.replace(scratch, path)
    except BaseException:
        os.replace(aside, path)
        raise
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)


def _about(error: OSError, path: Path) -> bool:
    """Whether `error` is about `path` or what is being written beside it, not about some file read meanwhile."""
    if not isinstance(error.filename, (str, bytes)):
        return True
    named, near = Path(os.path.abspath(os.fsdecode(error.filename))), Path(os.path.abspath(path.parent))
    return named.is_relative_to(near) or near.is_relative_to(named)
