"""`verify` of a connection: whether a server's certificate is looked at, and who may vouch for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError


def trusted(connection_id: str, given: Any, root: Path) -> bool | str:
    """True or false as it is said; or the file of who may sign, seen from the workspace."""
    if isinstance(given, bool):
        return given
    file = root / Path(str(given)).expanduser()
    if not file.exists():
        raise ConfigurationError(
            f"Connection '{connection_id}': `verify` names {given}, and there is no such file."
        )
    return str(file)
