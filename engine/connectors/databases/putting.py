"""Upsert and merge in statements that every database understands: delete, update, insert.

Law: as merging.Merge, of which it takes the rest: the last row of a key wins. The staged table is the load's own,
so that rows which a later one overrides are deleted there first.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.connectors.databases.merging import Merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Putting(Merge):
    """One upsert or merge by plain statements."""

    overriding: str = ""  # site.Site.overriding

    def statements(self) -> list[str]:
        """In the order they are run, inside one transaction."""
        others = [each for each in self.columns if each not in self.keys]
        return [
            self._deduplicated(),
            *([self._deleted()] if self.delete_when else []),
            *([self._updated(others)] if others else []),
            self._inserted(),
        ]

    def _deduplicated(self) -> str:
        keys = ", ".join(self.keys)
        return (
            f"DELETE FROM {self.stage} WHERE {self.number} NOT IN "
            f"(SELECT max({self.number}) FROM {self.stage} GROUP BY {keys})"
        )

    def _deleted(self) -> str:
        return (
            f"DELETE FROM {self.target} AS t WHERE EXISTS "
            f"(SELECT 1 FROM {self.stage} AS s WHERE {self.matching} AND s.{self.delete_when})"
        )

    def _updated(self, others: list[str]) -> str:
        values = ", ".join(f"{each} = s.{each}" for each in others)
        return f"UPDATE {self.target} AS t SET {values} FROM {self.stage} AS s WHERE {self.matching}"

    def _inserted(self) -> str:
        names = ", ".join(self.columns)
        values = ", ".join(f"s.{each}" for each in self.columns)
        alive = f"NOT coalesce(s.{self.delete_when}, false) AND " if self.delete_when else ""
        return (
            f"INSERT INTO {self.target} ({names}) {self.overriding} "
            f"SELECT {values} FROM {self.stage} AS s WHERE {alive}NOT EXISTS "
            f"(SELECT 1 FROM {self.target} AS t WHERE {self.matching}) ORDER BY s.{self.number}"
        )
