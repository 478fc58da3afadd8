"""Columns mapped, drift, nulls: what is decided from the schemas, and what is said (DST-05)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from engine.dataflow.kinds import field
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError
from tests.dataflow.rows import conformed, into, one

ORDERS = pa.table({"id": [1, 2], "customer": ["Ann", "Bob"], "total": ["1.50", "2"]})
TARGET = pa.schema([("id", pa.int64()), ("customer", pa.string()), ("total", pa.decimal128(10, 2))])


def test_columns_meet_by_name_and_take_the_targets_types() -> None:
    """DST-05: type conversions."""
    found = conformed(ORDERS, TARGET)
    assert found.table.schema == TARGET
    assert found.column("total") == [Decimal("1.50"), Decimal("2.00")]
    assert found.notes == ()


def test_a_mapping_renames_converts_and_writes_nothing_else() -> None:
    """DST-05: renamed columns, defaults."""
    target = pa.schema([("number", pa.int64()), ("since", pa.date32()), ("source", pa.string())])
    rows = pa.table({"id": [1], "joined": ["31/03/2024"], "note": ["not wanted"]})
    columns = {
        "number": "id",
        "since": {"from": "joined", "format": "%d/%m/%Y"},
        "source": {"default": "shop"},
    }
    found = conformed(rows, target, columns=columns)
    assert found.table.to_pylist() == [{"number": 1, "since": date(2024, 3, 31), "source": "shop"}]


def test_a_star_takes_the_other_columns_by_name() -> None:
    found = conformed(ORDERS, None, columns={"number": "id", "*": "*"})
    assert found.table.column_names == ["number", "customer", "total"]


def test_a_name_that_differs_by_case_alone_is_the_same_column() -> None:
    found = conformed(ORDERS, pa.schema([("ID", pa.int64()), ("Customer", pa.string()), ("total", pa.string())]))
    assert found.table.column_names == ["ID", "Customer", "total"]


def test_a_column_that_the_rows_lack_is_named_with_the_near_one() -> None:
    with pytest.raises(ConfigurationError, match=r"no column 'custmer'; did you mean 'customer'\?"):
        conformed(ORDERS, TARGET, columns={"customer": "custmer"})


def test_a_new_column_fails_the_load_before_a_row_is_read() -> None:
    rows = ORDERS.append_column("note", pa.array(["a", "b"]))
    with pytest.raises(DataQualityError, match=r"no column 'note', and the rows do.*Nothing was loaded"):
        conformed(rows, TARGET)


def test_a_new_column_is_handed_to_the_destination_to_add() -> None:
    found = conformed(ORDERS.append_column("note", pa.array(["a", "b"])), TARGET, drift="add")
    assert found.table.schema.field("note").type == pa.string()


def test_a_new_column_is_left_out_and_told() -> None:
    found = conformed(ORDERS.append_column("note", pa.array(["a", "b"])), TARGET, drift="ignore")
    assert found.table.column_names == TARGET.names
    assert found.notes == ("shop:orders has no column 'note'; it is left out (on_drift: ignore).",)


def test_a_mapped_column_that_the_target_lacks_is_a_mistake_whatever_the_drift() -> None:
    with pytest.raises(ConfigurationError, match=r"no column 'custmer'; did you mean 'customer'\?"):
        conformed(ORDERS, TARGET, columns={"custmer": "customer"}, drift="ignore")


def test_a_column_that_the_target_must_have_is_missed_before_a_row_is_read() -> None:
    target = pa.schema([*TARGET, field("region", DataKind.STRING, nullable=False, required=True)])
    with pytest.raises(DataQualityError, match="takes no row without 'region'"):
        conformed(ORDERS, target)
    mapped = {"*": "*", "region": {"default": "eu"}}
    assert conformed(ORDERS, target, columns=mapped).column("region") == ["eu", "eu"]


def test_a_column_that_the_target_fills_itself_is_only_mentioned() -> None:
    found = conformed(ORDERS, pa.schema([*TARGET, field("made_at", DataKind.TIMESTAMP, nullable=False)]))
    assert found.notes == ("shop:orders: the rows have no column 'made_at'; the target's own default is taken.",)


def test_kinds_that_do_not_go_together_are_named_with_the_remedy() -> None:
    """TYP-04: errors naming both types."""
    with pytest.raises(
        DataQualityError, match="'x' is boolean in the rows and date in the target; nothing makes one"
    ):
        conformed(one([True]), into(pa.date32()))
    with pytest.raises(DataQualityError, match="is date in the rows and string in the target; say `type: string`"):
        conformed(one([date(2024, 1, 1)]), into(pa.string()))
    with pytest.raises(
        DataQualityError, match=r"is float in the rows and decimal \(decimal\(9,2\)\).*`lossy: true`"
    ):
        conformed(one([1.5]), into(pa.decimal128(9, 2)))


def test_what_is_asked_for_with_a_type_is_done() -> None:
    target = into(pa.string())
    assert conformed(one([date(2024, 1, 1)]), target, columns={"x": {"type": "string"}}).column("x") == [
        "2024-01-01"
    ]
    booleans = conformed(one([0, 1, None]), None, columns={"x": {"type": "boolean"}})
    assert booleans.column("x") == [False, True, None]
    with pytest.raises(DataQualityError, match="row 2, column 'x': '2' is neither 0 nor 1"):
        conformed(one([1, 2]), None, columns={"x": {"type": "boolean"}})
    binary = conformed(one(["aGkA"]), None, columns={"x": {"type": "binary"}})
    assert binary.column("x") == [b"hi\0"]


def test_nulls_are_kept_filled_or_refused() -> None:
    """TYP-05: null policies."""
    rows, target = one([1, None]), into(pa.int64(), nullable=False)
    assert conformed(rows, target).column("x") == [1, None]
    filled = conformed(rows, target, nulls="default")
    assert filled.column("x") == [1, 0]
    assert filled.notes == ("shop:orders: 1 values of column 'x' were null and became '0'.",)
    with pytest.raises(DataQualityError, match="row 2, column 'x': null is not taken by this column"):
        conformed(rows, target, nulls="reject")
    assert conformed(rows, into(pa.int64()), nulls="reject").column("x") == [1, None]


@pytest.mark.parametrize(
    "type",
    [
        pa.string(),
        pa.float64(),
        pa.decimal128(9, 2),
        pa.bool_(),
        pa.date32(),
        pa.timestamp("us", "UTC"),
        pa.binary(),
    ],
)
def test_every_kind_has_something_in_place_of_null(type: pa.DataType) -> None:
    found = conformed(one([None], type), into(type, nullable=False), nulls="default")
    assert found.column("x") != [None]


def test_a_default_is_a_value_of_its_column() -> None:
    columns = {"x": {"default": "2024-01-01T00:00:00Z"}}
    found = conformed(one([None], pa.timestamp("us", "UTC")), into(pa.timestamp("us", "UTC")), columns=columns)
    assert found.column("x") == [datetime(2024, 1, 1, tzinfo=UTC)]
    with pytest.raises(ConfigurationError, match="the default 'soon' of column 'x' is no integer"):
        conformed(one([None], pa.int64()), into(pa.int64()), columns={"x": {"default": "soon"}})


def test_the_column_of_deletes_travels_along_as_a_boolean() -> None:
    rows = ORDERS.append_column("gone", pa.array(["no", "Yes"]))
    found = conformed(rows, TARGET, keep=("gone",))
    assert found.column("gone") == [False, True]
    with pytest.raises(ConfigurationError, match="the rows have no 'gon'; did you mean 'gone'"):
        conformed(rows, TARGET, keep=("gon",), drift="ignore")


def test_a_cell_that_does_not_fit_is_named_by_row_and_shown_short_and_harmless() -> None:
    """FAULTS 41: what a message shows steers no terminal."""
    evil = "\x1b]52;c;aGk=\x07" + "x" * 500
    with pytest.raises(DataQualityError) as caught:
        conformed(one(["1", "2", evil]), into(pa.int64()), batch=2)
    text = str(caught.value)
    assert "shop:orders: row 3, column 'x': '·]52;c;aGk=·xx" in text
    assert "(512 characters) is no whole number. Nothing was loaded." in text
    assert text.isprintable()
    assert len(text) < 200


def test_rows_without_a_target_travel_as_every_system_takes_them() -> None:
    rows = pa.table(
        {
            "list": [[1, 2], None],
            "word": pa.array(["a", "a"]).dictionary_encode(),
            "big": pa.array(["b", None], pa.large_string()),
            "none": pa.nulls(2),
            "at": pa.array([1_000, None], pa.timestamp("ns", "Europe/Berlin")),
        }
    )
    found = conformed(rows)
    assert found.column("list") == ["[1,2]", None]
    assert [each.type for each in found.table.schema][1:] == [pa.string()] * 3 + [pa.timestamp("us", "UTC")]
    assert conformed(found.table, found.table.schema).table.equals(found.table)


def test_two_columns_of_one_name_are_refused() -> None:
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(ConfigurationError, match="two columns 'a'"):
        conformed(rows)
