"""The destination that a database with transactional DDL is, over a site of its dialect.

Law: see site for what a dialect brings. A database that is not there yet has no tables and no ledger, and is not
made by a look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from engine.connectors.databases import saga
from engine.connectors.databases.ledger import Ledger
from engine.connectors.databases.loading import Loading, created
from engine.connectors.databases.naming import quoted
from engine.connectors.databases.site import Site
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import RawText, Stream


class SitedDestination:
    """See engine.ports.destination.Destination; subclasses open the site."""

    def _site(self, target: str) -> AbstractContextManager[Site]:
        raise TypeError(f"{type(self).__name__} opens no site for '{target}'")  # each subclass does

    def _there(self) -> bool:
        """Whether there is a database to look into."""
        return True

    def modes(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def target_schema(self, target: str) -> pa.Schema | None:
        if not self._there():
            return None
        with self._site(target) as site:
            found = site.find(target)
            return pa.schema(site.limited(found)) if found else None

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        with self._site(target) as site:
            if site.find(target) is None:
                site.run(created(site, site.named(target), list(schema), keys))

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        with self._site(target) as site:
            found = site.find(target)
            if found is None:
                return
            there = {each.name for each in site.fields(found)}
            for each in fields:
                if each.name not in there:
                    column = f"{quoted(each.name)} {site.definition(each, key=False)}"
                    site.run(f"ALTER TABLE {found.sql} ADD COLUMN {column}")

    def ledger(self, token: str, target: str) -> Loaded | None:
        if not self._there():
            return None
        with self._site(target) as site:
            return Ledger(site, site.find(target) or site.named(target)).get(token)

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        if not self._there():
            return None
        with self._site(target) as site:
            return Ledger(site, site.find(target) or site.named(target)).newest(scope)

    def load(self, stream: Stream, order: Order) -> Loaded:
        with self._site(order.target) as site:
            return Loading(site, order).load(stream)

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        return None

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        with self._site(order.target) as site:
            return saga.stage(site, stream, order)

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        with self._site(order.target) as site:
            return saga.publish(site, staged, order)

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        with self._site(order.target) as site:
            saga.undo(site, staged, order)

    def discard(self, staged: Mapping[str, Any]) -> None:
        if self._there():
            with self._site(str(staged["table"])) as site:
                saga.discard(site, staged)
