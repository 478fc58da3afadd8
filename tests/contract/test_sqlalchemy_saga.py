"""Any database by its SQLAlchemy URL as one of several destinations: staged, published, taken back, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError, LogicError
from engine.ports.destination import Mode
from tests.contract.load_behaviour import LoadBehaviour
from tests.contract.load_kill import BEFORE, SEED, prepare
from tests.contract.load_rig import COLUMNS, LoadRig, order, rows
from tests.contract.saga_kill import Cut, cuts, named, prove, some_cuts
from tests.contract.sqlalchemy_rig import KINDS, own_tables, rig_of


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadRig]:
    with rig_of(request.param, tmp_path, request) as found:
        yield found


@pytest.fixture
def mysql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadRig]:
    with rig_of("mysql", tmp_path, request) as found:
        yield found


@pytest.fixture
def postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadRig]:
    with rig_of("postgresql", tmp_path, request) as found:
        yield found


class TestTakenBack:
    """TXN-03: what every database does that can be one of several."""

    link = LoadBehaviour.link
    test_what_was_published_is_taken_back = LoadBehaviour.test_what_was_published_is_taken_back
    test_equal_rows = LoadBehaviour.test_equal_rows_are_taken_back_as_often_as_they_came
    test_a_target_that_was_made = LoadBehaviour.test_a_target_made_for_a_load_that_is_taken_back_goes_too

    def test_a_target_that_was_made_stays_where_others_have_written_to_it(self, rig: LoadRig, link: Any) -> None:
        one = order("1", target="made")
        staged = link.stage(rows((1, "a")), one)
        link.publish(staged, one)
        link.load(rows((2, "of others")), order("2", target="made"))
        link.undo(staged, one)
        assert rig.table("made") == [(2, "of others")]

    def test_replacing_a_table_without_a_key_is_taken_back(self, rig: LoadRig, link: Any) -> None:
        link.create_target("log", COLUMNS)
        link.load(rows((1, "a"), (1, "a"), (2, None)), order("first", target="log"))
        one = order("1", Mode.REPLACE, target="log")
        staged = link.stage(rows((1, "a"), (3, "c")), one)
        link.publish(staged, one)
        link.load(rows((1, "a"), (4, None)), order("others", target="log"))
        link.undo(staged, one)
        assert sorted(rig.table("log"), key=str) == [(1, "a"), (1, "a"), (1, "a"), (2, None), (4, None)]

    @pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE])
    def test_json_is_taken_back(self, rig: LoadRig, mode: Mode) -> None:
        connector = rig.connector()
        fields = [pa.field("id", pa.int64()), pa.field("name", pa.string(), metadata={b"penstock.kind": b"json"})]
        schema = pa.schema(fields)
        connector.load(rows((1, '{"a": 1}'), (1, '{"a": 1}'), (2, None), schema=schema), order("first"))
        before = rig.rows("SELECT id, name FROM t ORDER BY id")
        one = order("1", mode)
        staged = connector.stage(rows((1, '{"a": 1}'), (3, '{"b": []}'), (2, None), schema=schema), one)
        connector.publish(staged, one)
        assert len(rig.rows("SELECT id FROM t")) == (6 if mode is Mode.APPEND else 3)
        connector.undo(staged, one)
        assert rig.rows("SELECT id, name FROM t ORDER BY id") == before

    def test_what_cannot_be_staged_leaves_nothing(self, rig: LoadRig, link: Any) -> None:
        def breaking() -> Iterator[pa.RecordBatch]:
            yield from rows((3, "c"))
            raise DataQualityError("the source has broken")

        with pytest.raises(DataQualityError, match="the source has broken"):
            link.stage(Batches(COLUMNS, breaking()), order("1"))
        with pytest.raises(DataQualityError, match="no value in a key column"):
            link.stage(rows((None, "c")), order("2", Mode.UPSERT))
        with pytest.raises(ConfigurationError, match="no table 'tt'; did you mean 't'"):
            link.stage(rows((3, "c")), order("3", target="tt", create=False))
        assert own_tables(rig) == ["_penstock_loads"]

    @pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.UPSERT])
    @pytest.mark.parametrize("kind", ["mysql", "postgresql"])
    def test_of_two_attempts_at_once_one_publishes(
        self, request: pytest.FixtureRequest, kind: str, mode: Mode
    ) -> None:
        """INC-04, TXN-03: and the other leaves alone what the first has kept for the way back."""
        rig: LoadRig = request.getfixturevalue(kind)
        prepare(rig)
        written, more = Event(), Event()

        def sealing() -> Mapping[str, Any]:
            written.set()
            assert more.wait(60)
            return {}

        one = order("1", mode)

        def looking(*given: Any) -> None:
            if (
                written.is_set()
                and "_penstock_before" in given[2]
                and given[2].lstrip().startswith(("DELETE", "DROP"))
            ):
                more.set()  # the second has found nothing in the ledger

        staged = rig.connector().stage(rows((2, "deux"), (3, "c")), one)
        sa.event.listen(sa.Engine, "before_cursor_execute", looking)
        try:
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(rig.connector().publish, staged, order("1", mode, seal=sealing))
                assert written.wait(60)
                second = pool.submit(rig.connector().publish, staged, one)
                assert [first.result().already, second.result().already] == [False, True]
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", looking)
        connector = rig.connector()
        connector.undo(staged, one)
        connector.discard(staged)
        assert rig.table() == BEFORE

    def test_what_is_not_ours_is_not_discarded(self, rig: LoadRig, link: Any) -> None:
        with pytest.raises(LogicError, match="no table of ours"):
            link.discard({"schema": "", "stage": "t", "kept": "t"})
        assert len(rig.table()) == 2


class TestRefused:
    """TXN-03: who cannot take a load back says so before anything is published, and what to do."""

    def test_a_database_without_transactions(self, mysql: LoadRig) -> None:
        engine = {"init_command": "SET default_storage_engine=MyISAM"}
        connector = mysql.connector(connect_args=engine)
        with pytest.raises(ConfigurationError, match=r"no transactions.*`targets`. Load it in a task of its own"):
            connector.stage(rows((1, "a")), order("1"))
        assert own_tables(mysql) == ["_penstock_loads"]

    def test_a_table_without_transactions(self, mysql: LoadRig) -> None:
        mysql.rows("CREATE TABLE t (id BIGINT, name TEXT) ENGINE=MyISAM")
        with pytest.raises(ConfigurationError, match=r"engine without transactions.*`targets`"):
            mysql.connector().stage(rows((1, "a")), order("1"))

    def test_a_column_that_nobody_else_may_write(self, postgresql: LoadRig) -> None:
        postgresql.rows("CREATE TABLE t (id bigint PRIMARY KEY, name text, n int GENERATED ALWAYS AS IDENTITY)")
        connector = postgresql.connector()
        with pytest.raises(ConfigurationError, match=r"identity column.*`targets`"):
            connector.stage(rows((1, "a")), order("1", Mode.REPLACE))
        staged = connector.stage(rows((1, "a")), order("2"))  # nothing is written back of an append
        connector.publish(staged, order("2"))
        connector.undo(staged, order("2"))
        assert postgresql.table() == []

    @pytest.mark.parametrize(
        ("type", "said"), [("json[]", "cannot compare"), ("point", "does not know the type of its column 'p'")]
    )
    @pytest.mark.filterwarnings("ignore:Did not recognize type")  # of which the test is
    def test_a_column_that_cannot_be_compared_or_kept(self, postgresql: LoadRig, type: str, said: str) -> None:
        postgresql.rows(f"CREATE TABLE t (id bigint, name text, p {type})")
        columns = ("id", "p") if type == "json[]" else ("id",)
        given = pa.RecordBatch.from_pydict({each: [None] for each in columns})
        with pytest.raises(ConfigurationError, match=rf"{said}.*`targets`"):
            postgresql.connector().stage(Batches(given.schema, [given]), order("1"))
        assert own_tables(postgresql) == ["_penstock_loads"]


class TestKill:
    """FAULTS 1: kill -9 while a load is staged, published, taken back."""

    @pytest.mark.parametrize("cut", some_cuts(SEED, 5), ids=named(SEED))
    def test_a_killed_step_is_done_by_the_next(self, rig: LoadRig, cut: Cut) -> None:
        prove(rig, cut)
        assert own_tables(rig) == ["_penstock_loads"]

    @pytest.mark.soak
    @pytest.mark.parametrize("cut", cuts(), ids=str)
    def test_a_step_killed_anywhere(self, rig: LoadRig, cut: Cut) -> None:
        prove(rig, cut)
        assert own_tables(rig) == ["_penstock_loads"]
