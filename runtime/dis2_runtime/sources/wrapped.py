"""A source around another one, which changes what comes out of it."""

from __future__ import annotations

from dis2_runtime.sources import Source


class WrappedSource:
    """Opens and closes the source that it is around; `next` is for the heirs to write."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def open(self) -> None:
        """Open what is wrapped."""
        self._source.open()

    def close(self) -> None:
        """Close what is wrapped."""
        self._source.close()


def innermost(source: Source) -> Source:
    """The source within all that is around it."""
    while isinstance(source, WrappedSource):
        source = source._source
    return source
