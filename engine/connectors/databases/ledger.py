"""The ledger of a database: which loads are in it, and how far they reached.

Law: a row is written in the transaction of the rows it speaks of, and its token is unique. Rows of 90 days ago that
are not the newest of their scope are removed as others are written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engine.connectors.databases.naming import Name
from engine.connectors.databases.site import Site
from engine.ports.destination import Loaded, Order

TABLE = "_penstock_loads"
LONGEST = 500


class Ledger:
    """The ledger beside one target."""

    def __init__(self, site: Site, target: Name) -> None:
        self._site, self._target = site, target
        self.name = target.beside(TABLE)

    def there(self) -> bool:
        """Whether anything was ever loaded into this schema."""
        return TABLE in self._site.tables(self.name.schema, TABLE)

    def prepare(self) -> None:
        """Make the table where it is missing."""
        if self.there():
            return
        self._site.alone(self.name)
        self._site.run(
            f"CREATE TABLE IF NOT EXISTS {self.name.sql} (seq {self._site.sequence}, "
            f"token VARCHAR({LONGEST}) NOT NULL UNIQUE, target TEXT NOT NULL, scope TEXT NOT NULL, "
            "mode TEXT NOT NULL, loaded_rows BIGINT NOT NULL, seal TEXT NOT NULL, "
            "loaded_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )

    def get(self, token: str) -> Loaded | None:
        """What was loaded under this token."""
        if not self.there():
            return None
        found = self._site.rows(
            f"SELECT loaded_rows, seal FROM {self.name.sql} WHERE token = {self._site.marker(1)}", [short(token)]
        )
        if not found:
            return None
        rows, seal = found[0]
        return Loaded(rows=int(rows), uri=self._site.uri(self._target), already=True, seal=json.loads(seal))

    def newest(self, scope: str) -> Mapping[str, Any] | None:
        """The last seal of this scope for this target."""
        if not self.there():
            return None
        found = self._site.rows(
            f"SELECT seal FROM {self.name.sql} WHERE scope = {self._site.marker(1)} "
            f"AND target = {self._site.marker(2)} ORDER BY seq DESC LIMIT 1",
            [scope, self._target.table],
        )
        seal: Mapping[str, Any] | None = json.loads(found[0][0]) if found else None
        return seal

    def add(self, order: Order, rows: int, seal: Mapping[str, Any]) -> None:
        """Enter a load, and drop what is old."""
        markers = ", ".join(self._site.marker(at) for at in range(1, 7))
        self._site.run(
            f"INSERT INTO {self.name.sql} (token, target, scope, mode, loaded_rows, seal) VALUES ({markers})",
            [
                short(order.token),
                self._target.table,
                order.scope,
                order.mode.value,
                rows,
                json.dumps(seal, ensure_ascii=True),
            ],
        )
        self._site.run(
            f"DELETE FROM {self.name.sql} WHERE {self._site.aged} AND EXISTS (SELECT 1 FROM {self.name.sql} AS y "
            f"WHERE y.scope = {self.name.sql}.scope AND y.target = {self.name.sql}.target "
            f"AND y.seq > {self.name.sql}.seq)"
        )

    def remove(self, token: str) -> bool:
        """Forget a load; whether it was there."""
        if not self.there():
            return False
        marker = self._site.marker(1)
        return self._site.run(f"DELETE FROM {self.name.sql} WHERE token = {marker}", [short(token)]) > 0


def short(token: str) -> str:
    """The token itself, or its hash where a key would be too long."""
    return token if len(token) <= LONGEST else "sha256:" + hashlib.sha256(token.encode()).hexdigest()
