"""What the console remembers by itself from one time to the next: when somebody last looked, how panes are split
and which are closed.

Law: a memory that is lost or cannot be written costs nothing but itself. What a user wrote by hand is never
touched: this is a file of its own, replaced whole, one entry per workspace.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_MOST = 200  # workspaces remembered
_LARGEST = 1_000_000


def state_folder(environment: Mapping[str, str]) -> Path:
    """~/.local/state/penstock, or where XDG says."""
    base = environment.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "penstock"


@dataclass(frozen=True, slots=True)
class Memory:
    """One file; without a path nothing is remembered. Every call may wait for the disk."""

    path: Path | None = None

    def looked(self, workspace: str) -> datetime | None:
        """When somebody last looked at this workspace; None: never, as far as is known."""
        entry = self._read().get("looked", {})
        text = entry.get(workspace) if isinstance(entry, dict) else None
        try:
            found = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None
        return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None

    def look(self, workspace: str, at: datetime) -> None:
        """Somebody looked."""
        document = self._read()
        known = document.get("looked")
        entries = dict(known) if isinstance(known, dict) else {}
        entries.pop(workspace, None)
        entries[workspace] = at.astimezone(UTC).isoformat()
        self._write({**document, "looked": dict(list(entries.items())[-_MOST:])})

    def splits(self) -> dict[str, int]:
        """View to columns of the pane on its right, or pane to its rows."""
        entry = self._read().get("splits", {})
        known = entry.items() if isinstance(entry, dict) else ()
        return {name: size for name, size in known if isinstance(name, str) and type(size) is int and size > 0}

    def keep_splits(self, splits: Mapping[str, int]) -> None:
        """As they are now; another console's other views stay."""
        self._write({**self._read(), "splits": {**self.splits(), **splits}})

    def closed(self) -> set[str]:
        """Panes that somebody closed."""
        entry = self._read().get("closed", [])
        return {each for each in entry if isinstance(each, str)} if isinstance(entry, list) else set()

    def keep_closed(self, closed: Collection[str]) -> None:
        """As they are now."""
        self._write({**self._read(), "closed": sorted(closed)})

    def _read(self) -> dict[str, Any]:
        try:
            if self.path is None or self.path.stat().st_size > _LARGEST:
                return {}
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, document: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        with contextlib.suppress(OSError):  # a full or foreign disk: it is asked again next time
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(document, file)
                os.replace(name, self.path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
