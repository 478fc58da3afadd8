"""Watermarks as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.dataset import Strategy
from engine.model.errors import RequestError
from engine.rules.watermarks import read, shown, typed, written

VALUES = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.dates(), st.datetimes(),
    st.datetimes(timezones=st.just(UTC)), st.decimals(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(), st.integers()),
)  # fmt: skip


@given(VALUES)
def test_what_is_shown_can_be_typed_back(value: Any) -> None:
    """INC-03, INC-10: a reset to the value that is shown undoes a reset, whatever its type."""
    mark = written(value)
    text = shown(mark)
    assert text is not None
    again = typed(text, mark, Strategy.ID)
    assert again == mark
    assert read(again) == value


@pytest.mark.parametrize(
    ("text", "like", "strategy", "value"),
    [
        ("2026-03-01T02:00Z", None, Strategy.TIMESTAMP, datetime(2026, 3, 1, 2, tzinfo=UTC)),
        ("2026-03-01", None, Strategy.TIMESTAMP, datetime(2026, 3, 1, tzinfo=UTC)),
        (
            "2026-03-01T03:00+01:00",
            datetime(2026, 1, 1, tzinfo=UTC),
            Strategy.ID,
            datetime(2026, 3, 1, 2, tzinfo=UTC),
        ),
        (" 12 ", None, Strategy.ID, 12),
        ("k-12", None, Strategy.ID, "k-12"),
        ("12", None, Strategy.CURSOR, "12"),
        ("12.50", Decimal(1), Strategy.ID, Decimal("12.50")),
        ("2026-03-01", date(2026, 1, 1), Strategy.ID, date(2026, 3, 1)),
    ],
)
def test_the_type_is_the_watermarks_own(text: str, like: Any, strategy: Strategy, value: Any) -> None:
    assert read(typed(text, written(like), strategy)) == value


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("soon", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-03-01T00:00Z", datetime(2026, 1, 1)),  # a wall clock has no zone
        ("1.5", 1),
        ("nan", 1.0),
        ("nan", Decimal(1)),
        ("x", Decimal(1)),
        ("{", {}),
        ("2026-13-01", date(2026, 1, 1)),
    ],
)
def test_what_does_not_fit_is_refused_with_an_example(text: str, like: Any) -> None:
    with pytest.raises(RequestError, match="which this watermark is"):
        typed(text, written(like), Strategy.ID)
