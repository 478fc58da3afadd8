"""Upsert and merge for MySQL, which has no MERGE.

Law: ON DUPLICATE KEY UPDATE is used where the keys are the target's only unique key: with another one it would
overwrite a row that was not meant. Elsewhere the same is done by UPDATE and INSERT in the same transaction. A
target without an index on its keys is gone through once a statement, not once a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.mysql_catalog import Catalog, Name, quoted

_LAST = "_penstock_last"
_THERE = "_penstock_there"
_NEVER_INDEXED = ("json", "geometry", "point", "linestring", "polygon", "multi")
_PREFIX = 100  # characters of a text that are indexed


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Staged rows on their way into a table."""

    catalog: Catalog
    target: Name
    stage: Name
    columns: Sequence[str]  # that are written, keys included
    keys: Sequence[str]
    delete_when: str | None = None

    def settle(self) -> None:
        """Keep of rows with one key the last. Not in a transaction: it makes a table."""
        last = self.stage.beside(_LAST).sql
        keys = ", ".join(quoted(each) for each in self.keys)
        number = quoted(NUMBER)
        self.catalog.run(f"DROP TEMPORARY TABLE IF EXISTS {last}")
        self.catalog.run(
            f"CREATE TEMPORARY TABLE {last} ({number} BIGINT PRIMARY KEY) "
            f"SELECT max({number}) AS {number} FROM {self.stage.sql} GROUP BY {keys}"
        )
        self.catalog.run(
            f"DELETE s FROM {self.stage.sql} AS s LEFT JOIN {last} AS l ON l.{number} = s.{number} "
            f"WHERE l.{number} IS NULL"
        )
        self.catalog.run(f"DROP TEMPORARY TABLE {last}")
        parts = self._indexed_parts() if self._unindexed() else []
        if parts:
            self.catalog.run(f"ALTER TABLE {self.stage.sql} ADD INDEX ({', '.join(parts)})")

    def ready(self) -> None:
        """Right before the transaction: a place for what is found out in it."""
        if self._unindexed():
            self.catalog.run(f"DROP TEMPORARY TABLE IF EXISTS {self._there}")
            self.catalog.run(f"CREATE TEMPORARY TABLE {self._there} ({quoted(NUMBER)} BIGINT PRIMARY KEY)")

    @property
    def _there(self) -> str:
        return self.stage.beside(_THERE).sql

    def _unindexed(self) -> bool:
        """Whether a row of the target can only be found by going through all of them."""
        indexed = {each.lower() for each in self.catalog.indexed(self.target)}
        return not any(each.lower() in indexed for each in self.keys)

    def _indexed_parts(self) -> list[str]:
        types = {row[0]: str(row[1]) for row in self.catalog.rows(f"SHOW COLUMNS FROM {self.stage.sql}")}
        able = [each for each in self.keys if not types[each].startswith(_NEVER_INDEXED)]
        return [f"{quoted(each)}{_prefix(types[each])}" for each in able[:7]]

    def without_key(self) -> int:
        """How many rows have a null in their key."""
        missing = " OR ".join(f"{quoted(each)} IS NULL" for each in self.keys)
        return int(self.catalog.rows(f"SELECT count(*) FROM {self.stage.sql} WHERE {missing}")[0][0])

    @property
    def matching(self) -> str:
        """How a row `t` of the target is known to be row `s` of the stage."""
        return " AND ".join(f"t.{quoted(each)} = s.{quoted(each)}" for each in self.keys)

    def run(self) -> None:
        """Delete, update and insert."""
        if self.delete_when:
            self.catalog.run(
                f"DELETE t FROM {self.target.sql} AS t JOIN {self.stage.sql} AS s ON {self.matching} "
                f"WHERE s.{quoted(self.delete_when)}"
            )
        if self._only_key():
            self.catalog.run(f"{self._insert()}{self._alive()} ORDER BY s.{quoted(NUMBER)} {self._on_duplicate()}")
            return
        self._update()
        joined = " AND " if self.delete_when else " WHERE "
        self.catalog.run(f"{self._insert()}{self._alive()}{joined}{self._lacking()} ORDER BY s.{quoted(NUMBER)}")

    def _lacking(self) -> str:
        """That the target has no such row."""
        if not self._unindexed():
            return f"NOT EXISTS (SELECT 1 FROM {self.target.sql} AS t WHERE {self.matching})"
        number = quoted(NUMBER)
        self.catalog.run(
            f"INSERT INTO {self._there} SELECT DISTINCT s.{number} FROM {self.target.sql} AS t "
            f"JOIN {self.stage.sql} AS s ON {self.matching}"
        )
        return f"NOT EXISTS (SELECT 1 FROM {self._there} AS l WHERE l.{number} = s.{number})"

    def _only_key(self) -> bool:
        unique = self.catalog.unique(self.target)
        return len(unique) == 1 and {each.lower() for each in unique[0]} == {each.lower() for each in self.keys}

    def _insert(self) -> str:
        listed = ", ".join(quoted(each) for each in self.columns)
        selected = ", ".join(f"s.{quoted(each)}" for each in self.columns)
        return f"INSERT INTO {self.target.sql} ({listed}) SELECT {selected} FROM {self.stage.sql} AS s"

    def _alive(self) -> str:
        return f" WHERE NOT coalesce(s.{quoted(self.delete_when)}, 0)" if self.delete_when else ""

    def _on_duplicate(self) -> str:
        changed = [each for each in self.columns if each not in self.keys] or list(self.keys)
        return "ON DUPLICATE KEY UPDATE " + ", ".join(f"{quoted(c)} = VALUES({quoted(c)})" for c in changed)

    def _update(self) -> None:
        others = [each for each in self.columns if each not in self.keys]
        if others:
            sets = ", ".join(f"t.{quoted(each)} = s.{quoted(each)}" for each in others)
            alive = self._alive()
            self.catalog.run(
                f"UPDATE {self.target.sql} AS t JOIN {self.stage.sql} AS s ON {self.matching} SET {sets}{alive}"
            )


def _prefix(given: str) -> str:
    """How much of a column of this type is indexed: all of it where nothing is said."""
    kind, _, length = given.partition("(")
    if kind.endswith(("text", "blob")):
        return f"({_PREFIX})"
    long = kind.endswith(("char", "binary")) and int(length.split(")")[0] or 1) > _PREFIX
    return f"({_PREFIX})" if long else ""
