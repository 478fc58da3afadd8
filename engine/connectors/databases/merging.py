"""MERGE, for databases that have it: rows beside a table put into it by key.

Law: of rows with one key the last wins, by their number. A row without a key is refused before anything is written:
it could be merged any number of times. Statements are put together from quoted names only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NUMBER = "_penstock_n"  # the column that says in which order staged rows came


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One merge; all names are quoted already, `number` and `delete_when` too."""

    target: str
    stage: str
    columns: Sequence[str]  # that are written, keys included
    keys: Sequence[str]
    number: str
    delete_when: str | None = None

    @property
    def last(self) -> str:
        """The staged rows without those that a later one overrides."""
        keys = ", ".join(self.keys)
        return (
            f"SELECT * FROM {self.stage} WHERE {self.number} IN "
            f"(SELECT max({self.number}) FROM {self.stage} GROUP BY {keys})"
        )

    @property
    def matching(self) -> str:
        """How a row `t` of the target is known to be row `s` of the stage."""
        return " AND ".join(f"t.{key} = s.{key}" for key in self.keys)

    def statement(self) -> str:
        """The MERGE itself."""
        parts = [f"MERGE INTO {self.target} AS t USING ({self.last}) AS s ON {self.matching}"]
        if self.delete_when:
            parts.append(f"WHEN MATCHED AND coalesce(s.{self.delete_when}, false) THEN DELETE")
        others = [each for each in self.columns if each not in self.keys]
        if others:
            parts.append("WHEN MATCHED THEN UPDATE SET " + ", ".join(f"{each} = s.{each}" for each in others))
        alive = f" AND NOT coalesce(s.{self.delete_when}, false)" if self.delete_when else ""
        values = ", ".join(f"s.{each}" for each in self.columns)
        parts.append(f"WHEN NOT MATCHED{alive} THEN INSERT ({', '.join(self.columns)}) VALUES ({values})")
        return " ".join(parts)

    def without_key(self) -> str:
        """How many rows have a null in their key."""
        return f"SELECT count(*) FROM {self.stage} WHERE {' OR '.join(f'{key} IS NULL' for key in self.keys)}"

    def touched(self) -> str:
        """The target's rows that the merge will change or delete."""
        return f"SELECT t.* FROM {self.target} AS t WHERE {self._staged}"

    def written_away(self) -> str:
        """Take out of the target what the merge has put there."""
        return f"DELETE FROM {self.target} AS t WHERE {self._staged}"

    @property
    def _staged(self) -> str:
        return f"EXISTS (SELECT 1 FROM {self.stage} AS s WHERE {self.matching})"
