"""A local target with what is kept beside it: ledger, lock, staged rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from engine.connectors.files.aim import Aim
from engine.connectors.files.folder import Folder
from engine.connectors.files.ledger import LARGEST, Ledger
from engine.connectors.files.names import shown
from engine.model.errors import ConfigurationError
from engine.ports import failpoint

# Seconds until a leftover of a dead load may go.
STALE: Mapping[str, float] = {".stage": 86_400.0, ".before": 7 * 86_400.0}


class Beside:
    """A target's folder, and the folder of ledgers and staged rows in it."""

    def __init__(self, parent: Folder, side: Folder, aim: Aim) -> None:
        self.parent, self.side, self.aim = parent, side, aim

    @property
    def _ledger(self) -> str:
        return f"{self.aim.key}.json"

    @property
    def _old(self) -> str:
        return f"{self.aim.key}.old"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with this target."""
        with self.side.locked(f"{self.aim.key}.lock"):
            self._mend()
            yield

    def swap(self, staged: str) -> None:
        """Two renames where folders cannot be exchanged: for a moment there is no folder, never half of one."""
        self.side.remove(self._old)
        self.parent.rename(self.aim.base, self._old, self.side)
        failpoint.hit("files.swapping")
        self.side.rename(staged, self.aim.base, self.parent)
        self.side.rename(self._old, staged)

    def _mend(self) -> None:
        """Put the old folder back if a process died between the two renames."""
        if self.parent.stat(self.aim.base) is None and self.side.stat(self._old) is not None:
            self.side.rename(self._old, self.aim.base, self.parent)

    def ledger(self) -> Ledger:
        """As it stands."""
        return Ledger(self.side.read(self._ledger, LARGEST), self.proven, self.aim.name)

    def keep(self, data: bytes) -> None:
        """Write the ledger."""
        self.side.write(self._ledger, data)

    def proof(self, folder: Folder, name: str, part: str = "") -> dict[str, Any]:
        """What a file or folder will be known by once it is published."""
        found = folder.stat(name)
        if found is None:
            raise ConfigurationError(f"What was staged for '{shown(self.aim.name)}' is gone; retry the load.")
        if folder.is_folder(name):
            return {"inode": found.st_ino}
        return {"part": part, "inode": found.st_ino, "size": found.st_size, "mtime": found.st_mtime_ns}

    def proven(self, proof: Mapping[str, Any]) -> bool:
        """Whether the target is, or holds, what a load was about to publish."""
        found = self.parent.stat(self.aim.base)
        if found is not None and proof.get("part"):
            if not self.parent.is_folder(self.aim.base):
                return False
            with closing(self.parent.below(self.aim.base)) as folder:
                found = folder.stat(proof["part"])
        if found is None or found.st_ino != proof["inode"]:
            return False
        return "size" not in proof or (found.st_size, found.st_mtime_ns) == (proof["size"], proof["mtime"])

    def sweep(self) -> None:
        """Remove what loads of this target left that died long ago."""
        for name in self.side.names():
            age = next((STALE[end] for end in STALE if name.endswith(end)), None)
            found = self.side.stat(name)
            if age is None or found is None or not name.startswith(f"{self.aim.key}."):
                continue
            if found.st_mtime < time.time() - age:
                self.side.remove(name)
