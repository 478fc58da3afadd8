"""The state's files on disk: where they are, whose they are and whether the ground under them is safe.

Law: folders are 0700 and files 0600, or 2770 and 0660 for the group in `shared_group`; SQLite gives its -wal and
-shm the mode of the file they belong to. Nothing is created here unless the name of the function says so, and a
file that a database may have open is never opened beside it.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from engine.model.errors import RequestError, StoreUnusable

# Byte-range locks and shared memory are what SQLite stands on; these give one, the other or neither.
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip
_LOCAL_FUSE = frozenset({"fuse.ext2", "fuse.ext4", "fuse.fuse-overlayfs", "fuse.ntfs", "fuseblk"})

Identity = tuple[int, int]  # device and inode: two files of one name are told apart by it


def identity(path: Path) -> Identity | None:
    """Which file has this name now; None when none has."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def size(path: Path) -> int | None:
    """Bytes of the file; None when there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def has_state(path: Path) -> bool:
    """Whether there is something under this name, be it a database or what is left of one.

    It is not opened to see: closing any handle on a file drops every lock this process holds on it, those of
    SQLite's own connections included.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(found.st_mode):
        raise StoreUnusable(f"{path} is a folder; the state has to be a file. Correct `state:`.")
    if not os.access(path, os.R_OK):
        raise StoreUnusable(f"{path} may not be read by this user; ask its owner for access.")
    return found.st_size > 0


def create_folder(folder: Path, shared_group: str | None) -> None:
    """Make the folder (and its parents), private or the group's."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        if shared_group is not None:
            _give_to_group(folder, shared_group, 0o2770)
    except OSError as error:
        raise StoreUnusable(f"The folder {folder} cannot be made: {error.strerror}.") from error


def create_file(path: Path, shared_group: str | None) -> None:
    """Make an empty file with the right mode before SQLite makes one with the wrong mode."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be made: {error.strerror}.") from error
    os.close(handle)
    if shared_group is not None:
        _give_to_group(path, shared_group, 0o660)


def _give_to_group(path: Path, group: str, mode: int) -> None:
    try:
        shutil.chown(path, group=group)
    except LookupError:
        raise RequestError(
            f"`shared_group: {group}`: this machine has no such group. Create it or correct it."
        ) from None
    path.chmod(mode)


def refuse_network_fs(path: Path, *, allowed: bool) -> None:
    """StoreUnusable where SQLite's locks cannot be trusted, unless the settings take the risk."""
    if allowed:
        return
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # not Linux: nothing to tell it by
    kind = file_system(path.resolve(), mounts)
    if is_network(kind):
        raise StoreUnusable(
            f"{path} is on a network file system ({kind}), where the state can be damaged. Set `state:` to a path"
            " on a local disk or to a PostgreSQL URL, or `allow_network_fs: true` to take the risk."
        )


def is_network(kind: str) -> bool:
    """Whether locks there are unsafe; a FUSE file system is local only when it is known to be."""
    return kind in NETWORK_FILE_SYSTEMS or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that carries `path`, by the text of /proc/mounts; '' when unknown."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
