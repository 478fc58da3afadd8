"""The ledger of a MySQL database: which loads are in it, and how far they reached.

Law: where a load is a transaction, its row is in it. A replacement is published by RENAME TABLE, which no
transaction can hold: its row is entered before as pending, the table that will take the name carries the token's
mark in its comment, and a pending row counts exactly when the target bears its mark. Whoever finds it so, says so
in the row before anything else is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from engine.connectors.databases.mysql_catalog import Catalog, Name
from engine.ports.destination import Loaded, Order

TABLE = "_penstock_loads"
KEPT_DAYS = 90
_MARK = re.compile(r" ?\[penstock:[0-9a-f]{64}\]")
_LONGEST = 2048  # of a table's comment


def mark(token: str) -> str:
    """What a published table's comment says of its token."""
    return f"[penstock:{hashlib.sha256(token.encode()).hexdigest()}]"


def marked(comment: str, token: str) -> str:
    """A comment with this token's mark instead of an earlier one."""
    own = mark(_short(token))
    return f"{_MARK.sub('', comment)[: _LONGEST - len(own) - 1]} {own}".strip()


class Ledger:
    """The ledger beside one target."""

    def __init__(self, catalog: Catalog, target: Name, uri: str) -> None:
        self._catalog, self._target, self._uri = catalog, target, uri
        self._name = target.beside(TABLE)

    def prepare(self) -> None:
        """Make the table where it is missing. Not inside a transaction: it would end it."""
        if not self._there():
            self._catalog.run(
                f"CREATE TABLE IF NOT EXISTS {self._name.sql} (seq BIGINT AUTO_INCREMENT PRIMARY KEY, "
                "token VARCHAR(500) NOT NULL, target VARCHAR(64) NOT NULL, scope VARCHAR(700) NOT NULL, "
                "mode VARCHAR(10) NOT NULL, loaded_rows BIGINT NOT NULL, seal LONGTEXT NOT NULL, "
                "published TINYINT(1) NOT NULL, loaded_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), "
                "UNIQUE KEY (token), KEY (scope, seq)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )

    def _there(self) -> bool:
        return self._catalog.exists(self._name)

    def get(self, token: str) -> Loaded | None:
        """What was loaded under this token."""
        if not self._there():
            return None
        found = self._catalog.rows(
            f"SELECT loaded_rows, seal, published FROM {self._name.sql} WHERE token = %s AND target = %s",
            (_short(token), self._target.table),
        )
        if not found or not (int(found[0][2]) or self._bears(token)):
            return None
        return Loaded(rows=int(found[0][0]), uri=self._uri, already=True, seal=json.loads(found[0][1]))

    def newest(self, scope: str) -> Mapping[str, Any] | None:
        """The last seal of this scope for this target."""
        if not self._there():
            return None
        found = self._catalog.rows(
            f"SELECT token, seal, published FROM {self._name.sql} WHERE scope = %s AND target = %s "
            "ORDER BY seq DESC LIMIT 100",
            (_short(scope, 700), self._target.table),
        )
        for token, seal, published in found:
            if int(published) or self._bears(token):
                kept: Mapping[str, Any] = json.loads(seal)
                return kept
        return None

    def _bears(self, token: str) -> bool:
        return mark(_short(token)) in self._catalog.comment(self._target)

    def repair(self, *, alone: bool = False) -> None:
        """Say of pending loads that they were published, where the target bears their mark. `alone`: nobody else
        replaces this target now, so that what is pending still will never be published."""
        if not self._there():
            return
        pending = self._catalog.rows(
            f"SELECT token FROM {self._name.sql} WHERE target = %s AND published = 0", (self._target.table,)
        )
        for (token,) in pending:
            if self._bears(token):
                self.published(token)
            elif alone:
                self.remove(token)

    def add(self, order: Order, rows: int, seal: Mapping[str, Any], *, published: bool = True) -> None:
        """Enter a load, and drop what is old."""
        self._catalog.run(
            f"INSERT INTO {self._name.sql} (token, target, scope, mode, loaded_rows, seal, published) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                _short(order.token),
                self._target.table,
                _short(order.scope, 700),
                order.mode.value,
                rows,
                json.dumps(seal, ensure_ascii=False),
                int(published),
            ),
        )
        aged = f"loaded_at < NOW(6) - INTERVAL {KEPT_DAYS} DAY"
        if self._catalog.rows(f"SELECT 1 FROM {self._name.sql} WHERE {aged} LIMIT 1"):
            self._catalog.run(
                f"DELETE old FROM {self._name.sql} AS old JOIN {self._name.sql} AS younger "
                f"ON younger.scope = old.scope AND younger.target = old.target AND younger.seq > old.seq "
                f"WHERE old.{aged}"
            )

    def published(self, token: str) -> None:
        """A pending load bears its mark."""
        self._catalog.run(f"UPDATE {self._name.sql} SET published = 1 WHERE token = %s", (_short(token),))

    def remove(self, token: str) -> bool:
        """Forget a load; whether it was there."""
        if not self._there():
            return False
        return self._catalog.run(f"DELETE FROM {self._name.sql} WHERE token = %s", (_short(token),)) > 0


def _short(text: str, most: int = 500) -> str:
    """The text itself, or its hash where a key would be too long."""
    return text if len(text) <= most else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
