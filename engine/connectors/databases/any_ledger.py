"""The ledger of a database that SQLAlchemy speaks to; as ledger.Ledger, in SQLAlchemy's terms.

Law: a row is written in the transaction of the rows it speaks of, and its token is unique.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from engine.connectors.databases.ledger import LONGEST, TABLE, short
from engine.ports.destination import Loaded, Order

KEPT = timedelta(days=90)


class Ledger:
    """The ledger beside one target."""

    def __init__(self, wire: sa.Connection, target: str, schema: str | None, uri: str) -> None:
        self._wire, self._target, self._uri = wire, target, uri
        number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
        self.table = sa.Table(
            TABLE,
            sa.MetaData(),
            sa.Column("seq", number, primary_key=True, autoincrement=True),
            sa.Column("token", sa.String(LONGEST), nullable=False, unique=True),
            sa.Column("target", sa.String(200), nullable=False),
            sa.Column("scope", sa.String(LONGEST), nullable=False),
            sa.Column("mode", sa.String(10), nullable=False),
            sa.Column("loaded_rows", sa.BigInteger, nullable=False),
            sa.Column("seal", sa.Text, nullable=False),
            sa.Column("loaded_at", sa.DateTime, nullable=False),
            schema=schema,
        )

    def _there(self) -> bool:
        return bool(sa.inspect(self._wire).has_table(TABLE, schema=self.table.schema))

    def prepare(self) -> None:
        """Make the table where it is missing; it may end a transaction."""
        self.table.create(self._wire, checkfirst=True)

    def get(self, token: str) -> Loaded | None:
        """What was loaded under this token."""
        if not self._there():
            return None
        own = self.table.c
        row = self._wire.execute(sa.select(own.loaded_rows, own.seal).where(own.token == short(token))).first()
        if row is None:
            return None
        return Loaded(rows=int(row[0]), uri=self._uri, already=True, seal=json.loads(row[1]))

    def newest(self, scope: str) -> Mapping[str, Any] | None:
        """The last seal of this scope for this target."""
        if not self._there():
            return None
        own = self.table.c
        mine = sa.select(own.seal).where(own.scope == short(scope), own.target == self._target[:200])
        row = self._wire.execute(mine.order_by(own.seq.desc()).limit(1)).first()
        kept: Mapping[str, Any] | None = None if row is None else json.loads(row[0])
        return kept

    def add(self, order: Order, rows: int, seal: Mapping[str, Any]) -> None:
        """Enter a load, and drop what is old and not the newest of its scope."""
        self._wire.execute(
            sa.insert(self.table).values(
                token=short(order.token),
                target=self._target[:200],
                scope=short(order.scope),
                mode=order.mode.value,
                loaded_rows=rows,
                seal=json.dumps(seal),
                loaded_at=datetime.now(UTC).replace(tzinfo=None),
            )
        )
        own, inner = self.table.c, self.table.alias("y")
        newest = sa.select(sa.func.max(inner.c.seq).label("seq")).group_by(inner.c.scope, inner.c.target).subquery()
        aged = own.loaded_at < datetime.now(UTC).replace(tzinfo=None) - KEPT
        self._wire.execute(sa.delete(self.table).where(aged, own.seq.not_in(sa.select(newest.c.seq))))

    def remove(self, token: str) -> bool:
        """Forget a load; whether it was there."""
        if not self._there():
            return False
        return self._wire.execute(sa.delete(self.table).where(self.table.c.token == short(token))).rowcount > 0
