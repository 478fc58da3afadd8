"""Pages: how an endpoint hands out its records bit by bit, seen in the first answer or configured (SRC-08).

Law: pure. A walk through pages is a value in JSON, so that another attempt goes on where one stopped. Asking the
same twice, or getting the same page twice, is an error and never a loop. What an answer says of more is believed;
how to get it is an error rather than a guess that loses rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.connectors.rest.paths import at_path
from engine.model.errors import ConfigurationError

_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^;,="]+(?:=(?:"[^"]*"|[^;,"]*))?)*)')
_REL_NEXT = re.compile(r';\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.I)
# Where answers keep what comes next. path -> the parameter that takes it.
_URLS = (
    "links.next", "_links.next", "next_url", "next_page_url", "paging.next", "pagination.next",
    "pagination.next_url", "meta.next", "meta.next_url", "@odata.nextLink", "next",
)  # fmt: skip
_CURSORS: Mapping[str, str] = {
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "next_token": "next_token",
    "nextToken": "nextToken",
    "continuation_token": "continuation_token",
    "meta.next_cursor": "cursor",
    "pagination.next_cursor": "cursor",
    "paging.cursors.after": "after",
    "response_metadata.next_cursor": "cursor",
    "cursor": "cursor",
    "meta.cursor": "cursor",
    "pagination.cursor": "cursor",
    "next": "cursor",
}
_MORE = ("has_more", "hasMore", "meta.has_more", "pagination.has_more", "pagination.hasMore")
_TOTALS = ("total", "total_count", "totalCount", "meta.total", "pagination.total")
_PAGES = ("total_pages", "totalPages", "last_page", "pages", "meta.total_pages", "pagination.total_pages")
_PAGE = ("page", "page_number", "current_page", "meta.page", "pagination.page")
_OFFSET = ("offset", "skip", "meta.offset", "pagination.offset")
_FIELD = {"cursor": "cursor_parameter", "offset": "offset_parameter", "page": "page_parameter"}

Plan = dict[str, Any]


def configured(given: Mapping[str, Any] | None) -> Plan | None:
    """The plan a definition writes down; None: look at the first answer."""
    if not given:
        return None
    plan = dict(given)
    kind = plan["type"]
    if kind in _FIELD:
        plan.setdefault(_FIELD[kind], kind)
    if kind == "page":
        plan.setdefault("first_page", 1)
    if plan.get("page_size") and kind != "link":
        plan.setdefault("limit_parameter", "limit" if kind != "page" else "per_page")
    return plan


def detected(body: Any, headers: Mapping[str, str], records: int, parameters: Mapping[str, Any]) -> Plan:
    """The plan that the first answer shows."""
    if link_next(headers) is not None:
        return {"type": "link"}
    if isinstance(body, Mapping):
        for find in (_by_url, _by_cursor, _by_page, _by_offset):
            plan = find(body, parameters)
            if plan is not None:
                return plan
        if more(body) or (_number(body, (*_TOTALS, "count")) or 0) > records > 0:
            # The guard against pages seen twice proves this guess: a server without offsets repeats itself.
            return {"type": "offset", "offset_parameter": "offset"}
    for name in ("offset", "skip"):
        if name in parameters:
            return {"type": "offset", "offset_parameter": name}
    if "page" in parameters and isinstance(parameters["page"], int):
        return {"type": "page", "page_parameter": "page", "first_page": parameters["page"]}
    return {"type": "none"}


def link_next(headers: Mapping[str, str]) -> str | None:
    """The address of `rel=next` in a Link header."""
    for match in _LINK.finditer(headers.get("link", "")):
        if _REL_NEXT.search(match[2]):
            return match[1].strip()
    return None


def body_link(body: Any, path: str) -> str | None:
    """A next address inside an answer: a text, or {href}."""
    value = at_path(body, path)
    if isinstance(value, Mapping):
        value = value.get("href")
    return value if isinstance(value, str) and value else None


def cursor_in(body: Any) -> str | None:
    """The path at which an answer has a cursor."""
    return next((path for path in _CURSORS if isinstance(at_path(body, path), str | int)), None)


def more(body: Any) -> bool | None:
    """What has_more says; None when nothing does."""
    for path in _MORE:
        value = at_path(body, path)
        if isinstance(value, bool):
            return value
    return None


def total(body: Any, path: str | None = None) -> int | None:
    """The number of all records, where an answer tells."""
    return _number(body, (path,) if path else _TOTALS)


def total_pages(body: Any) -> int | None:
    """The number of all pages, where an answer tells."""
    return _number(body, _PAGES)


def _by_url(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Plan | None:
    for path in _URLS:
        link = body_link(body, path)
        if link is not None and ("://" in link or link.startswith(("/", "?"))):
            return {"type": "link", "cursor_path": path}
    return None


def _by_cursor(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Plan | None:
    for path, parameter in _CURSORS.items():
        value = at_path(body, path)
        if isinstance(value, str) and value:
            return {"type": "cursor", "cursor_path": path, "cursor_parameter": parameter}
    return None


def _by_page(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Plan | None:
    number = _number(body, _PAGE)
    following = at_path(body, "next_page")
    if number is None and not isinstance(following, int):
        return None
    if total_pages(body) is None and total(body) is None and more(body) is None and "next_page" not in body:
        return None
    first = number if number is not None else following - 1
    return {"type": "page", "page_parameter": "page", "first_page": first}


def _by_offset(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Plan | None:
    if _number(body, _OFFSET) is None:
        return None
    name = "skip" if at_path(body, "skip") is not None and "offset" not in body else "offset"
    return {"type": "offset", "offset_parameter": name}


def _number(body: Any, paths: tuple[str, ...]) -> int | None:
    for path in paths:
        value = at_path(body, path)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def looping(what: str, where: str) -> ConfigurationError:
    """The failure of a walk that comes back to where it was."""
    return ConfigurationError(
        f"{where} gives {what} a second time; following it would never end. "
        "Say how its pages go on in `pagination`."
    )
