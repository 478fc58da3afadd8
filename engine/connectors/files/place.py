"""Places: where files lie, a local folder or an object store, behind one small interface.

Law: names are relative to the connection's root and never lead out of it. A file that is opened is read as it was
when it was opened, or its reader is told that it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from engine.connectors.files.names import shown
from engine.model.errors import DataQualityError

if TYPE_CHECKING:
    from engine.connectors.files.globs import Pattern

MOST_FILES = 100_000  # of one pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file as it stands: whatever is written to it changes one of the last three."""

    name: str  # relative to the root, '/' between segments
    size: int
    mtime_ns: int
    tag: str  # inode or ETag

    @property
    def shown(self) -> str:
        return shown(self.name)

    @property
    def identity(self) -> tuple[int, int, str]:
        """Equal for the same content, different when it was written to or replaced."""
        return (self.size, self.mtime_ns, self.tag)


class OpenedFile(Protocol):
    """One file that is being read."""

    entry: Entry
    file: IO[bytes]

    def check(self) -> None:
        """DataQualityError when it is not any more what was opened."""

    def close(self) -> None: ...


class Place(Protocol):
    """One root with files below it."""

    def test(self) -> str:
        """A sentence that it can be listed. TaskFailure when not."""

    def find(self, name: str) -> Entry | None:
        """One file; None when there is none of that name."""

    def is_folder(self, name: str) -> bool:
        """Whether there is something below this name."""

    def matching(self, pattern: Pattern) -> Iterator[Entry]:
        """Every file a pattern matches, in no order."""

    def open(self, entry: Entry, *, seekable: bool = False) -> OpenedFile:
        """Open a file as it was found. DataQualityError when it has changed since."""

    def uri(self, name: str) -> str:
        """Where it is, for lineage; ASCII, no login, no query."""

    def close(self) -> None: ...


def changed(name: str) -> DataQualityError:
    """The refusal of a file that somebody writes to while it is read."""
    return DataQualityError(
        f"'{shown(name)}' changed while it was being read, so its rows cannot be trusted; nothing of it is loaded. "
        "Retry when its writer has finished, and let it write under another name and rename."
    )
