"""What all queues share: bounded reads, confirmed writes, and how their troubles are told.

Law: libraries of brokers are loaded when a connection of their kind is used. Connecting and each operation have a
deadline. No message of a failure repeats a library's own text: it may hold an address with its login.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.connectors.queues.messages import Consumer, Outgoing, Producer
from engine.connectors.queues.tls import Tls
from engine.connectors.spooling import Spooling, after
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    ResourceExhaustion,
    TaskFailure,
    TimeoutFailure,
)
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Order
from engine.ports.source import Candidate, Reading, Selection
from engine.ports.stream import Stream
from engine.rules.web import chain

if TYPE_CHECKING:
    import pyarrow as pa

CONNECT_SECONDS = 10.0
OPERATION_SECONDS = 30.0
REDELIVER_SECONDS = 60.0
BATCH_ROWS, MOST_ROWS = 500, 10_000  # sent before the first confirmation is waited for
# By class name along the inheritance, so that judging an exception needs none of the libraries. First match counts.
_KINDS: tuple[tuple[frozenset[str], type[TaskFailure], str], ...] = (
    (
        frozenset({
            "ProbableAuthenticationError", "AuthenticationError", "AuthorizationError", "NoPermissionError",
            "ChannelAccessRefused", "InvalidUserCredentialsError",
        }),
        PermissionFailure,
        "refuses the login, or it may not do this",
    ),
    (
        frozenset({
            "ChannelNotFoundEntity", "NotFoundError", "NoStreamResponseError", "ResponseError", "BadRequestError",
            "ChannelPreconditionFailed", "ChannelLockedResource", "PublishError", "DeliveryError",
            "BadSubjectError",
        }),
        ConfigurationError,
        "has no such queue, stream or topic, or it is not of the kind that was asked for",
    ),
    (frozenset({"MaxPayloadError"}), DataQualityError, "takes no message as large as one of these"),
    (frozenset({"OutOfMemoryError", "ReadOnlyError"}), ResourceExhaustion, "takes no more"),
    (frozenset({"TimeoutError"}), TimeoutFailure, "did not answer in time"),
)  # fmt: skip


class QueueConnector(Spooling):
    """One broker. Config: timeout_seconds, redeliver_seconds, tls, and what its kind needs."""

    name = "queue"  # as people call it
    unsafe: tuple[str, ...] = ()  # how a url begins that no `tls` can make safe

    def __init__(self, connection: Connection, root: Path) -> None:
        self.connection = connection
        self.config: Mapping[str, Any] = connection.config
        self.user: str | None = self.config.get("user") or self.config.get("username")
        self.operation = float(self.config.get("timeout_seconds", OPERATION_SECONDS))
        self.connecting = min(CONNECT_SECONDS, self.operation)
        self.redeliver = float(self.config.get("redeliver_seconds", REDELIVER_SECONDS))
        self.tls = Tls.of(connection, root)
        url = str(self.config.get("url") or "")
        if self.tls and url.startswith(self.unsafe):
            raise ConfigurationError(
                f"Connection '{connection.id}': `tls` is asked for, and its `url` asks for none. "
                "Begin it with amqps:// or rediss://."
            )

    def place(self) -> str:
        """scheme://host:port, without login."""
        raise TypeError(f"{type(self).__name__} says no place")  # all of them do

    def consumer(self, name: str, options: Mapping[str, Any]) -> Consumer:
        """A read of one queue; nothing is asked before its first pull."""
        raise TypeError(f"{type(self).__name__} reads nothing")

    def producer(self, name: str, create: bool) -> Producer:
        """A way into one queue."""
        raise TypeError(f"{type(self).__name__} sends nothing")

    def names(self) -> Sequence[str]:
        """Queues there are, where the broker tells."""
        return ()

    def where(self, name: str = "") -> str:
        """How messages of failures begin."""
        return f"Connection '{self.connection.id}'" + (f", {self.name} '{name[:200]}'" if name else "")

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        """Queues, streams or topics by name."""
        from fnmatch import fnmatchcase

        return sorted(each for each in self.names() if fnmatchcase(each, pattern))[:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        """The columns of the first messages, which go back."""
        with closing(self.read(selection)) as reading:
            return reading.schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        """The broker itself remembers what was read."""
        return ()

    def newest(self, selection: Selection) -> Any:
        """Messages have no watermark."""
        return None

    def read(self, selection: Selection) -> Reading:
        """Messages, within bounds."""
        from engine.connectors.queues.reading import QueueReading

        name = selection.path or selection.table
        if not name:
            raise ConfigurationError(f"{self.where()} reads a {self.name}: name it with `path`.")
        return QueueReading(
            self.consumer(name, selection.options),
            selection,
            where=self.where(name),
            dataset=f"{self.connection.id}:{selection.object}",
            uri=f"{self.place()}/{name}",
        )

    def load(self, stream: Stream, order: Order) -> Loaded:
        """Send each row as a JSON object; confirmed batch after batch."""
        from engine.dataflow.outgoing import portions

        self.refuse_other_modes(order)
        sent = size = 0
        with closing(self.producer(order.target, order.create)) as producer:
            for rows in portions(stream, min(int(order.options.get("batch_rows", BATCH_ROWS)), MOST_ROWS)):
                batch = self._messages(order, sent, rows)
                try:
                    producer.send(batch)
                except TaskFailure as failure:
                    raise after(failure, sent) from failure
                sent += len(batch)
                size += sum(len(each.payload) for each in batch)
                order.progress(sent)
        order.seal()
        return Loaded(rows=sent, bytes=size, uri=f"{self.place()}/{order.target}")

    def close(self) -> None:
        """Reads and loads have closed their own connections."""

    def _messages(self, order: Order, first: int, rows: Sequence[dict[str, Any]]) -> list[Outgoing]:
        from engine.dataflow.outgoing import json_bytes, message_id

        named = order.options.get("key_column")
        made = []
        for number, row in enumerate(rows, first):
            if named and named not in row:
                raise ConfigurationError(f"{self.where(order.target)}: the rows have no `key_column: {named}`.")
            payload = json_bytes(row)
            key = row[named] if named else None
            identity = message_id(order.token, number, payload)
            made.append(Outgoing(payload=payload, id=identity, key=None if key is None else str(key)))
        return made

    def attempt(self, ask: Callable[[], Any], name: str = "") -> Any:
        """What is asked of a library; its errors as ours."""
        try:
            return ask()
        except TaskFailure:
            raise
        except Exception as error:  # noqa: BLE001  every library has a tree of its own; the names decide
            raise failure_of(error, self.where(name), self.place()) from None


def failure_of(error: BaseException, where: str, place: str) -> TaskFailure:
    """The failure that a library's exception stands for."""
    untrusted = next((each for each in chain(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        hint = "An authority of your own is named by `tls: {ca: FILE}`."
        return NetworkError(f"{where}: {place} could not be reached safely ({untrusted.verify_message}). {hint}")
    names = {base.__name__ for base in type(error).__mro__}
    for known, kind, words in _KINDS:
        if known & names:
            return kind(f"{where}: {place} {words} ({type(error).__name__}).")
    return NetworkError(f"{where}: {place} cannot be reached, or the connection broke ({type(error).__name__}).")
