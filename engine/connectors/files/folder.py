"""The folder a local target lies in: everything by descriptor and plain name, nothing through a link.

Law: a file is whole and on the disk before it gets its name, and its folder is synced after. Two folders are
exchanged by one call of the kernel where it can; elsewhere by two renames, which `mend` completes if the process
dies between them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from engine.connectors.files.names import shown
from engine.model.errors import ResourceExhaustion

_EXCHANGE = 2
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LOCK_SECONDS = 60.0


class Folder:
    """An open folder. Names may have slashes: folders below it that this program made."""

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor

    def close(self) -> None:
        """Let go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def stat(self, name: str) -> os.stat_result | None:
        """What there is of that name, links not followed; None when nothing."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name."""
        found = self.stat(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def names(self) -> list[str]:
        """Everything in it."""
        return os.listdir(self.fd)

    def below(self, name: str) -> Folder:
        """A folder in it, opened."""
        return Folder(os.open(name, _FOLDER, dir_fd=self.fd))

    def make(self, name: str) -> bool:
        """Make a folder; False when it was there."""
        try:
            os.mkdir(name, dir_fd=self.fd)
        except FileExistsError:
            return False
        return True

    def read(self, name: str, most: int) -> bytes | None:
        """A small file; None when there is none."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most)

    def write(self, name: str, data: bytes) -> None:
        """Replace a small file by rename. One process at a time: see `locked`."""
        partial = f"{name}.new"
        self.remove(partial)
        file = self.create(partial)
        file.write(data)
        file.close()
        self.rename(partial, name)
        self.sync()

    def create(self, name: str) -> NewFile:
        """A new file, and the folders on its way."""
        parts = name.split("/")
        for at in range(1, len(parts)):
            self.make("/".join(parts[:at]))
        return NewFile(os.fdopen(os.open(name, _NEW, 0o666, dir_fd=self.fd), "wb", buffering=1 << 20))

    def rename(self, name: str, to: str, folder: Folder | None = None) -> None:
        """Atomically, over what is there."""
        os.rename(name, to, src_dir_fd=self.fd, dst_dir_fd=(folder or self).fd)

    def exchange(self, name: str, folder: Folder, other: str) -> bool:
        """Two names for each other at once; False where the kernel or file system cannot."""
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is None:
            return False
        if rename(self.fd, os.fsencode(name), folder.fd, os.fsencode(other), _EXCHANGE) == 0:
            return True
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            return False
        raise OSError(code, os.strerror(code), other)

    def link(self, name: str, folder: Folder, to: str) -> None:
        """A second name for a file, or a copy where there are no such links."""
        try:
            os.link(name, to, src_dir_fd=self.fd, dst_dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
            self._copy(name, folder, to)

    def _copy(self, name: str, folder: Folder, to: str) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        with os.fdopen(descriptor, "rb") as source:
            file = folder.create(to)
            shutil.copyfileobj(source, file, 1 << 20)
            file.close()

    def remove(self, name: str) -> None:
        """A file, or a folder with all that is in it; nothing when it is not there."""
        found = self.stat(name)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=self.fd)
        else:
            os.unlink(name, dir_fd=self.fd)

    def remove_empty(self, name: str) -> None:
        """A folder, if nothing is left in it."""
        try:
            os.rmdir(name, dir_fd=self.fd)
        except OSError:
            pass  # somebody has put something there, or it is gone

    def files(self, under: str) -> Iterator[str]:
        """All files below one of its folders, named from it."""
        descriptor = os.open(under, _FOLDER, dir_fd=self.fd)
        try:
            with os.scandir(descriptor) as scanned:
                here = [(each.name, each.is_dir(follow_symlinks=False)) for each in scanned]
        finally:
            os.close(descriptor)
        for inner, is_folder in here:
            name = f"{under}/{inner}"
            if is_folder:
                yield from self.files(name)
            else:
                yield name

    def sync(self) -> None:
        """Names that were given are on the disk."""
        os.fsync(self.fd)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """One process at a time; the kernel lets go for one that dies."""
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self.fd)
        try:
            _lock(descriptor, name)
            yield
        finally:
            os.close(descriptor)


class NewFile:
    """A file that is being written. See engine.connectors.files.sinks.OutFile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def close(self) -> None:
        """On the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Left as it is; the next load of the target removes it."""
        try:
            self._file.close()
        except OSError:
            pass  # what it still held finds no room on the disk; nobody wants it


def _lock(descriptor: int, name: str) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise ResourceExhaustion(
                    f"Another load has been publishing '{shown(name)}' for {LOCK_SECONDS:g} s; retry later."
                ) from error
        time.sleep(0.02)
