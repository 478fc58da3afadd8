"""What a read does in any SQL database; each of them runs these tests on its rig."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import INSTANT
from engine.dataflow.streams import Batches
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError, PermissionFailure
from engine.ports.source import Seen, Selection, Window
from tests.contract.load_rig import LoadRig, order

NOON = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
SCHEMA = pa.schema(
    [("id", pa.int64()), ("name", pa.string()), ("updated_at", INSTANT), ("wall", pa.timestamp("us"))]
)


def minutes(count: int) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=count)


def stamp(at: datetime.datetime) -> dict[str, Any]:
    return {"type": "timestamp", "value": at.isoformat()}


def number(value: int) -> dict[str, Any]:
    return {"type": "integer", "value": value}


def ids(opened: Any) -> list[int]:
    """The ids that a read hands out; the read is closed."""
    found = [each for batch in opened for each in batch.column("id").to_pylist()]
    opened.close()
    return sorted(found)


class ReadBehaviour:
    """Tests that need a fixture `rig`."""

    @pytest.fixture
    def link(self, rig: LoadRig) -> Any:
        """A connector on a database whose table t has five rows: one without a time, one in the future."""
        times = [NOON, minutes(10), minutes(10), None, datetime.datetime(2037, 1, 1, tzinfo=datetime.UTC)]
        given = [
            {"id": at, "name": f"n{at}", "updated_at": time, "wall": time and time.replace(tzinfo=None)}
            for at, time in enumerate(times, 1)
        ]
        connector = rig.connector()
        one = pa.RecordBatch.from_pylist(given, schema=SCHEMA)
        connector.load(Batches(SCHEMA, [one]), order("t", keys=("id",)))
        connector.close()
        return rig.connector()

    def test_a_read_says_what_it_read(self, link: Any) -> None:
        """LIN-01: dataset, URI, rows and columns, without a login."""
        opened = link.read(Selection(table="t", columns=("id", "name")))
        assert opened.schema == link.schema_of(Selection(table="t", columns=("id", "name")))
        assert opened.schema.names == ["id", "name"]
        assert ids(opened) == [1, 2, 3, 4, 5]
        (touch,) = opened.touches()
        assert (touch.dataset, touch.rows, [each.name for each in touch.columns]) == ("base:t", 5, ["id", "name"])
        assert "t" in touch.uri and "@" not in touch.uri
        assert opened.seen() is None and opened.position() is None and opened.raw() is None

    def test_values_of_a_query_are_bound(self, link: Any) -> None:
        """SEC-02, FAULTS 38: by value; what only looks like a parameter stays as it is."""
        query = "SELECT id, ':a' AS text, '50%' AS share FROM t WHERE name = :a OR id = :b -- :a"
        opened = link.read(Selection(query=query, parameters={"a": "' OR 1=1 --", "b": 2, "unused": 1}))
        assert [each.to_pylist() for each in opened] == [[{"id": 2, "text": ":a", "share": "50%"}]]
        opened.close()
        assert link.scalar("SELECT count(*) FROM t WHERE name = :a", {"a": "n1"}) == 1
        assert link.scalar("SELECT id FROM t WHERE name = :a", {"a": "' OR 1=1 --"}) is None

    @pytest.mark.parametrize("query", ["DELETE FROM t", "DROP TABLE t", "SELECT 1; DROP TABLE t", "SELEKT 1"])
    def test_a_query_can_only_look(self, rig: LoadRig, link: Any, query: str) -> None:
        with pytest.raises((ConfigurationError, PermissionFailure), match="Connection 'base'"):
            list(link.read(Selection(query=query)))
        with pytest.raises((ConfigurationError, PermissionFailure), match="Connection 'base'"):
            link.scalar(query, {})
        assert rig.rows("SELECT count(*) FROM t") == [(5,)]

    @pytest.mark.parametrize(
        ("selection", "said"),
        [
            (Selection(table="tt"), "no table 'tt'; did you mean 't'"),
            (Selection(table="t", columns=("nam",)), "no column 'nam'; did you mean 'name'"),
            (
                Selection(table="t", window=Window(column="updated")),
                "no column 'updated'.*did you mean 'updated_at'",
            ),
            (Selection(table="t", window=Window(column="name")), "kind string"),
            (Selection(table="t", window=Window(strategy=Strategy.CURSOR)), "cursor.*use timestamp or id"),
            (Selection(table="t", columns=("id",), window=Window(column="updated_at")), "leaves out 'updated_at'"),
            (Selection(query="SELECT name FROM t", window=Window()), r"name one in `incremental\.column`.*name"),
            (Selection(endpoint="/x"), "name a `table` or a `query`"),
        ],
    )
    def test_what_cannot_be_read_is_told_kindly(self, link: Any, selection: Selection, said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            link.read(selection)

    def test_the_best_way_to_read_what_is_new_is_found(self, link: Any) -> None:
        """SRC-07, INC-02: a time of change before a growing key."""
        found = [(each.strategy, each.column) for each in link.candidates(Selection(table="t"))]
        assert found == [(Strategy.TIMESTAMP, "updated_at"), (Strategy.ID, "id")]

    @pytest.mark.parametrize(
        ("window", "found"),
        [
            ({}, [1, 2, 3, 5]),
            ({"nulls": "include"}, [1, 2, 3, 4, 5]),
            ({"after": stamp(minutes(10)), "lookback_seconds": 0}, [5]),
            ({"after": stamp(minutes(10)), "lookback_seconds": 0, "nulls": "include"}, [4, 5]),
            ({"after": stamp(minutes(10))}, [2, 3, 5]),
            ({"after": stamp(minutes(15)), "lookback_seconds": 300}, [2, 3, 5]),
            ({"after": stamp(NOON), "lookback_seconds": 0, "upto": stamp(minutes(10))}, [2, 3]),
            ({"upto": stamp(NOON)}, [1]),
            ({"after": {"type": "string", "value": "2024-01-01T12:05:00+00:00"}, "lookback_seconds": 0}, [2, 3, 5]),
            ({"column": "id", "after": number(3)}, [4, 5]),
            ({"strategy": Strategy.ID, "after": number(3), "upto": number(4)}, [4]),
        ],
    )
    def test_a_window(self, link: Any, window: dict[str, Any], found: list[int]) -> None:
        """INC-01, INC-05, INC-06: what is new, looked for a little further back, with or without nulls."""
        assert ids(link.read(Selection(table="t", window=Window(**window)))) == found
        column = "id" if "strategy" in window else "updated_at"
        asked = Selection(query="SELECT * FROM t", window=Window(**{"column": column, **window}))
        assert ids(link.read(asked)) == found

    def test_the_watermark_is_never_beyond_the_sources_clock(self, link: Any) -> None:
        """INC-05: a row of the year 2037 does not move it; a read begins where it stands, not later."""
        opened = link.read(Selection(table="t", window=Window()))
        ids(opened)
        seen: Seen = opened.seen()
        assert (seen.strategy, seen.column, seen.value) == (Strategy.TIMESTAMP, "updated_at", stamp(minutes(10)))
        again = link.read(Selection(table="t", window=Window(after=seen.value, fingerprint=seen.fingerprint)))
        assert ids(again) == [2, 3, 5]
        assert again.seen().value is None, "nothing was new"

    def test_a_wall_clock_is_compared_in_its_own_zone(self, link: Any) -> None:
        """INC-05: 12:10 in the table is 11:10 in UTC where the source says that it is in Berlin."""
        after = {"type": "timestamp", "value": "2024-01-01T11:05:00+00:00"}
        window = Window(column="wall", after=after, lookback_seconds=0, timezone="Europe/Berlin")
        opened = link.read(Selection(table="t", window=window))
        assert ids(opened) == [2, 3, 5]
        assert opened.seen().value == {"type": "datetime", "value": "2024-01-01T12:10:00"}

    def test_an_id_is_followed(self, link: Any) -> None:
        opened = link.read(Selection(table="t", window=Window(column="id")))
        ids(opened)
        assert (opened.seen().strategy, opened.seen().value) == (Strategy.ID, {"type": "integer", "value": 5})
        assert link.newest(Selection(table="t", window=Window(column="id"))) == {"type": "integer", "value": 5}

    def test_a_column_that_changed_its_kind_is_told(self, link: Any) -> None:
        """INC-10: with the remedy."""
        with pytest.raises(ConfigurationError, match="penstock watermarks reset"):
            link.read(Selection(table="t", window=Window(column="id", after=stamp(NOON))))
        gone = Window(column="changed", after=stamp(NOON), fingerprint="another")
        with pytest.raises(ConfigurationError, match=r"'changed' is gone.*penstock watermarks reset"):
            link.read(Selection(table="t", window=gone))

    def test_many_rows_come_in_many_batches(self, rig: LoadRig, link: Any) -> None:
        """SRC-05: never the whole result."""
        many = pa.RecordBatch.from_pydict({"id": range(30_000), "name": ["x" * 400] * 30_000})
        link.load(Batches(many.schema, [many]), order("many", target="many"))
        opened = link.read(Selection(table="many", options={"batch_rows": 7_000}))
        sizes = [(each.num_rows, each.nbytes) for each in opened]
        opened.close()
        assert sum(rows for rows, _ in sizes) == 30_000
        assert max(rows for rows, _ in sizes) < 20_000
        assert max(size for _, size in sizes) < 12 << 20

    def test_a_read_may_be_given_up(self, link: Any) -> None:
        opened = link.read(Selection(table="t"))
        next(iter(opened))
        opened.close()
        opened.close()
        assert ids(link.read(Selection(table="t"))) == [1, 2, 3, 4, 5]

    def test_tables_are_found_without_our_own(self, link: Any) -> None:
        assert link.discover() == ["t"]
        assert link.discover("x*") == []
