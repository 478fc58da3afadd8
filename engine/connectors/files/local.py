"""A local folder as a place.

Law: every file is reached from the root's own descriptor, segment by segment, without following a link: a name is
resolved once, checked to lie below the root, and then walked as resolved. Whoever swaps a segment for a link in
between is refused by the kernel. Only regular files are opened: a FIFO or device would wait or lie.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.connectors.files.globs import Pattern
from engine.connectors.files.names import encoded, outside, parts_of, shown
from engine.connectors.files.place import Entry, changed
from engine.model.errors import ConfigurationError, PermissionFailure, ResourceExhaustion, TaskFailure

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalFolder:
    """See engine.connectors.files.place.Place. `root` may itself be reached through links."""

    def __init__(self, connection_id: str, root: Path) -> None:
        self._id = connection_id
        self.root = os.path.realpath(root)

    def test(self) -> str:
        folder = self.open_folder(())
        try:
            count = len(os.listdir(folder))
        finally:
            os.close(folder)
        return f"The folder {shown(self.root)} can be read; {count} entries."

    def parts(self, name: str) -> tuple[str, ...]:
        """The segments of a name with the links on its way resolved; outside the root it is refused."""
        given = parts_of(name, self.root)
        real = os.path.realpath(os.path.join(self.root, *given))
        if real != self.root and not real.startswith(self.root.rstrip("/") + "/"):
            raise outside(name)
        return tuple(part for part in real[len(self.root.rstrip("/")) :].split("/") if part)

    def open_folder(self, parts: tuple[str, ...], *, create: bool = False) -> int:
        """A descriptor of a folder below the root, for the caller to close."""
        try:
            if create:
                os.makedirs(self.root, exist_ok=True)
            here = os.open(self.root, _FOLDER)
        except OSError as error:
            raise self.failure(error, self.root) from error
        for at, part in enumerate(parts):
            try:
                deeper = _step(here, part, create)
            except OSError as error:
                raise self.failure(error, "/".join(parts[: at + 1])) from error
            finally:
                os.close(here)
            here = deeper
        return here

    def find(self, name: str) -> Entry | None:
        try:
            parts = self.parts(name)
            if not parts or name.endswith("/"):
                return None
            folder = self.open_folder(parts[:-1])
        except _Missing:
            return None
        try:
            found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.failure(error, name) from error
        finally:
            os.close(folder)
        return entry_of("/".join(parts_of(name, self.root)), found) if stat.S_ISREG(found.st_mode) else None

    def is_folder(self, name: str) -> bool:
        return os.path.isdir(os.path.join(self.root, *self.parts(name)))

    def matching(self, pattern: Pattern) -> Iterator[Entry]:
        try:
            top = self.open_folder(self.parts("/".join(pattern.fixed)))
        except _Missing:
            return
        try:
            yield from self._below(top, pattern.fixed, pattern)
        finally:
            os.close(top)

    def _below(self, folder: int, parts: tuple[str, ...], pattern: Pattern) -> Iterator[Entry]:
        with os.scandir(folder) as scanned:
            here = list(scanned)
        for each in here:
            deeper = (*parts, each.name)
            if each.is_dir(follow_symlinks=False):
                if pattern.enters(deeper):
                    yield from self._enter(folder, deeper, pattern)
            elif pattern.matches("/".join(deeper)):
                found = self.find("/".join(deeper)) if each.is_symlink() else _stat(each.name, folder, deeper)
                if found is not None:
                    yield found

    def _enter(self, folder: int, parts: tuple[str, ...], pattern: Pattern) -> Iterator[Entry]:
        try:
            deeper = os.open(parts[-1], _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return  # gone or swapped for a link since it was listed
            raise self.failure(error, "/".join(parts)) from error
        try:
            yield from self._below(deeper, parts, pattern)
        finally:
            os.close(deeper)

    def open(self, entry: Entry, *, seekable: bool = False) -> LocalFile:
        try:
            descriptor = self._descriptor(self.parts(entry.name))
        except (_Missing, FileNotFoundError) as error:
            raise changed(entry.name) from error  # it was there a moment ago
        except OSError as error:
            raise self.failure(error, entry.name) from error
        return LocalFile(os.fdopen(descriptor, "rb", buffering=0), entry)

    def _descriptor(self, parts: tuple[str, ...]) -> int:
        folder = self.open_folder(parts[:-1])
        try:
            return os.open(parts[-1], _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def uri(self, name: str) -> str:
        return "file://" + encoded("/".join((self.root.rstrip("/"), *parts_of(name, self.root))))

    def close(self) -> None:
        """Nothing is held between two calls."""

    def failure(self, error: OSError, name: str) -> TaskFailure:
        """What the system said, as a kind of failure that names the connection and the file."""
        where = f"'{shown(name)}' (connection '{self._id}')"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return _Missing(f"There is no {where}.")
        if error.errno == errno.ELOOP:
            return outside(name)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return PermissionFailure(f"{where} may not be opened: {error.strerror}. Change its owner or mode.")
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO):
            return ResourceExhaustion(f"{where}: {error.strerror}.")
        return ConfigurationError(f"{where} cannot be used: {error.strerror}.")


class LocalFile:
    """See engine.connectors.files.place.OpenedFile."""

    def __init__(self, file: IO[bytes], entry: Entry) -> None:
        self.file, self.entry = file, entry
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise ConfigurationError(f"'{entry.shown}' is not a regular file; only such files are read.")
        self.check()

    def check(self) -> None:
        if entry_of(self.entry.name, os.fstat(self.file.fileno())).identity != self.entry.identity:
            self.file.close()
            raise changed(self.entry.name)

    def close(self) -> None:
        self.file.close()


class _Missing(ConfigurationError):
    """Nothing of that name."""


def entry_of(name: str, found: os.stat_result) -> Entry:
    """A file's entry from what the system says of it."""
    return Entry(name=name, size=found.st_size, mtime_ns=found.st_mtime_ns, tag=str(found.st_ino))


def _stat(name: str, folder: int, parts: tuple[str, ...]) -> Entry | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return entry_of("/".join(parts), found) if stat.S_ISREG(found.st_mode) else None


def _step(folder: int, part: str, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    try:
        os.mkdir(part, dir_fd=folder)
    except FileExistsError:
        pass  # somebody else made it in between
    return os.open(part, _FOLDER, dir_fd=folder)
