"""Invented customers, segments and orders as CSV files: a shop's data with all that real data has wrong with it.

Law: only where `samples: true` stands. The same seed and number of rows give the same bytes, on any Python: chance
comes from `random()` alone, which never changes. One row is in memory at a time; a file appears whole, by rename.
"""

from __future__ import annotations

import csv
import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from engine.bootstrap.workspace import Workspace
from engine.model.errors import Refused

FOLDER = Path("data/generated")
BEGIN = datetime.fromisoformat("2023-01-01")  # a wall clock, as exports have it
TOLD_EVERY = 50_000  # rows

_FIRST = [
    "Nils",
    "Łukasz",
    "Giulia",
    "Søren",
    "Zoë",
    "Ingrid",
    "Åse",
    "Jürgen",
    "Renée",
    "Dvořák",
    "Ólafur",
    "Nguyễn",
    "美咲",
    "Олена",
    "Θάλεια",
    "يوسف",
    "Siân",
    "Ann",
    "Bob",
    "Çağla",
]
_LAST = [
    "Hansen",
    "Vik",
    "Aas",
    "Dahl",
    "O'Neill",
    "Þórsson",
    "Müller",
    "García",
    "Kowalská",
    "田中",
    "Шевченко",
    "Παπάς",
    "خليل",
    "Smith-Jones",
    "Nakamura",
    "Berg",
]
_COUNTRIES = ("NO", "SE", "DK", "FI", "DE", "PL", "JP", "")
_SEGMENTS = ("regular", "regular", "regular", "premium", "lapsed", "new")
_STATUS = ("paid", "paid", "paid", "shipped", "shipped", "returned", "cancelled", "open")
_CURRENCY = ("NOK", "NOK", "NOK", "EUR", "SEK", "DKK")
_NOTES = (
    "gift wrapping, please",
    'leave it with "Ola" next door',
    "ring twice;\nthe dog is kind",
    "Für Oma 🎁",
    "size 42½",
    "=1+1",
    " ",
    "NULL",
)
_BAD_TOTALS = ("12,50", "free", "1.2.3", "€ 10", "NaN")
_BAD_TIMES = ("2023-02-30 10:00:00", "31/12/2023", "yesterday", "0000-00-00 00:00:00", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    rows: int  # orders; a tenth as many customers
    seed: str = "1"
    bad: float = 0.01  # the share of orders in which one value is wrong
    twice: float = 0.005  # the share of orders that come again, some of them changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One file."""

    path: Path  # below the workspace
    rows: int
    bytes: int
    sha256: str


def generate(
    workspace: Workspace, wanted: Wanted, progress: Callable[[int], None] = lambda rows: None
) -> list[Made]:
    """Three files below data/generated; what was there under their names goes."""
    settings = workspace.settings
    if not settings.samples:
        raise Refused(
            f"{settings.root / 'penstock.yaml'} has no `samples: true`. Invented data goes into a workspace that "
            "says it may be filled so, and into no other."
        )
    people = max(1, wanted.rows // 10)
    tables = (
        ("customers.csv", _CUSTOMERS, _customers(_chance(wanted, "customers"), people)),
        ("customer_segments.csv", _SEGMENTED, _segments(_chance(wanted, "customers"), people)),
        ("orders.csv", _ORDERS, _orders(_chance(wanted, "orders"), wanted, people)),
    )
    return [_write(settings.root, FOLDER / name, header, rows, progress) for name, header, rows in tables]


Row = Sequence[str]
_CUSTOMERS = ("customer_id", "name", "email", "country", "born", "joined_at", "points", "newsletter")
_SEGMENTED = ("customer_id", "name", "segment", "email", "phone", "push_token")
_ORDERS = ("order_id", "customer_id", "status", "total", "currency", "paid", "ordered_at", "updated_at", "note")


class _Chance:
    """What chance gives."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def below(self, count: int) -> int:
        return int(self._random() * count)

    def one(self, of: Sequence[str]) -> str:
        return of[self.below(len(of))]

    def happens(self, share: float) -> bool:
        return self._random() < share


def _chance(wanted: Wanted, table: str) -> _Chance:
    return _Chance(f"{wanted.seed}/{table}")


@dataclass(frozen=True, slots=True)
class _Person:
    key: str
    name: str
    email: str


def _people(chance: _Chance, count: int) -> Iterator[tuple[int, _Person]]:
    for number in range(1, count + 1):
        name = f"{chance.one(_FIRST)} {chance.one(_LAST)}"
        email = "" if chance.happens(0.08) else f"c{number}@example.com"
        yield number, _Person(f"C{number:06}", name, email)


def _customers(chance: _Chance, count: int) -> Iterator[Row]:
    for number, person in _people(chance, count):
        own = _Chance(f"{person.key}{person.name}")
        born = f"{1940 + own.below(65)}-{1 + own.below(12):02}-{1 + own.below(28):02}"
        joined = BEGIN - timedelta(minutes=own.below(2_000_000))
        yield (
            person.key,
            person.name,
            person.email,
            own.one(_COUNTRIES),
            "" if own.happens(0.2) else born,
            joined.isoformat(" "),
            "" if own.happens(0.1) else str(own.below(5_000)),
            own.one(("yes", "no", "true", "0", "")),
        )
        if number % 200 == 0:  # the till has sent it twice
            yield (person.key, person.name.upper(), person.email, "", "", joined.isoformat(" "), "", "")


def _segments(chance: _Chance, count: int) -> Iterator[Row]:
    for _, person in _people(chance, count):
        own = _Chance(f"{person.key}/segment")
        phone = "" if own.happens(0.15) else f"+474{own.below(10_000_000):07}"
        token = "" if own.happens(0.4) else f"app-{own.below(16**8):08x}"
        yield (person.key, person.name, own.one(_SEGMENTS), person.email, phone, token)


def _orders(chance: _Chance, wanted: Wanted, people: int) -> Iterator[Row]:
    at = BEGIN
    for number in range(1, wanted.rows + 1):
        at += timedelta(seconds=1 + chance.below(240))
        row = _order(chance, number, people, at)
        if chance.happens(wanted.bad):
            row = _spoilt(chance, row)
        yield row
        if chance.happens(wanted.twice):
            changed = {"status": "returned", "updated_at": (at + timedelta(hours=5)).isoformat(" ")}
            yield _with(row, changed if chance.happens(0.5) else {})


def _order(chance: _Chance, number: int, people: int, at: datetime) -> Row:
    total = f"{1 + chance.below(90_000) / 100:.2f}"
    return (
        str(number),
        f"C{1 + chance.below(people):06}",
        chance.one(_STATUS),
        total,
        chance.one(_CURRENCY),
        chance.one(("true", "true", "false")),
        at.isoformat(" "),
        (at + timedelta(seconds=chance.below(90))).isoformat(" "),
        chance.one(_NOTES) if chance.happens(0.1) else "",
    )


def _spoilt(chance: _Chance, row: Row) -> Row:
    """The same order with one value that is wrong."""
    name, values = (
        ("total", _BAD_TOTALS),
        ("ordered_at", _BAD_TIMES),
        ("customer_id", ("", "C999999999", "c000001 ")),
        ("paid", ("2", "maybe")),
    )[chance.below(4)]
    return _with(row, {name: chance.one(values)})


def _with(row: Row, values: dict[str, str]) -> Row:
    return tuple(values.get(name, value) for name, value in zip(_ORDERS, row, strict=True))


class _Counted:
    """A text file for the csv module, which counts and hashes what is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, text: str) -> int:
        data = text.encode()
        self._hash.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def durable(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()


def _write(root: Path, path: Path, header: Row, rows: Iterator[Row], progress: Callable[[int], None]) -> Made:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with closing(_Counted(partial)) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            count = 0
            for count, row in enumerate(rows, start=1):
                writer.writerow(row)
                if count % TOLD_EVERY == 0:
                    progress(count)
            digest = file.durable()
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return Made(path=path, rows=count, bytes=file.bytes, sha256=digest)
