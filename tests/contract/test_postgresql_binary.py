"""PostgreSQL: rows in COPY's binary form are the rows that its text form makes (TYP-01, TYP-03)."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from engine.connectors.databases import pg_binary
from engine.connectors.databases.pg_binary import Binary
from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import DataQualityError
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order

TEXTS = ["", " ", "null", "\\N", "\\.", 'quote " and comma ,', "line\nline\r\n", "ünïcødé 🚰", "tab\t", "x" * 5000]
DIGITS = ["0", "1", "-1", "0.01", "-0.01", "9999999999.99", "-9999999999.99", "10000", "0.1", "12340000", "1.10"]
UTC = dt.UTC


def number(digits: int, places: int) -> Decimal:
    """Exactly, whatever the context says."""
    return Decimal(f"{digits}E-{places}")


def wide(places: int) -> list[Decimal]:
    """Decimals of 38 digits, so many of them after the point."""
    most = 10**38 - 1
    return [number(each, places) for each in (0, 1, -1, most, -most, 10**37, 10**places % most, 10_000)]


def columns(chance: random.Random, rows: int) -> pa.RecordBatch:
    """Each kind that goes in binary: the ends of its range, then anything, and nulls."""

    def some(ends: list[Any], one: Any) -> list[Any]:
        found = [*ends, *(one() for _ in range(rows - len(ends)))]
        return [None if at > len(ends) and chance.random() < 0.1 else each for at, each in enumerate(found)]

    def whole(bits: int) -> list[int]:
        most = 2 ** (bits - 1)
        return some([-most, most - 1, 0, -1], lambda: chance.randrange(-most, most))

    def moment() -> dt.datetime:
        return dt.datetime(1, 1, 1) + dt.timedelta(microseconds=chance.randrange(315_537_897_600_000_000))

    moments = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999), dt.datetime(2000, 1, 1)]
    floats = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324, 1.7976931348623157e308, 0.1]
    given: dict[str, tuple[pa.DataType, list[Any]]] = {
        "i2": (pa.int16(), whole(16)),
        "i4": (pa.int32(), whole(32)),
        "i8": (pa.int64(), whole(64)),
        "f4": (pa.float32(), some([0.0, -1.5, 3.4028234663852886e38], lambda: chance.uniform(-1e6, 1e6))),
        "f8": (pa.float64(), some(floats, lambda: chance.uniform(-1e300, 1e300))),
        "b": (pa.bool_(), some([True, False], lambda: chance.random() < 0.5)),
        "d": (pa.date32(), [each and each.date() for each in some(moments, moment)]),
        "t": (pa.timestamp("us"), some(moments, moment)),
        "tz": (pa.timestamp("us", "UTC"), [each and each.replace(tzinfo=UTC) for each in some(moments, moment)]),
        "s": (pa.string(), some(TEXTS, lambda: "".join(chance.choices('ab"\\,\né🚰', k=chance.randrange(20))))),
        "y": (pa.binary(), some([b"", b"\0\xff\\x"], lambda: chance.randbytes(chance.randrange(20)))),
    }
    numbers = [Decimal(each) for each in DIGITS]
    for name, kind, ends in (
        ("n2", pa.decimal128(12, 2), numbers),
        ("n0", pa.decimal128(38, 0), wide(0)),
        ("n19", pa.decimal128(38, 19), wide(19)),
        ("n38", pa.decimal128(38, 38), wide(38)),
    ):
        most = 10**kind.precision - 1
        given[name] = (kind, some(ends, lambda m=most, s=kind.scale: number(chance.randint(-m, m), s)))
    return pa.RecordBatch.from_arrays(
        [pa.array(values, kind) for kind, values in given.values()], names=list(given)
    )


@pytest.fixture
def link(postgres_url: str) -> Iterator[Any]:
    with psycopg.connect(postgres_url, autocommit=True) as found:
        yield found


@pytest.fixture
def destination(postgres_url: str, tmp_path: Any) -> Iterator[Any]:
    connection = Connection(id="base", type="postgresql", config={"url": postgres_url})
    found = Connectors(tmp_path).destination(connection)
    yield found
    found.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_binary_and_text_make_the_same_rows(
    destination: Any, link: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    batch = columns(random.Random(seed), 500)
    used: list[str] = []
    plainly = pg_binary._encoder

    def told(schema: pa.Schema, types: Any) -> Any:
        found = plainly(schema, types)
        used.append("binary" if found is not None else "text")
        return found

    monkeypatch.setattr(pg_binary, "_encoder", told)
    destination.load(Batches(batch.schema, [batch, batch.slice(100, 7)]), Order(token="1", target="one"))
    monkeypatch.setattr(pg_binary, "_encoder", lambda *_: None)
    destination.load(Batches(batch.schema, [batch, batch.slice(100, 7)]), Order(token="2", target="two"))
    assert used == ["binary"]
    for first, second in (("one", "two"), ("two", "one")):
        assert link.execute(f"SELECT * FROM {first} EXCEPT ALL SELECT * FROM {second}").fetchall() == []
    assert link.execute("SELECT count(*) FROM one").fetchone() == (507,)


def test_other_types_of_the_table_get_text(destination: Any, link: Any) -> None:
    """A wider number, a JSON document, a fixed length: what the server makes of text stays."""
    link.execute("CREATE TABLE t (a float8, j jsonb, c char(5), u uuid)")
    one = pa.table(
        {
            "a": pa.array([1.5], pa.float32()),
            "j": ['{"k": 1}'],
            "c": ["x"],
            "u": ["c0ffee00-0000-4000-8000-000000000001"],
        }
    )
    destination.load(Batches(one.schema, one.to_batches()), Order(token="1", target="t"))
    assert link.execute("SELECT a, j->>'k', c, u::text FROM t").fetchone() == (
        1.5,
        "1",
        "x    ",
        one["u"][0].as_py(),
    )


def test_what_a_domain_refuses_fails_the_load_as_ever(destination: Any, link: Any) -> None:
    link.execute("CREATE DOMAIN small AS int8 CHECK (VALUE < 10); CREATE TABLE t (id small, v varchar(3))")
    for given in ({"id": [11], "v": ["x"]}, {"id": [1], "v": ["long"]}, {"id": [1], "v": ["a\0"]}):
        one = pa.RecordBatch.from_pydict(given)
        assert Binary([one], ["int8", "varchar"])
        with pytest.raises(DataQualityError, match="'base', table 't'"):
            destination.load(Batches(one.schema, [one]), Order(token="1", target="t", mode=Mode.REPLACE))
    assert link.execute("SELECT count(*) FROM t").fetchone() == (0,)


FAR = [2**63 - 1, -(2**63), -100_000_000_000_000_000]  # what DuckDB has for infinity, both, and the year 1200 BC


@pytest.mark.parametrize("far", FAR)
def test_a_time_that_only_text_tells_right_is_refused_as_ever(destination: Any, link: Any, far: int) -> None:
    """TYP-03: in binary the server would take infinity for the year 294247."""
    near = pa.record_batch({"at": pa.array([0, None], pa.int64()).view(pa.timestamp("us"))})
    one = pa.record_batch({"at": pa.array([far], pa.int64()).view(pa.timestamp("us"))})
    with pytest.raises(DataQualityError, match="'base', table 't'"):
        destination.load(Batches(near.schema, [near, one]), Order(token="1", target="t"))


def test_after_a_time_far_away_the_rows_go_on_as_text(destination: Any, link: Any) -> None:
    days = [pa.array(each, pa.int32()).view(pa.date32()) for each in ([1, 2], [3_663_000, 4], [5], [-719_162])]
    rows = [pa.record_batch({"d": each}) for each in days]
    assert destination.load(Batches(rows[0].schema, rows), Order(token="1", target="t")).rows == 6
    assert link.execute("SELECT count(*), min(d)::text, extract(year FROM max(d)) FROM t").fetchone() == (
        6, "0001-01-01", 11_998,
    )  # fmt: skip


def test_nothing_is_nothing_in_either_form(destination: Any, link: Any) -> None:
    empty = pa.schema([("id", pa.int64())])
    assert destination.load(Batches(empty, []), Order(token="1", target="t")).rows == 0
    assert link.execute("SELECT count(*) FROM t").fetchone() == (0,)
