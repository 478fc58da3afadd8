"""What the suites of PostgreSQL share: a database, as the connector reaches it and past it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from engine.model.workspace import Connection
from tests.contract.load_rig import LoadRig


@contextmanager
def pg_rig(root: Path, url: str) -> Iterator[LoadRig]:
    """Connectors for the database at `url`; what they have opened is closed."""
    parts = urlsplit(url)
    config = {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": parts.username,
        "database": parts.path[1:],
    }
    if parts.password:
        config["password"] = parts.password
    with psycopg.connect(url, autocommit=True) as link:

        def asked(query: str) -> list[tuple[Any, ...]]:
            cursor = link.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

        found = LoadRig(connection=Connection(id="base", type="postgresql", config=config), root=root, rows=asked)
        yield found
        found.close()
