"""Files of certificates and keys that a connection to a database names.

Law: they are seen from the workspace, whoever opens the connection and wherever from. One that is missing is told
before the server is asked: libpq would go on without it, and check nobody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError


def located(name: str, config: Mapping[str, Any], keys: Sequence[str], root: Path) -> dict[str, str]:
    """The paths that these keys of connection `name` stand for, as far as they are given."""
    return {key: _located(name, key, str(config[key]), root) for key in keys if config.get(key)}


def _located(name: str, key: str, given: str, root: Path) -> str:
    if "\n" in given or "-----BEGIN" in given:  # it is not shown: it may be the key
        raise ConfigurationError(
            f"Connection '{name}': `{key}` holds a certificate or key itself; name the file that it is in."
        )
    path = os.path.abspath(root / os.path.expanduser(given))
    if not os.path.exists(path):
        raise ConfigurationError(f"Connection '{name}': `{key}` names a file that is not there: {path}.")
    return path
