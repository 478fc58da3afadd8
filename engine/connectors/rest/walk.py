"""A walk through the pages of one endpoint.

Law: pure but for being a thing that changes. Each page is asked for once; what was asked and what came is
remembered, so that a circle is an error. Its state is JSON without the connection's key, and another attempt goes
on from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from engine.connectors.rest import pages
from engine.connectors.rest.paths import at_path
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.connector import Fetched

MAX_PAGES = 100_000
_KEPT = 1000  # of what was seen, in a checkpoint


class Walk:
    """`following` is what to ask next: {"parameters": {...}} or {"link": address}; None at the end."""

    def __init__(
        self,
        where: str,
        *,
        parameters: Mapping[str, Any],
        plan: pages.Plan | None = None,
        max_pages: int = MAX_PAGES,
        secret_parameter: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._where, self._parameters = where, parameters
        self._most, self._secret = max_pages, secret_parameter
        given = state or {}
        self.plan: pages.Plan | None = given.get("plan", plan)
        self.page = int(given.get("page", 0))
        self.cursor: str | None = given.get("cursor")  # the last one that an answer held
        self._records = int(given.get("records", 0))
        self._number = int(given.get("number", (plan or {}).get("first_page", 0)))
        self._seen = dict.fromkeys(given.get("seen", ()))
        self.following: dict[str, Any] | None = given["following"] if state else {"parameters": self._first()}

    def state(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "plan": self.plan,
            "page": self.page,
            "cursor": self.cursor,
            "records": self._records,
            "number": self._number,
            "seen": list(self._seen)[-_KEPT:],
            "following": self.following,
        }

    def begin_at(self, parameter: str, cursor: str) -> None:
        """Start at a cursor that an earlier run kept."""
        self.following = {"parameters": {**self._first(), parameter: cursor}}
        self.cursor = cursor

    def begin_again(self) -> None:
        """From the first page: the cursor that was kept is not known any more (INC-07)."""
        self.following, self.cursor = {"parameters": self._first()}, None

    def arrived(self, fetched: Fetched, body: Any, records: Sequence[Mapping[str, Any]]) -> None:
        """A page has come: decide what to ask next."""
        if self.plan is None:
            self.plan = pages.detected(body, fetched.headers, len(records), self._parameters)
            self._number = int(self.plan.get("first_page", 0))
        self.page += 1
        self._records += len(records)
        if records:
            self._once("the same page", repr(records).encode("utf-8", "surrogatepass"))
        step = getattr(self, f"_after_{self.plan['type']}")
        self.following = step(fetched, body, len(records))
        if self.following is not None and self.page >= self._most:
            raise ConfigurationError(
                f"{self._where} has more than {self._most} pages; raise `max_pages` or narrow what is asked."
            )

    def _first(self) -> dict[str, Any]:
        plan = self.plan or {}
        first: dict[str, Any] = {}
        if plan.get("type") == "offset":
            first[plan["offset_parameter"]] = 0
        elif plan.get("type") == "page":
            first[plan["page_parameter"]] = plan["first_page"]
        return {**first, **self._limit()}

    def _limit(self) -> dict[str, Any]:
        plan = self.plan or {}
        size, name = plan.get("page_size"), plan.get("limit_parameter")
        return {name: size} if size and name else {}

    def _after_none(self, fetched: Fetched, body: Any, got: int) -> None:
        return None

    def _after_link(self, fetched: Fetched, body: Any, got: int) -> dict[str, Any] | None:
        path = (self.plan or {}).get("cursor_path")
        link = pages.body_link(body, path) if path else pages.link_next(fetched.headers)
        if link is None:
            if pages.more(body):
                raise self._no_way("its next address")
            return None
        return self._linked(fetched, link)

    def _after_cursor(self, fetched: Fetched, body: Any, got: int) -> dict[str, Any] | None:
        plan = self.plan or {}
        value = at_path(body, self._cursor_path(body))
        if isinstance(value, str) and ("://" in value or value.startswith(("/", "?"))):
            return self._linked(fetched, value)
        if value in (None, "", False) or isinstance(value, dict | list):
            if pages.more(body):
                raise self._no_way("a cursor")
            return None
        last, self.cursor = self.cursor, str(value)
        if pages.more(body) is False or (got == 0 and last == self.cursor):
            return None
        self._once("the same cursor", self.cursor.encode())
        return {"parameters": {**self._limit(), plan["cursor_parameter"]: self.cursor}}

    def _after_offset(self, fetched: Fetched, body: Any, got: int) -> dict[str, Any] | None:
        plan = self.plan or {}
        every, size = pages.total(body, plan.get("total_path")), plan.get("page_size")
        # A short page is no end: many servers give fewer than asked for.
        if got == 0 or pages.more(body) is False or (every is not None and self._offset() >= every):
            return None
        if every is None and pages.more(body) is None and size and got < size:
            return None
        return {"parameters": {**self._limit(), plan["offset_parameter"]: self._offset()}}

    def _after_page(self, fetched: Fetched, body: Any, got: int) -> dict[str, Any] | None:
        plan = self.plan or {}
        last, more = pages.total_pages(body), pages.more(body)
        every = pages.total(body, plan.get("total_path"))
        asked = self._number + (plan.get("first_page") == 0)  # pages counted from 0 end one earlier
        ended = got == 0 or more is False or (last is not None and asked >= last)
        if ended or (isinstance(body, Mapping) and "next_page" in body and body["next_page"] is None):
            return None
        if last is None and every is not None and self._records >= every:
            return None
        size = plan.get("page_size")
        if last is None and every is None and more is None and size and got < size:
            return None
        self._number += 1
        return {"parameters": {**self._limit(), plan["page_parameter"]: self._number}}

    def _offset(self) -> int:
        return self._records + int(self._parameters.get((self.plan or {}).get("offset_parameter", ""), 0) or 0)

    def _cursor_path(self, body: Any) -> str:
        plan = self.plan or {}
        if not plan.get("cursor_path"):
            seen = pages.cursor_in(body)
            if seen is None:
                return "next_cursor"
            self.plan = {**plan, "cursor_path": seen}
            return seen
        return str(plan["cursor_path"])

    def _linked(self, fetched: Fetched, link: str) -> dict[str, Any]:
        link = self._without_key(urljoin(fetched.url, link))
        self._once("the same next address", link.encode())
        return {"link": link}

    def _without_key(self, link: str) -> str:
        """Some servers repeat the key that a request carried; it is put on again, and kept nowhere."""
        if self._secret is None or self._secret not in link:
            return link
        parts = urlsplit(link)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != self._secret]
        return urlunsplit(parts._replace(query=urlencode(query)))

    def _once(self, what: str, content: bytes) -> None:
        mark = hashlib.blake2b(what.encode() + b"\0" + content, digest_size=8).hexdigest()
        if mark in self._seen:
            raise pages.looping(f"{what} (page {self.page})", self._where)
        self._seen[mark] = None

    def _no_way(self, what: str) -> DataQualityError:
        return DataQualityError(
            f"{self._where} says that there is more after page {self.page}, without {what}. "
            "Say how its pages go on in `pagination`."
        )
