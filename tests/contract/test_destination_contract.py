"""What every destination promises (engine.ports.destination), proven on each system of tests/contract/data_rigs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import kind_of
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.destination import Destination, Growing, Loaded, Mode, Order
from engine.ports.source import Selection
from tests.contract.data_rigs import NAMES
from tests.contract.data_rigs.base import KINDS, PASSWORD, ROWS, DataRig, broken, kinds_table, plain, stream

HOSTILE = 'we"ird; DROP TABLE x; -- `é [t]'
MODES = pytest.mark.parametrize("mode", list(Mode), ids=[each.value for each in Mode])


@pytest.fixture(params=NAMES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DataRig]:
    with import_module(f"tests.contract.data_rigs.{request.param}").open_rig(request, tmp_path) as opened:
        yield opened


@pytest.fixture
def destination(rig: DataRig) -> Destination:
    found = rig.connector()
    assert isinstance(found, Destination)
    return found


def needs(destination: Destination, mode: Mode) -> None:
    if mode not in destination.modes():
        pytest.skip(f"this kind of system has no {mode}")


def remembering(rig: DataRig) -> None:
    if not rig.remembers:
        pytest.skip("this kind of system keeps no ledger: rows arrive at least once, under ids of their own")


def whole(rig: DataRig) -> None:
    if not rig.atomic:
        pytest.skip("this kind of system takes each batch as it comes")


def table(*rows: tuple[int, Any], flags: Sequence[bool | None] | None = None) -> pa.Table:
    """Rows of an id and a note."""
    found = pa.table({"id": pa.array([row[0] for row in rows], pa.int64()), "note": [row[1] for row in rows]})
    found = found.cast(pa.schema([pa.field("id", pa.int64()), pa.field("note", pa.string())]))
    return found if flags is None else found.append_column("gone", pa.array(flags, pa.bool_()))


def order(target: str, mode: Mode = Mode.APPEND, **more: Any) -> Order:
    keyed = mode in (Mode.UPSERT, Mode.MERGE)
    given: dict[str, Any] = {"token": f"run/{uuid.uuid4()}", "keys": ("id",) if keyed else ()}
    given["delete_when"] = "gone" if mode is Mode.MERGE else None
    return Order(target=target, mode=mode, **{**given, **more})


def feed(mode: Mode, *rows: tuple[int, Any]) -> pa.Table:
    """The rows as a load of this mode takes them."""
    return table(*rows, flags=[False] * len(rows) if mode is Mode.MERGE else None)


def there(rig: DataRig, target: str, by: str = "id") -> list[dict[str, Any]]:
    with closing(rig.connector().read(Selection(table=target))) as reading:
        rows = [row for batch in reading for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: (row[by] is None, row[by]))


def notes(rig: DataRig, target: str) -> list[tuple[int, Any]]:
    return [(row["id"], row["note"]) for row in there(rig, target)]


class TestLoads:
    def test_every_kind_is_written_as_it_came(self, rig: DataRig, destination: Destination) -> None:
        """TYP-01, TYP-02: nine kinds with nulls, decimals, zones and unicode intact."""
        target = rig.name()
        loaded = destination.load(stream(kinds_table()), order(target))
        assert (loaded.rows, loaded.created, loaded.already) == (4, rig.makes, False)
        assert {row["id"]: plain(row) for row in there(rig, target)} == {row["id"]: plain(row) for row in ROWS}

    def test_the_target_is_made_with_the_kinds_of_the_stream(self, rig: DataRig, destination: Destination) -> None:
        """DST-01: create target, target schema."""
        target = rig.name()
        assert destination.target_schema(target) is None
        destination.create_target(target, KINDS, ("id",))
        destination.create_target(target, KINDS, ("id",))
        made = destination.target_schema(target)
        if made is None:
            pytest.skip("this kind of system keeps no columns of an empty target")
        assert {one.name: kind_of(one) for one in made} == {one.name: kind_of(one) for one in KINDS}
        assert made.field("amount").type == KINDS.field("amount").type

    def test_rows_are_added(self, rig: DataRig, destination: Destination) -> None:
        target = rig.name()
        destination.load(stream(table((1, "a"), (2, "b"))), order(target))
        loaded = destination.load(stream(table((2, "b"), (3, "c"))), order(target))
        assert (loaded.rows, loaded.created) == (2, False)
        assert notes(rig, target) == [(1, "a"), (2, "b"), (2, "b"), (3, "c")]

    def test_rows_are_replaced(self, rig: DataRig, destination: Destination) -> None:
        """DST: replace."""
        needs(destination, Mode.REPLACE)
        target = rig.name()
        destination.load(stream(table((1, "a"), (2, "b"))), order(target))
        destination.load(stream(table((3, "c"))), order(target, Mode.REPLACE))
        assert notes(rig, target) == [(3, "c")]
        assert rig.leftovers() == []

    def test_no_rows_replace_all(self, rig: DataRig, destination: Destination) -> None:
        needs(destination, Mode.REPLACE)
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))
        assert destination.load(stream(table()), order(target, Mode.REPLACE)).rows == 0
        assert rig.count(target) == 0

    def test_rows_are_put_in_by_key_and_the_last_of_a_key_wins(
        self, rig: DataRig, destination: Destination
    ) -> None:
        """DST: upsert; duplicates inside one load."""
        needs(destination, Mode.UPSERT)
        target = rig.name()
        destination.load(stream(table((1, "a"), (2, "b"))), order(target))
        rows = table((2, "early"), (3, "c"), (4, "d"), (3, "later"), (2, None))
        loaded = destination.load(stream(rows, rows=2), order(target, Mode.UPSERT))
        assert notes(rig, target) == [(1, "a"), (2, None), (3, "later"), (4, "d")]
        assert loaded.rows == 5 and rig.leftovers() == []

    def test_columns_that_are_not_loaded_keep_what_they_have(self, rig: DataRig, destination: Destination) -> None:
        needs(destination, Mode.UPSERT)
        target = rig.name()
        wide = table((1, "a"), (2, "b")).append_column("more", pa.array(["x", "y"]))
        destination.load(stream(wide), order(target))
        destination.load(stream(table((2, "new"))), order(target, Mode.UPSERT))
        assert [(row["note"], row["more"]) for row in there(rig, target)] == [("a", "x"), ("new", "y")]

    def test_flagged_rows_are_deleted(self, rig: DataRig, destination: Destination) -> None:
        """DST: merge with deletes."""
        needs(destination, Mode.MERGE)
        target = rig.name()
        destination.load(stream(table((1, "a"), (2, "b"), (3, "c"))), order(target))
        rows = table((1, "x"), (2, "y"), (9, "z"), (4, "d"), flags=[False, True, True, None])
        destination.load(stream(rows), order(target, Mode.MERGE))
        assert notes(rig, target) == [(1, "x"), (3, "c"), (4, "d")]
        assert "gone" not in there(rig, target)[0]

    def test_a_row_deleted_and_made_again_is_there(self, rig: DataRig, destination: Destination) -> None:
        needs(destination, Mode.MERGE)
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))
        rows = table((1, "a"), (1, "again"), (2, "b"), (2, "b"), flags=[True, False, False, True])
        destination.load(stream(rows), order(target, Mode.MERGE))
        assert notes(rig, target) == [(1, "again")]

    def test_a_missing_target_can_be_made_by_a_keyed_load(self, rig: DataRig, destination: Destination) -> None:
        for mode in (Mode.UPSERT, Mode.MERGE):
            needs(destination, mode)
            target = rig.name()
            loaded = destination.load(stream(feed(mode, (1, "a"), (1, "b"))), order(target, mode))
            assert loaded.created and notes(rig, target) == [(1, "b")]

    def test_many_batches_arrive_whole(self, rig: DataRig, destination: Destination) -> None:
        target, told = rig.name(), []
        rows = pa.table({"id": pa.array(range(30_000), pa.int64()), "note": [f"n{n}" for n in range(30_000)]})
        given = order(target, progress=told.append)
        assert destination.load(stream(rows, rows=7_000), given).rows == 30_000
        assert rig.count(target) == 30_000
        assert told == sorted(told) and told[-1] == 30_000


class TestTokens:
    @MODES
    def test_the_same_token_loads_once(self, rig: DataRig, destination: Destination, mode: Mode) -> None:
        """TXN; invariant B."""
        remembering(rig)
        needs(destination, mode)
        target = rig.name()
        given = order(target, mode, scope="s", seal=lambda: {"watermark": {"n": 1}})
        destination.load(stream(feed(mode, (1, "a"), (2, "b"))), given)
        other = rig.connector()
        again = other.load(stream(feed(mode, (1, "other"), (3, "c"))), given)
        assert (again.already, again.rows, dict(again.seal)) == (True, 2, {"watermark": {"n": 1}})
        assert notes(rig, target) == [(1, "a"), (2, "b")]
        told = other.ledger(given.token, target)
        assert told is not None and (told.rows, told.already) == (2, True)

    def test_an_unknown_token_was_not_loaded(self, rig: DataRig, destination: Destination) -> None:
        target = rig.name()
        assert destination.ledger("run/never", target) is None
        destination.load(stream(table((1, "a"))), order(target))
        assert destination.ledger("run/never", target) is None

    def test_the_last_seal_of_a_scope_is_found(self, rig: DataRig, destination: Destination) -> None:
        """INC-04: watermark and rows commit together."""
        target = rig.name()
        for n in (1, 2, 3):
            scope = "other" if n == 3 else "mine"
            destination.load(stream(table((n, "x"))), order(target, scope=scope, seal=lambda n=n: {"n": n}))
        fresh = rig.connector()
        if fresh.watermark("mine", target) is None:
            pytest.skip("this kind of system keeps no watermark")
        assert dict(fresh.watermark("mine", target)) == {"n": 2}
        assert fresh.watermark("nobody", target) is None

    def test_the_seal_is_asked_once_after_all_rows(self, rig: DataRig, destination: Destination) -> None:
        target, said = rig.name(), []

        def seal() -> Mapping[str, Any]:
            said.append("seal")
            return {}

        given = order(target, seal=seal, progress=lambda rows: said.append(str(rows)))
        destination.load(stream(table((1, "a"), (2, "b")), rows=1), given)
        assert said.count("seal") == 1 and said[-1] == "seal" and "2" in said

    def test_a_long_token_is_a_token(self, rig: DataRig, destination: Destination) -> None:
        remembering(rig)
        target = rig.name()
        long = order(target, token="run/" + "x" * 3_000)
        assert not destination.load(stream(table((1, "a"))), long).already
        assert destination.load(stream(table((1, "a"))), long).already
        assert destination.ledger(long.token[:-1] + "y", target) is None


class TestFailures:
    @MODES
    def test_a_stream_that_fails_changes_nothing(self, rig: DataRig, destination: Destination, mode: Mode) -> None:
        """TXN: all or nothing; invariant A."""
        whole(rig)
        needs(destination, mode)
        target = rig.name()
        destination.load(stream(table((1, "a"), (2, "b"))), order(target))
        given = order(target, mode)
        with pytest.raises(ZeroDivisionError):
            destination.load(broken(feed(mode, (2, "x"), (3, "c")), ZeroDivisionError()), given)
        assert notes(rig, target) == [(1, "a"), (2, "b")]
        fresh = rig.connector()
        assert fresh.ledger(given.token, target) is None and rig.leftovers() == []
        assert not fresh.load(stream(feed(mode, (3, "c"))), given).already

    @MODES
    def test_a_failed_first_load_leaves_no_target(self, rig: DataRig, destination: Destination, mode: Mode) -> None:
        whole(rig)
        needs(destination, mode)
        target = rig.name()
        with pytest.raises(ZeroDivisionError):
            destination.load(broken(feed(mode, (1, "x")), ZeroDivisionError()), order(target, mode))
        assert not rig.exists(target) and rig.leftovers() == []

    def test_a_seal_that_fails_takes_the_rows_back(self, rig: DataRig, destination: Destination) -> None:
        whole(rig)
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))

        def seal() -> Mapping[str, Any]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            destination.load(stream(table((2, "b"))), order(target, seal=seal))
        assert notes(rig, target) == [(1, "a")]

    def test_a_missing_target_that_is_not_to_be_made(self, rig: DataRig, destination: Destination) -> None:
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))
        if destination.target_schema(target) is None:
            pytest.skip("this kind of system has no targets to be missing")
        with pytest.raises(ConfigurationError, match=rf"'shop'.*'{target}x'.*'{target}'"):
            destination.load(stream(table((1, "a"))), order(target + "x", create=False))
        assert not rig.exists(target + "x")

    def test_a_key_without_a_value_is_refused(self, rig: DataRig, destination: Destination) -> None:
        needs(destination, Mode.UPSERT)
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))
        rows = pa.table({"id": pa.array([2, None], pa.int64()), "note": ["b", "c"]})
        with pytest.raises(DataQualityError, match="id"):
            destination.load(stream(rows), order(target, Mode.UPSERT))
        assert notes(rig, target) == [(1, "a")]

    def test_a_value_that_does_not_fit_is_refused_not_bent(self, rig: DataRig, destination: Destination) -> None:
        """TYP: never rounded silently."""
        if not rig.limits:
            pytest.skip("this kind of system has no column types of its own")
        target = rig.name()
        amounts = pa.schema([pa.field("amount", pa.decimal128(6, 2))])
        destination.load(stream(pa.table({"amount": [Decimal("1.25")]}, schema=amounts)), order(target))
        for bad in (Decimal("1.255"), Decimal("123456.25")):
            wide = pa.table({"amount": pa.array([Decimal("2.5"), bad], pa.decimal128(20, 6))})
            with pytest.raises(DataQualityError, match="amount") as caught:
                destination.load(stream(wide), order(target))
            assert "'shop'" in str(caught.value) and str(bad) not in str(caught.value)
        assert rig.count(target) == 1

    def test_a_column_the_target_lacks_is_named(self, rig: DataRig, destination: Destination) -> None:
        if not rig.limits:
            pytest.skip("this kind of system has no column types of its own")
        target = rig.name()
        destination.load(stream(table((1, "a"))), order(target))
        with pytest.raises(ConfigurationError, match=r"'noet'.*'note'"):
            destination.load(stream(pa.table({"id": [2], "noet": ["b"]})), order(target))

    def test_columns_are_added_once_however_often_asked(self, rig: DataRig, destination: Destination) -> None:
        """FAULTS 28, 38: `on_drift: add`; whatever is in a name, it is a name."""
        if not isinstance(destination, Growing):
            pytest.skip("no column can be added here")
        target, hostile = rig.name(), "a\"b`c'; DROP TABLE x --"
        destination.load(stream(table((1, "a"))), order(target))
        new = [pa.field(hostile, pa.string(), nullable=False), pa.field("at", pa.timestamp("us", tz="UTC"))]
        for _ in range(2):
            destination.add_columns(target, new)
        schema = destination.target_schema(target)
        assert schema is not None
        assert [each.type for each in schema][-2:] == [pa.string(), pa.timestamp("us", tz="UTC")]
        destination.load(stream(pa.table({"id": [2], hostile: ["x"]})), order(target))
        assert rig.count(target) == 2

    def test_no_message_has_the_password(self, rig: DataRig, destination: Destination) -> None:
        """FAULTS 42."""
        with pytest.raises(ConfigurationError) as caught:
            destination.load(stream(table((1, "a"))), order(rig.name(), Mode.UPSERT, keys=("nope",)))
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in destination.test()


class TestNames:
    def test_hostile_names_are_only_names(self, rig: DataRig, destination: Destination) -> None:
        """FAULTS 38: injection by identifier."""
        if not rig.queries:
            pytest.skip("this kind of system takes no SQL")
        other = rig.name()
        destination.load(stream(table((1, "keep"))), order(other))
        column = f'c"; DROP TABLE {other}; --%s :x'
        rows = pa.table({"id": [1, 2], column: ["a", "b"]})
        for mode in (Mode.APPEND, Mode.REPLACE, Mode.UPSERT):
            destination.load(stream(rows), order(HOSTILE, mode))
        assert len(there(rig, HOSTILE)) == 2 and rig.count(other) == 1

    def test_where_it_went_is_told_without_a_login(self, rig: DataRig, destination: Destination) -> None:
        target = rig.name()
        uri = destination.load(stream(table((1, "a"))), order(target)).uri
        assert target in uri and "@" not in uri and "?" not in uri and PASSWORD not in uri


class TestAllOrNothing:
    """stage, publish, undo, discard: each by another connector, as another process would."""

    @pytest.fixture
    def undoing(self, rig: DataRig) -> DataRig:
        if not rig.undoes:
            pytest.skip("this kind of system cannot take a load back")
        return rig

    def begun(self, rig: DataRig, mode: Mode) -> tuple[str, Order, Mapping[str, Any]]:
        target = rig.name()
        first: Destination = rig.connector()
        needs(first, mode)
        first.load(stream(table((1, "a"), (2, "b"), (2, "b"))), order(target))
        if mode in (Mode.UPSERT, Mode.MERGE):
            first.load(stream(table((1, "a"), (2, "b"))), order(target, Mode.REPLACE))
        given = order(target, mode, scope="s", seal=lambda: {"n": 5})
        staged = first.stage(stream(feed(mode, (2, "b"), (3, "c"))), given)
        return target, given, staged

    @MODES
    def test_what_is_staged_is_not_seen(self, undoing: DataRig, mode: Mode) -> None:
        target, given, staged = self.begun(undoing, mode)
        assert (3, "c") not in notes(undoing, target)
        undoing.connector().discard(staged)
        undoing.connector().discard(staged)
        assert undoing.leftovers() == [] and undoing.connector().ledger(given.token, target) is None

    @MODES
    def test_what_is_published_is_seen_once(self, undoing: DataRig, mode: Mode) -> None:
        target, given, staged = self.begun(undoing, mode)
        loaded = undoing.connector().publish(staged, given)
        after = notes(undoing, target)
        assert (loaded.rows, loaded.already, dict(loaded.seal)) == (2, False, {"n": 5}) and (3, "c") in after
        again: Loaded = undoing.connector().publish(staged, given)
        assert again.already and again.rows == 2 and notes(undoing, target) == after
        undoing.connector().discard(staged)
        assert undoing.leftovers() == [] and notes(undoing, target) == after

    @MODES
    def test_what_was_published_is_taken_back(self, undoing: DataRig, mode: Mode) -> None:
        target, given, staged = self.begun(undoing, mode)
        before = notes(undoing, target)
        undoing.connector().publish(staged, given)
        if mode is not Mode.REPLACE:  # others go on writing meanwhile
            undoing.connector().load(stream(table((8, "other"))), order(target))
            before = [*before, (8, "other")]
        for _ in range(2):
            undoing.connector().undo(staged, given)
        assert notes(undoing, target) == before
        fresh = undoing.connector()
        assert fresh.ledger(given.token, target) is None and fresh.watermark("s", target) is None
        fresh.discard(staged)
        assert undoing.leftovers() == []

    @MODES
    def test_what_was_never_published_is_not_taken_back(self, undoing: DataRig, mode: Mode) -> None:
        target, given, staged = self.begun(undoing, mode)
        before = notes(undoing, target)
        undoing.connector().undo(staged, given)
        assert notes(undoing, target) == before

    @MODES
    def test_staging_again_begins_anew(self, undoing: DataRig, mode: Mode) -> None:
        target, given, _ = self.begun(undoing, mode)
        staged = undoing.connector().stage(stream(feed(mode, (4, "d"))), given)
        assert undoing.connector().publish(staged, given).rows == 1
        found = notes(undoing, target)
        assert (4, "d") in found and (3, "c") not in found

    @MODES
    def test_a_target_that_was_made_goes_again(self, undoing: DataRig, mode: Mode) -> None:
        target = undoing.name()
        first = undoing.connector()
        needs(first, mode)
        given = order(target, mode)
        staged = first.stage(stream(feed(mode, (1, "a"))), given)
        assert not undoing.exists(target)
        undoing.connector().publish(staged, given)
        assert undoing.count(target) == 1
        undoing.connector().undo(staged, given)
        assert undoing.count(target) == 0

    def test_every_kind_survives_being_staged(self, undoing: DataRig) -> None:
        target = undoing.name()
        given = order(target)
        staged = undoing.connector().stage(stream(kinds_table()), given)
        undoing.connector().publish(staged, given)
        found = {row["id"]: plain(row) for row in there(undoing, target)}
        assert found == {row["id"]: plain(row) for row in ROWS}
