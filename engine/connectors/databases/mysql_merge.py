"""Upsert and merge for MySQL, which has no MERGE.

Law: ON DUPLICATE KEY UPDATE is used where the keys are the target's only unique key: with another one it would
overwrite a row that was not meant. Elsewhere the same is done by UPDATE and INSERT in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.mysql_catalog import Catalog, Name, quoted

_LAST = "_penstock_last"


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
        lacking = f"NOT EXISTS (SELECT 1 FROM {self.target.sql} AS t WHERE {self.matching})"
        joined = " AND " if self.delete_when else " WHERE "
        self.catalog.run(f"{self._insert()}{self._alive()}{joined}{lacking} ORDER BY s.{quoted(NUMBER)}")

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
