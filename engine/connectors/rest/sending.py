"""Records sent to a web service: POST, PUT or PATCH, in batches.

Law: a web service has no transaction, so rows arrive at least once. Each batch carries an Idempotency-Key made of
the load's token, its number and its content: a server that honours it takes a batch once, whatever is sent again.
What was accepted cannot be taken back here, and nothing claims that it can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from engine.connectors.rest.address import Base, shown
from engine.connectors.spooling import Spooling, after
from engine.model.errors import DataQualityError, TaskFailure
from engine.ports.connector import Fetched
from engine.ports.destination import Loaded, Order
from engine.ports.stream import Stream

BATCH_ROWS = 100
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Sending(Spooling):
    """The destination's half of a REST connector; `request` is the other half's."""

    base: Base
    request: Any

    def load(self, stream: Stream, order: Order) -> Loaded:
        """Send all rows, batch after batch."""
        from engine.dataflow.outgoing import portions

        self.refuse_other_modes(order)
        sent = size = 0
        for number, rows in enumerate(portions(stream, _batch_rows(order))):
            try:
                size += self._send(order, number, rows)
            except TaskFailure as failure:
                raise after(failure, sent) from failure
            sent += len(rows)
            order.progress(sent)
        order.seal()
        return Loaded(rows=sent, bytes=size, uri=shown(self.base.address(order.target.partition("{")[0])))

    def _send(self, order: Order, number: int, rows: list[dict[str, Any]]) -> int:
        from engine.dataflow.outgoing import json_bytes, message_id

        where = f"Connection '{self.connection.id}', endpoint '{_plain(order.target)}'"
        body = json_bytes(self._wrapped(rows[0] if _one_by_one(order) else rows))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": message_id(order.token, number, body),
        }
        given = {str(name): str(value) for name, value in (order.options.get("headers") or {}).items()}
        self.request(
            str(order.options.get("method", "POST")),
            self.base.address(_filled(order.target, rows[0], where)),
            where,
            headers={**headers, **given},
            body=body,
            accept=lambda fetched: _refused(fetched, where),
        )
        return len(body)

    def _wrapped(self, content: Any) -> Any:
        """Below one key, where the service wants its records so."""
        key = self.connection.config.get("wrap")
        return {str(key): content} if key else content


def _refused(fetched: Fetched, where: str) -> TaskFailure | None:
    if fetched.status not in (409, 413, 422):
        return None
    words = {409: "they conflict with what is there", 413: "they are too large; lower `batch_rows`"}
    return DataQualityError(
        f"{where} refuses the rows ({fetched.status}): {words.get(fetched.status, 'they are not what it expects')}."
    )


def _one_by_one(order: Order) -> bool:
    return _batch_rows(order) == 1


def _batch_rows(order: Order) -> int:
    return 1 if _PLACEHOLDER.search(order.target) else int(order.options.get("batch_rows", BATCH_ROWS))


def _filled(target: str, row: Mapping[str, Any], where: str) -> str:
    """The target with {column} replaced by the row's own value, as one step of a path."""

    def value(match: re.Match[str]) -> str:
        found = row.get(match[1])
        text = quote(str(found), safe="") if found is not None else ""
        if text in ("", ".", ".."):
            raise DataQualityError(
                f"{where}: the column '{match[1]}' of a row has no value that can be in an address."
            )
        return text

    return _PLACEHOLDER.sub(value, target)


def _plain(target: str) -> str:
    return target.partition("?")[0]
