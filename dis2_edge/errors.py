"""What can go wrong, in one tree.

    DisError                  everything that dis2-edge raises on purpose
    ├── UserError             the user's to mend; the CLI prints it without a trace and exits 2
    │   ├── RecipeError       a key or a value of a recipe, rig, fault or board file
    │   ├── DataError         a data set: missing folders, unpaired names, broken or foreign images
    │   │   └── DamagedError  a picture file that is gone, cut short or no picture; training may skip a few
    │   ├── CheckpointError   a run folder that is absent, damaged or of another recipe
    │   ├── ExportError       a network that cannot be written as a model file
    │   ├── BundleError       a bundle that is damaged, altered or of an unknown format
    │   ├── KeyFileError      a key file that is absent, open to others, or no key
    │   ├── WheelError        a package for a board that cannot be had, is altered, or may not be shipped
    │   ├── BoardError        a board that is unknown, or cannot do what was asked
    │   │   ├── LostError     a board that stopped answering half-way
    │   │   └── RolledBackError  a board that did not keep a new version, and flies the one before
    │   ├── SourceError       a sensor source that cannot be opened or read
    │   ├── EngineError       an inference engine that cannot load or run a model file
    │   ├── StorageError      the disk: full, read-only, gone
    │   └── MissingExtraError an optional package that is not installed
    └── InternalError         ours: a broken promise between two parts; the trace is shown

A `UserError` says what was found, what was expected and how to mend it, in that order.
"""

from __future__ import annotations


class DisError(Exception):
    """Everything that dis2-edge raises on purpose."""


class InternalError(DisError):
    """A promise between two parts of dis2-edge was broken: a bug, shown with its trace."""


class UserError(DisError):
    """Something that the user can mend.

    `found` is what is wrong, `expected` what should have been there, `mend` what to do or type next.
    """

    def __init__(self, found: str, *, expected: str = "", mend: str = "") -> None:
        self.found, self.expected, self.mend = found, expected, mend
        parts = [found]
        if expected:
            parts.append(f"expected {expected}")
        if mend:
            parts.append(mend)
        super().__init__("; ".join(parts))


class RecipeError(UserError):
    """A key or a value of a recipe, rig, fault or board file."""


class DataError(UserError):
    """A data set: missing folders, unpaired names, broken or foreign images."""


class DamagedError(DataError):
    """A picture file that is gone, cut short or no picture; training may skip a few."""


class CheckpointError(UserError):
    """A run folder that is absent, damaged or of another recipe."""


class ExportError(UserError):
    """A network that cannot be written as a model file."""


class BundleError(UserError):
    """A bundle that is damaged, altered or of an unknown format."""


class KeyFileError(UserError):
    """A key file that is absent, open to others, or no key."""


class WheelError(UserError):
    """A package for a board that cannot be had, is altered, or may not be shipped."""


class BoardError(UserError):
    """A board that is unknown, or cannot do what was asked."""


class LostError(BoardError):
    """A board that stopped answering half-way."""


class RolledBackError(BoardError):
    """A board that did not keep a new version, and flies the one before."""


class SourceError(UserError):
    """A sensor source that cannot be opened or read."""


class EngineError(UserError):
    """An inference engine that cannot load or run a model file."""


class StorageError(UserError):
    """The disk: full, read-only, gone."""


class MissingExtraError(UserError):
    """An optional package that is not installed; the message holds the pip line."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"the package {package!r} is not installed", mend=f"pip install 'dis2-edge[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        # Worker processes hand their errors over pickled, which by default calls __init__ with the message alone.
        return type(self), (self.package, self.extra)


def told(error: Exception) -> str:
    """Why a part ended that must not end the whole: a UserError in its own words, any other with its kind."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
