"""The audit trail's hash chain.

Law: each row's hash covers the row and the hash before it, and the head (last number and hash) is kept apart in
the leadership row. So an edited or a removed row breaks the chain at that row, and a tail that was cut off is
missed by the head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from engine.model.event import Actor, AuditEntry
from engine.stores.records import Row, Values
from engine.stores.values import clean, clean_or_none, dump_or_none, dump_sorted, instant, mapping, micros

START = "0" * 64  # what the first row follows


def link(previous: str, content: Sequence[object]) -> str:
    """The hash of one row."""
    return sha256(previous.encode() + b"\n" + dump_sorted(content)).hexdigest()


def append(entries: Iterable[AuditEntry], seq: int, previous: str) -> tuple[list[Values], int, str]:
    """Rows for the audit table, and the new head."""
    rows: list[Values] = []
    for entry in entries:
        seq += 1
        content = (
            seq,
            micros(entry.at),
            clean(entry.actor.name),
            clean_or_none(entry.actor.address),
            clean_or_none(entry.actor.session),
            clean(entry.event_type),
            clean(entry.action),
            clean(entry.resource_type),
            clean(entry.resource_id),
            clean(entry.result),
            dump_or_none(entry.details),
        )
        following = link(previous, content)
        rows.append((*content, previous, following))
        previous = following
    return rows, seq, previous


def read_entry(row: Row) -> AuditEntry:
    """A row of audit."""
    return AuditEntry(
        seq=row.seq,
        at=instant(row.at),
        actor=Actor(name=row.actor, address=row.address, session=row.session),
        event_type=row.event_type,
        action=row.action,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        result=row.result,
        details=mapping(row.details),
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def verify(rows: Iterable[Sequence[object]], head_seq: int, head_hash: str) -> tuple[int, int | None, str]:
    """Walk the whole trail: rows checked, number of the first bad one or None, a sentence."""
    checked, previous = 0, START
    for row in rows:
        seq = row[0]
        expected = checked + 1
        if seq != expected:
            return checked, expected, f"Entry {expected} is missing: the trail goes on with {seq}."
        if row[-2] != previous:
            return checked, expected, f"Entry {expected} does not follow the entry before it."
        if row[-1] != link(previous, tuple(row[:-2])):
            return checked, expected, f"Entry {expected} was changed after it was written."
        checked, previous = expected, str(row[-1])
    if checked < head_seq:
        lost = head_seq - checked
        return checked, checked + 1, f"Entry {checked + 1} is missing: the last {lost} of {head_seq} were removed."
    if checked > head_seq:
        return checked, head_seq + 1, f"Entry {head_seq + 1} was added behind the engine's back."
    if previous != head_hash:
        return checked, checked, f"Entry {checked} is not the one that the engine wrote."
    return checked, None, f"{checked} entries, unbroken."
