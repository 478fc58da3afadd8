"""Reading web services: every way of paging, faults on the way, drift, resumption and what is new."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.kinds import columns_of
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    RateLimited,
)
from engine.model.workspace import Connection
from engine.ports.source import Selection, Source, Window
from tests.contract.web_service import Answer, Asked, WebService, serving

ROWS = [{"id": n, "name": f"name {n}"} for n in range(25)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TIME_SCALE", "0.001")


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda asked: []) as found:
        yield found


def source(service: WebService, **config: Any) -> Source:
    connection = Connection(id="api", type="rest", config={"base_url": service.url, **config})
    return Connectors(Path.cwd()).source(connection)


def read(service: WebService, selection: Selection | None = None, **config: Any) -> list[dict[str, Any]]:
    opened = source(service, **config).read(selection or Selection(endpoint="/rows"))
    return [row for batch in opened for row in batch.to_pylist()]


def by_offset(asked: Asked) -> Any:
    at = int(asked.query.get("offset", 0))
    return {"results": ROWS[at : at + 10], "total": 25, "offset": at}


def by_offset_unsaid(asked: Asked) -> Any:
    at = int(asked.query.get("offset", 0))
    return {"results": ROWS[at : at + 10], "total": 25}


def by_page(asked: Asked) -> Any:
    page = int(asked.query.get("page", 1))
    return {"items": ROWS[(page - 1) * 10 : page * 10], "page": page, "total_pages": 3}


def by_page_from_zero(asked: Asked) -> Any:
    page = int(asked.query.get("page", 0))
    return {"items": ROWS[page * 10 : page * 10 + 10], "page": page, "total_pages": 3}


def by_cursor(asked: Asked) -> Any:
    at = int(asked.query.get("cursor", "c0")[1:])
    return {"data": ROWS[at : at + 10], "meta": {"next_cursor": f"c{at + 10}" if at < 20 else None}}


def by_token(asked: Asked) -> Any:
    at = int(asked.query.get("pageToken", "0"))
    return {"data": {"rows": ROWS[at : at + 10]}, "nextPageToken": str(at + 10) if at < 20 else ""}


def by_link(asked: Asked) -> Any:
    at = int(asked.query.get("at", 0))
    links = f'</rows?at=0>; rel="first", </rows?at={at + 10}>; rel="next"' if at < 20 else '</rows>; rel="first"'
    return Answer(200, ROWS[at : at + 10], {"Link": links})


def by_next_address(asked: Asked) -> Any:
    at = int(asked.query.get("at", 0))
    return {"value": ROWS[at : at + 10], "count": 25, "next": f"/rows?at={at + 10}" if at < 20 else None}


def by_has_more(asked: Asked) -> Any:
    at = int(asked.query.get("offset", 0))
    return {"list": ROWS[at : at + 10], "has_more": at < 20}


WAYS = [
    by_offset, by_offset_unsaid, by_page, by_page_from_zero, by_cursor, by_token, by_link, by_next_address,
    by_has_more,
]  # fmt: skip


class TestPages:
    @pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
    def test_the_way_of_paging_is_seen_in_the_first_answer(
        self, service: WebService, way: Callable[[Asked], Any]
    ) -> None:
        """SRC-08: detected from the first response; three pages are three requests."""
        service.answer = way
        assert read(service) == ROWS
        assert len(service.asked) == 3

    @pytest.mark.parametrize(
        "pagination",
        [
            {"type": "offset", "offset_parameter": "skip", "limit_parameter": "take", "page_size": 10},
            {"type": "offset", "offset_parameter": "skip"},
        ],
    )
    def test_a_configured_way_is_gone(self, service: WebService, pagination: dict[str, Any]) -> None:
        def answer(asked: Asked) -> Any:
            at = int(asked.query["skip"])
            return ROWS[at : at + int(asked.query.get("take", 10))]

        service.answer = answer
        assert read(service, Selection(endpoint="/rows", options={"pagination": pagination})) == ROWS

    def test_one_answer_is_one_page(self, service: WebService) -> None:
        service.answer = lambda asked: ROWS
        assert read(service) == ROWS
        assert len(service.asked) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            lambda asked: {"data": [{"id": len(asked.query)}], "next_cursor": "same"},
            lambda asked: {"data": ROWS[:3], "total": 9},
            lambda asked: {"data": ROWS[:3], "next": "/rows"},
        ],
        ids=["cursor", "page", "address"],
    )
    def test_a_circle_is_an_error(self, service: WebService, answer: Callable[[Asked], Any]) -> None:
        """SRC-08, FAULTS 32: the same cursor, page or address seen twice."""
        service.answer = answer
        with pytest.raises(ConfigurationError, match="a second time"):
            read(service)
        assert len(service.asked) <= 3

    def test_more_pages_than_allowed_are_an_error(self, service: WebService) -> None:
        service.answer = by_page
        with pytest.raises(ConfigurationError, match="more than 2 pages"):
            read(service, Selection(endpoint="/rows", options={"max_pages": 2}))

    def test_more_without_a_way_there_is_an_error(self, service: WebService) -> None:
        service.answer = lambda asked: {
            "data": [{"id": len(service.asked)}],
            "has_more": True,
            "next_cursor": "a" if len(service.asked) == 1 else None,
        }
        with pytest.raises(DataQualityError, match="more after page 2, without a cursor"):
            read(service)

    def test_a_next_address_elsewhere_is_not_asked(self, service: WebService) -> None:
        """FAULTS 43: credentials stay at their origin."""
        with serving(lambda asked: []) as other:
            service.answer = lambda asked: {"data": ROWS[:1], "next": f"{other.url}/rows"}
            with pytest.raises(ConfigurationError, match="credentials are not sent"):
                read(service)
            assert other.asked == []

    def test_parameters_go_with_every_page(self, service: WebService) -> None:
        service.answer = by_cursor
        read(service, Selection(endpoint="/rows", parameters={"state": "open", "deep": True}))
        assert [(each.query["state"], each.query["deep"]) for each in service.asked] == [("open", "true")] * 3


class TestFaults:
    def test_trouble_on_the_way_loses_and_doubles_nothing(self, service: WebService) -> None:
        """SRC-10, SRC-11: 429 and 5xx are asked again, pages that came are not."""
        troubles = iter([429, 500, None, 502, 503, None, 504, None])

        def answer(asked: Asked) -> Any:
            status = next(troubles)
            return by_cursor(asked) if status is None else Answer(status, b"trouble")

        service.answer = answer
        assert read(service) == ROWS
        assert len(service.asked) == 8

    @pytest.mark.parametrize("status", [400, 404, 405, 501])
    def test_other_refusals_are_not_asked_again(self, service: WebService, status: int) -> None:
        service.answer = lambda asked: Answer(status, b"no")
        with pytest.raises((ConfigurationError, NetworkError), match="Connection 'api', endpoint '/rows'"):
            read(service)
        assert len(service.asked) == 1

    def test_a_storm_of_429_ends(self, service: WebService) -> None:
        """FAULTS 30."""
        service.answer = lambda asked: Answer(429)
        with pytest.raises(RateLimited):
            read(service, retries=3)
        assert len(service.asked) == 4

    @pytest.mark.parametrize(
        ("header", "expected"),
        [("99999999", 3600.0), ("120", 120.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0)],
    )
    def test_a_long_retry_after_is_left_to_the_task(
        self, service: WebService, header: str, expected: float
    ) -> None:
        """FAULTS 30: huge, or a date; an attempt does not sit through it."""
        service.answer = lambda asked: Answer(429, b"", {"Retry-After": header})
        with pytest.raises(RateLimited) as caught:
            read(service)
        assert caught.value.retry_after == expected
        assert len(service.asked) == 1

    @pytest.mark.parametrize("header", ["-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "0.5", "nan"])
    def test_a_strange_retry_after_does_no_harm(self, service: WebService, header: str) -> None:
        answers = iter([Answer(429, b"", {"Retry-After": header}), ROWS])
        service.answer = lambda asked: next(answers)
        assert read(service) == ROWS

    def test_a_connection_cut_in_an_answer_is_tried_again(self, service: WebService) -> None:
        def cut(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'[{"id"')
            handler.wfile.flush()

        answers = iter([Answer(drip=cut), ROWS])
        service.answer = lambda asked: next(answers)
        assert read(service) == ROWS

    def test_what_came_before_a_failure_is_handed_out_and_not_asked_again(self, service: WebService) -> None:
        """SRC-11: resume from the last good position."""
        service.answer = lambda asked: Answer(404) if asked.query.get("cursor") == "c20" else by_cursor(asked)
        opened = source(service).read(Selection(endpoint="/rows"))
        got: list[Any] = []
        with pytest.raises(ConfigurationError):
            for batch in opened:
                got += batch.to_pylist()
        position = json.loads(json.dumps(opened.position()))
        assert got == ROWS[:20]
        service.asked.clear()
        service.answer = by_cursor
        again = source(service).read(Selection(endpoint="/rows", resume=position))
        assert again.schema == opened.schema
        assert [row for batch in again for row in batch.to_pylist()] == ROWS[20:]
        assert [each.query for each in service.asked] == [{"cursor": "c20"}]
        last = source(service).read(Selection(endpoint="/rows", resume=again.position()))
        assert list(last) == []
        assert len(service.asked) == 1

    def test_a_key_in_the_query_is_kept_in_no_position(self, service: WebService) -> None:
        """FAULTS 42: the server repeats the key in its next address."""
        service.answer = lambda asked: {
            "data": [{"id": int(asked.query.get("at", 0))}],
            "next": f"/rows?at=1&key={asked.query['key']}" if "at" not in asked.query else None,
        }
        auth = {"type": "api_key", "query": "key", "key": "canary"}
        opened = source(service, auth=auth).read(Selection(endpoint="/rows", options={"max_pages": 2}))
        assert sum(batch.num_rows for batch in opened) == 2
        assert [each.query["key"] for each in service.asked] == ["canary"] * 2
        assert "canary" not in json.dumps(opened.position()) + str(opened.touches())

    def test_the_rate_of_the_connection_is_kept_with_every_request(self, service: WebService) -> None:
        """SRC-10: rate_limit; waits are seen through the clock the bucket counts by."""
        from engine.connectors.rest.patience import Patience
        from engine.connectors.rest.rate import Rate
        from engine.ports.connector import Fetched

        clock = [0.0]
        patience = Patience(
            rate=Rate(2.0, 2),
            monotonic=lambda: clock[0],
            sleep=lambda s: clock.__setitem__(0, clock[0] + s),
        )
        patience._scale = 1.0
        for _ in range(6):
            patience.ask(lambda: Fetched(url="", status=200), "x")
        assert clock[0] == pytest.approx(2.0, abs=0.01)


class TestRecords:
    def test_columns_are_learned_and_widened(self, service: WebService) -> None:
        """TYP-01: whole numbers and floats are floats, what is mixed or nested is JSON text."""
        service.answer = lambda asked: [
            {"id": 1, "price": 2, "tags": ["a"], "any": 1, "none": None, "big": 2**70, "ok": True},
            {"id": 2, "price": 2.5, "tags": {"b": 1}, "any": "x", "none": None, "big": 1, "new": "ä\u0000"},
        ]
        opened = source(service).read(Selection(endpoint="/rows"))
        kinds = {each.name: each.kind.value for each in columns_of(opened.schema)}
        expected = {"id": "integer", "price": "float", "tags": "json", "any": "json", "none": "string"}
        assert kinds == {**expected, "big": "decimal", "ok": "boolean", "new": "string"}
        one, two = [row for batch in opened for row in batch.to_pylist()]
        assert (one["price"], one["tags"], one["any"], one["big"]) == (2.0, '["a"]', "1", Decimal(2**70))
        assert (two["tags"], two["any"], two["ok"], two["new"]) == ('{"b":1}', '"x"', None, "ä\0")

    @pytest.mark.parametrize(
        ("row", "found"),
        [
            ({"id": "x", "name": "n"}, "field 'id' is string, where the column is integer"),
            ({"id": 2.5, "name": "n"}, "field 'id' is float, where the column is integer"),
            ({"id": True, "name": "n"}, "field 'id' is boolean, where the column is integer"),
            ({"id": 1, "name": {"a": 1}}, "field 'name' is json, where the column is string"),
            ({"id": 1, "name": "\ud800"}, "field 'name' is text that is no Unicode"),
            ({"id": 1, "name": "n", "more": 1}, "has a field 'more' \\(integer\\)"),
        ],
    )
    def test_drift_names_page_field_and_kind(self, service: WebService, row: dict[str, Any], found: str) -> None:
        """FAULTS 28: a later page that does not fit; rows before it are handed out."""
        first = [{"id": n, "name": "x"} for n in range(1000)]
        service.answer = lambda asked: {"data": [row]} if asked.query else {"data": first, "next_cursor": "second"}
        opened = source(service).read(Selection(endpoint="/rows"))
        got = 0
        with pytest.raises(DataQualityError, match=f"page 2.*{found}"):
            for batch in opened:
                got += batch.num_rows
        assert got == 1000

    def test_types_say_what_is_not_to_be_guessed(self, service: WebService) -> None:
        service.answer = lambda asked: Answer(
            200, b'[{"price": 12.10, "at": "2026-01-02T03:04:05+02:00", "n": "7", "day": "2026-01-02"}]'
        )
        types = {"price": "decimal(12,2)", "at": "timestamp", "n": "integer", "day": "date"}
        (row,) = read(service, Selection(endpoint="/rows", options={"types": types}))
        assert row["price"] == Decimal("12.10")
        assert row["at"] == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
        assert (row["n"], str(row["day"])) == (7, "2026-01-02")

    def test_a_decimal_that_does_not_fit_is_no_rounding(self, service: WebService) -> None:
        service.answer = lambda asked: Answer(200, b'[{"price": 12.105}]')
        with pytest.raises(DataQualityError, match="field 'price'"):
            read(service, Selection(endpoint="/rows", options={"types": {"price": "decimal(12,2)"}}))

    def test_columns_are_chosen(self, service: WebService) -> None:
        service.answer = lambda asked: ROWS
        assert read(service, Selection(endpoint="/rows", columns=("name",)))[0] == {"name": "name 0"}
        with pytest.raises(ConfigurationError, match=r"names 'nmae'.*did you mean 'name'"):
            read(service, Selection(endpoint="/rows", columns=("nmae",)))
        later = Selection(endpoint="/rows", columns=("id", "later"), options={"types": {"later": "integer"}})
        assert read(service, later)[0] == {"id": 0, "later": None}

    def test_the_data_path_is_followed_or_what_is_there_is_named(self, service: WebService) -> None:
        service.answer = lambda asked: {"a": {"b": ROWS[:2]}, "x": [1], "y": [2]}
        assert len(read(service, Selection(endpoint="/rows", options={"data_path": "a.b"}))) == 2
        with pytest.raises(ConfigurationError, match="several lists: x, y"):
            read(service)
        with pytest.raises(DataQualityError, match=r"nothing at `data_path: a\.c`; it has a, x, y"):
            read(service, Selection(endpoint="/rows", options={"data_path": "a.c"}))

    @pytest.mark.parametrize("body", [b"<html>", b"[1", b"[NaN]", b"[" * 100_000])
    def test_what_is_no_json_is_told(self, service: WebService, body: bytes) -> None:
        service.answer = lambda asked: Answer(200, body)
        with pytest.raises(DataQualityError, match="page 1 is not JSON"):
            read(service)


class TestLogins:
    """SRC-09."""

    def test_a_key_travels_in_a_header_or_the_query(self, service: WebService) -> None:
        read(service, auth={"type": "api_key", "header": "X-Token", "key": "k"})
        read(service, auth={"type": "api_key", "query": "key", "key": "k"})
        assert (service.asked[0].headers["x-token"], service.asked[1].query) == ("k", {"key": "k"})

    def test_oauth_fetches_keeps_and_renews_a_token(self, service: WebService) -> None:
        issued = iter(["one", "two"])

        def answer(asked: Asked) -> Any:
            if asked.path == "/token":
                return {"access_token": next(issued), "expires_in": 3600}
            # The first token is withdrawn after two pages, long before it ends.
            pages = [each for each in service.asked if each.path == "/rows"]
            if asked.headers["authorization"] == "Bearer one" and len(pages) > 2:
                return Answer(401)
            return by_cursor(asked)

        service.answer = answer
        auth = {"type": "oauth2", "token_url": f"{service.url}/token", "client_id": "me", "client_secret": "s3"}
        assert read(service, auth={**auth, "scope": "read"}) == ROWS
        tokens = [each for each in service.asked if each.path == "/token"]
        assert len(tokens) == 2
        assert b"grant_type=client_credentials" in tokens[0].body
        assert b"scope=read" in tokens[0].body
        assert tokens[0].headers["authorization"] == "Basic bWU6czM="

    def test_oauth_renews_before_the_end(self, service: WebService) -> None:
        service.answer = lambda asked: (
            {"access_token": f"t{len(service.asked)}", "expires_in": 1e-9}
            if asked.path == "/token"
            else by_cursor(asked)
        )
        auth = {"type": "oauth2", "token_url": f"{service.url}/token", "client_id": "me", "client_secret": "s"}
        assert read(service, auth=auth) == ROWS
        sent = [each.headers["authorization"] for each in service.asked if each.path == "/rows"]
        assert len(set(sent)) == 3

    def test_a_refused_client_is_told_without_its_secret(self, service: WebService) -> None:
        """FAULTS 42."""
        service.answer = lambda asked: Answer(400, {"error": "invalid_client canary"})
        auth = {"type": "oauth2", "token_url": f"{service.url}/token", "client_id": "me", "client_secret": "canary"}
        with pytest.raises(PermissionFailure, match="token server") as caught:
            read(service, auth=auth)
        assert "canary" not in str(caught.value)

    def test_a_refused_login_is_asked_once(self, service: WebService) -> None:
        service.answer = lambda asked: Answer(401)
        with pytest.raises(PermissionFailure):
            read(service, auth={"type": "basic", "username": "u", "password": "p"})
        assert len(service.asked) == 1


class TestNewness:
    """SRC-07, INC-01, INC-05."""

    CHANGES = (
        ("2026-01-01T00:00:00Z", 1),
        ("2026-01-01T00:04:00Z", 2),
        ("2026-01-01T00:06:00Z", 3),
        (None, 4),
    )

    def rows(self, asked: Asked) -> Any:
        return [{"id": n, "updated_at": at} for at, n in self.CHANGES]

    def after(self, text: str) -> dict[str, str]:
        return {"type": "timestamp", "value": text}

    def test_a_timestamp_is_asked_for_with_the_lookback(self, service: WebService) -> None:
        service.answer = self.rows
        window = Window(after=self.after("2026-01-01T00:05:00+00:00"), lookback_seconds=120)
        options = {"watermark_parameter": "since"}
        opened = source(service).read(Selection(endpoint="/rows", window=window, options=options))
        assert [row["id"] for batch in opened for row in batch.to_pylist()] == [2, 3]
        assert service.asked[0].query == {"since": "2026-01-01T00:03:00Z"}
        seen = opened.seen()
        assert seen is not None
        assert (seen.column, seen.value) == ("updated_at", self.after("2026-01-01T00:06:00+00:00"))

    def test_nothing_new_moves_nothing(self, service: WebService) -> None:
        service.answer = self.rows
        window = Window(after=self.after("2026-01-01T00:06:00+00:00"), lookback_seconds=0)
        opened = source(service).read(Selection(endpoint="/rows", window=window))
        assert list(opened) == []
        seen = opened.seen()
        assert seen is not None
        assert seen.value is None

    def test_rows_without_a_watermark_are_included_on_request(self, service: WebService) -> None:
        service.answer = self.rows
        window = Window(after=self.after("2026-01-01T00:06:00+00:00"), lookback_seconds=0, nulls="include")
        opened = source(service).read(Selection(endpoint="/rows", window=window))
        assert [row["id"] for batch in opened for row in batch.to_pylist()] == [4]

    def test_the_watermark_stays_behind_the_servers_clock(self, service: WebService) -> None:
        rows = [{"id": 1, "updated_at": "2090-01-01T00:00:00Z"}, {"id": 2, "updated_at": "2025-12-31T23:00:00Z"}]
        service.answer = lambda asked: Answer(200, rows, {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})
        opened = source(service).read(Selection(endpoint="/rows", window=Window()))
        assert sum(batch.num_rows for batch in opened) == 2
        seen = opened.seen()
        assert seen is not None
        assert seen.value == {"type": "timestamp", "value": "2025-12-31T23:00:00+00:00"}

    def test_validators_answer_304_and_the_columns_are_remembered(self, service: WebService) -> None:
        def answer(asked: Asked) -> Any:
            return (
                Answer(304) if asked.headers.get("if-none-match") == '"v1"' else Answer(200, ROWS, {"ETag": '"v1"'})
            )

        service.answer = answer
        options = {"if_modified_since": True}
        opened = source(service).read(Selection(endpoint="/rows", window=Window(), options=options))
        assert sum(batch.num_rows for batch in opened) == 25
        seen = opened.seen()
        assert seen is not None
        again = source(service).read(Selection(endpoint="/rows", window=Window(after=seen.value), options=options))
        assert list(again) == []
        assert again.schema == opened.schema
        assert [each.headers.get("if-none-match") for each in service.asked] == [None, '"v1"']

    def test_the_last_cursor_is_a_bookmark_and_may_expire(self, service: WebService) -> None:
        """INC-07: a cursor that the server does not know any more means everything."""
        service.answer = by_cursor
        opened = source(service).read(Selection(endpoint="/rows", window=Window()))
        assert sum(batch.num_rows for batch in opened) == 25
        seen = opened.seen()
        assert seen is not None
        assert seen.value == {"type": "json", "value": {"cursor": "c20", "parameter": "cursor"}}
        service.asked.clear()
        again = source(service).read(Selection(endpoint="/rows", window=Window(after=seen.value)))
        assert [row for batch in again for row in batch.to_pylist()] == ROWS[20:]
        service.answer = lambda asked: Answer(410) if asked.query.get("cursor") == "c20" else by_gone(asked)
        service.asked.clear()
        full = source(service).read(Selection(endpoint="/rows", window=Window(after=seen.value)))
        assert [row["id"] for batch in full for row in batch.to_pylist()] == list(range(10))

    def test_times_that_have_no_order_are_refused(self, service: WebService) -> None:
        service.answer = lambda asked: [{"id": 1, "at": "31.12.2025"}, {"id": 2, "at": "01.01.2026"}]
        with pytest.raises(ConfigurationError, match="no times as ISO 8601 writes them"):
            list(source(service).read(Selection(endpoint="/rows", window=Window(column="at"))))

    def test_whole_numbers_are_read_by_id(self, service: WebService) -> None:
        service.answer = lambda asked: ROWS
        after = {"type": "integer", "value": 20}
        opened = source(service).read(Selection(endpoint="/rows", window=Window(column="id", after=after)))
        assert [row["id"] for batch in opened for row in batch.to_pylist()] == [21, 22, 23, 24]
        seen = opened.seen()
        assert seen is not None
        assert (seen.strategy.value, seen.value) == ("id", {"type": "integer", "value": 24})

    def test_another_attempt_goes_on_with_what_was_new(self, service: WebService) -> None:
        """The watermark of rows handed out in an earlier attempt is not forgotten."""
        service.answer = lambda asked: Answer(404) if asked.query.get("cursor") == "c20" else by_cursor(asked)
        window = Window(column="id")
        opened = source(service).read(Selection(endpoint="/rows", window=window))
        with pytest.raises(ConfigurationError):
            list(opened)
        service.answer = lambda asked: {"data": [], "meta": {"next_cursor": None}}
        again = source(service).read(Selection(endpoint="/rows", window=window, resume=opened.position()))
        assert list(again) == []
        seen = again.seen()
        assert seen is not None
        assert seen.value == {"type": "integer", "value": 19}

    def test_no_way_to_tell_what_is_new_lists_the_fields(self, service: WebService) -> None:
        service.answer = lambda asked: [{"a": "x", "b": 1}]
        with pytest.raises(ConfigurationError, match=r"incremental\.column`\. It has a, b"):
            list(source(service).read(Selection(endpoint="/rows", window=Window())))

    def test_candidates_come_best_first(self, service: WebService) -> None:
        service.answer = lambda asked: {"data": [{"id": 1, "updated_at": "2026-01-01"}], "next_cursor": "x"}
        found = source(service).candidates(Selection(endpoint="/rows"))
        assert [each.strategy.value for each in found] == ["timestamp", "cursor", "id"]


def by_gone(asked: Asked) -> Any:
    return {"data": ROWS[:10], "next_cursor": None}
