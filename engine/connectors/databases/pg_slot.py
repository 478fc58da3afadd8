"""A replication slot and its publication: made when they are missing, moved on, looked at.

Law: a slot is moved only to a place whose changes are committed where they were going. One that has moved beyond
the watermark of its reader has lost changes, and that is told. A slot that nobody reads keeps the server's log from
being removed: `lag` says how much.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.pg_link import Link
from engine.model.errors import ConfigurationError, ResourceExhaustion


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a slot is behind."""

    slot: str
    active: bool
    behind_bytes: int  # written since the last change that was confirmed
    retained_bytes: int  # of the server's log, kept for this slot
    status: str  # reserved, extended, unreserved, lost


def default_name(table: Name) -> str:
    """The name of a table's slot and publication where none was given."""
    return "penstock_" + hashlib.sha256(table.sql.encode()).hexdigest()[:16]


class Slot:
    """One slot for the changes of one table."""

    def __init__(self, link: Link, table: Name, slot: str, publication: str) -> None:
        self._link, self._table = link, table
        self.name, self.publication = slot, publication
        self.where = f"Connection '{link.id}', slot '{slot}'"

    def ready(self) -> None:
        """Check what the server can do, and make the publication."""
        level = self._link.rows("SHOW wal_level")[0][0]
        if level != "logical":
            raise ConfigurationError(
                f"Connection '{self._link.id}': changes cannot be read while the server's wal_level is '{level}'; "
                "run ALTER SYSTEM SET wal_level = logical and restart the server."
            )
        tables = self._link.rows(
            "SELECT p.puballtables OR EXISTS (SELECT 1 FROM pg_publication_tables t WHERE t.pubname = p.pubname "
            "AND t.schemaname = $2 AND t.tablename = $3) FROM pg_publication p WHERE p.pubname = $1",
            [self.publication, self._table.schema, self._table.table],
        )
        if not tables:
            self._link.run(f"CREATE PUBLICATION {quoted(self.publication)} FOR TABLE {self._table.sql}")
        elif not tables[0][0]:
            raise ConfigurationError(
                f"Connection '{self._link.id}': publication '{self.publication}' leaves out table "
                f"'{self._table.table}'; ALTER PUBLICATION ... ADD TABLE it, or name another in "
                "`incremental.publication`."
            )

    def confirmed(self) -> int | None:
        """Up to where changes were confirmed; None where there is no slot."""
        found = self._link.rows(
            "SELECT confirmed_flush_lsn - '0/0'::pg_lsn, plugin FROM pg_replication_slots WHERE slot_name = $1 "
            "AND database = current_database()",
            [self.name],
        )
        if found and found[0][1] != "pgoutput":
            raise ConfigurationError(f"{self.where} is of plug-in '{found[0][1]}'; name another.")
        return int(found[0][0]) if found else None

    def made_anew(self) -> int:
        """A slot that begins now; one that is there is dropped. Where it begins."""
        if self.confirmed() is not None:
            self._free()
            self._link.rows("SELECT pg_drop_replication_slot($1)", [self.name])
        self._link.rows("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [self.name])
        return int(self.confirmed() or 0)

    def _free(self) -> None:
        active = self._link.rows("SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", [self.name])
        if active and active[0][0] is not None:
            raise ResourceExhaustion(
                f"{self.where} is being read by process {active[0][0]} of the server; name another slot in "
                "`incremental.slot`, or wait until it has ended."
            )

    def moved_to(self, lsn: int) -> None:
        """Confirm what is before `lsn`, which is committed where it was going."""
        there = self.confirmed()
        if there is None:
            raise self._lost("is gone")
        if there > lsn:
            raise self._lost("has been moved on by another reader")
        if there < lsn:
            self._free()
            self._link.rows("SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)", [self.name, shown(lsn)])

    def _lost(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.where} {what}, and changes with it: reset the watermark with `penstock watermarks reset` to "
            "read the table anew. Each reader needs a slot of its own (`incremental.slot`)."
        )


def lag(link: Link, slot: str) -> Lag | None:
    """How far a slot is behind; None where there is none."""
    found = link.rows(
        "SELECT slot_name, active, pg_current_wal_lsn() - confirmed_flush_lsn, pg_current_wal_lsn() - restart_lsn, "
        "wal_status FROM pg_replication_slots WHERE slot_name = $1",
        [slot],
    )
    if not found:
        return None
    name, active, behind, retained, status = found[0]
    return Lag(
        slot=name,
        active=active,
        behind_bytes=int(behind or 0),
        retained_bytes=int(retained or 0),
        status=status or "lost",
    )


def shown(lsn: int) -> str:
    """A place in the log as the server writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
