"""Any database by its SQLAlchemy URL: the same on a SQLite file, on MySQL or MariaDB, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError
from engine.ports.destination import Mode
from engine.ports.source import Selection
from tests.contract.load_kill import SEED, Kill, kills, named, prove
from tests.contract.load_rig import COLUMNS, FLAGGED, LoadRig, order, rows, seal
from tests.contract.sqlalchemy_rig import KINDS, connection, own_tables, rig_of

PLACES = ("load.ready", "load.committed")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadRig]:
    with rig_of(request.param, tmp_path, request) as found:
        yield found


def test_every_mode_on_every_dialect(rig: LoadRig) -> None:
    """DST-02, DST-04: append, replace, upsert, merge, each once for its token."""
    connector = rig.connector()
    connector.create_target("t", COLUMNS, keys=("id",))
    for _ in range(2):
        connector.load(rows((1, "one"), (2, "two"), (5, "it's %s :x")), order("1", scope="s", seal=seal(1)))
    connector.load(rows((2, "deux"), (3, "x"), (3, "trois")), order("2", Mode.UPSERT))
    assert rig.table() == [(1, "one"), (2, "deux"), (3, "trois"), (5, "it's %s :x")]
    flagged = rows((1, "uno", True), (4, "vier", False), (9, "no", True), schema=FLAGGED)
    connector.load(flagged, order("3", Mode.MERGE))
    assert rig.table() == [(2, "deux"), (3, "trois"), (4, "vier"), (5, "it's %s :x")]
    connector.load(rows((7, "seven")), order("4", Mode.REPLACE))
    assert rig.table() == [(7, "seven")]
    assert connector.watermark("s", "t") == seal(1)() and list(connector.discover()) == ["t"]
    query = Selection(
        query="SELECT id, name FROM t WHERE name = :name AND 'a:b' = 'a:b'", parameters={"name": "seven"}
    )
    with closing(connector.read(query)) as reading:
        assert [row for batch in reading for row in batch.to_pylist()] == [{"id": 7, "name": "seven"}]
    assert connector.scalar("SELECT count(*) FROM t WHERE name = :name", {"name": "seven"}) == 1


def test_columns_are_added_on_every_dialect(rig: LoadRig) -> None:
    """FAULTS 28, 38: `on_drift: add`; every kind, whatever is in a name."""
    connector = rig.connector()
    connector.create_target("t", COLUMNS, keys=("id",))
    connector.load(rows((1, "one")), order("1"))
    kinds = [
        pa.string(),
        pa.int64(),
        pa.decimal128(12, 2),
        pa.bool_(),
        pa.date32(),
        pa.timestamp("us"),
        pa.binary(),
    ]
    new = [pa.field(f"a\"b'; --%s :x {kind}", kind, nullable=False) for kind in kinds]
    for _ in range(2):
        connector.add_columns("t", new)
    assert connector.target_schema("t").names == ["id", "name", *(each.name for each in new)]
    given = pa.RecordBatch.from_pydict({"id": [2], new[0].name: ["x"]})
    connector.load(Batches(given.schema, [given]), order("2"))
    assert rig.table() == [(1, "one"), (2, None)]


@pytest.mark.parametrize("kill", kills(SEED, 5, own=PLACES), ids=named(SEED))
def test_a_killed_load_is_as_if_it_had_not_been(rig: LoadRig, kill: Kill) -> None:
    """INC-04, DST-06: kill -9, and the rows are there once and whole; nothing is left beside the target."""
    prove(rig, kill)
    assert own_tables(rig) == ["_penstock_loads"]


@pytest.mark.soak
@pytest.mark.parametrize("kill", kills(SEED + 1, 50, own=PLACES), ids=named(SEED + 1))
def test_a_killed_load_fifty_times(rig: LoadRig, kill: Kill) -> None:
    prove(rig, kill)
    assert own_tables(rig) == ["_penstock_loads"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nosuch://host/x", "no dialect 'nosuch'"),
        ("oracle+oracledb://u:canary@host/x", "'oracledb'.*pip install oracledb"),
        ("not a url canary", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(tmp_path: Path, url: str, told: str) -> None:
    rig = LoadRig(connection=connection(url), root=tmp_path, rows=lambda query: [])
    with pytest.raises(ConfigurationError, match=told) as caught:
        rig.connector()
    assert "canary" not in str(caught.value)
