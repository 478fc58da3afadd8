"""Tables to load into, looked at by their system's own client."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

KINDS = ("sqlite", "postgresql", "duckdb")
ANY = "sqlalchemy"  # a SQLite file by its URL


@dataclass(frozen=True, slots=True)
class Target:
    """One database, and how to look into it."""

    kind: str
    where: Any

    @property
    def connection(self) -> Mapping[str, Any]:
        """As connections.yaml says it."""
        if self.kind == ANY:
            return {"type": self.kind, "url": f"sqlite:///{self.where}"}
        return {"type": self.kind, "url" if self.kind == "postgresql" else "path": str(self.where)}

    def ask(self, query: str) -> Sequence[tuple[Any, ...]]:
        """The rows of a query, or none of a statement; committed."""
        if self.kind == "duckdb":
            with duckdb.connect(str(self.where)) as link:
                return link.execute(query).fetchall()
        if self.kind in ("sqlite", ANY):
            link = sqlite3.connect(self.where)
            try:
                with link:
                    return link.execute(query).fetchall()
            finally:
                link.close()
        with psycopg.connect(str(self.where), autocommit=True) as open_link:
            cursor = open_link.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def ids(self, table: str = "rows") -> list[int]:
        """The ids in a table, sorted; none when it is not there."""
        if not self.tables(table):
            return []
        return [row[0] for row in self.ask(f"SELECT id FROM {table} ORDER BY id")]

    def tables(self, like: str = "%") -> list[str]:
        """Tables by name."""
        if self.kind in ("sqlite", ANY):
            found = self.ask(f"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '{like}'")
        else:
            schema = "main" if self.kind == "duckdb" else "public"
            found = self.ask(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = "
                f"'{schema}' AND table_name LIKE '{like}'"
            )
        return sorted(row[0] for row in found)

    def left_behind(self) -> list[str]:
        """What a load has put beside its target and not removed."""
        return [name for name in self.tables() if name.startswith("_penstock") and name != "_penstock_loads"]


def target(kind: str, folder: Path, request: pytest.FixtureRequest, name: str = "target") -> Target:
    """An empty database of a kind."""
    if kind == "postgresql":
        return Target(kind, request.getfixturevalue("postgres_url"))
    return Target(kind, folder / f"{name}.{kind}")
