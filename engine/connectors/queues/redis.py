"""Redis streams, read by a consumer group.

Law: an entry that was handed out and not confirmed stays pending; it is claimed by a later read once its reader
has been silent for `redeliver_seconds`, and a living reader says so often enough. A batch is added in one script
that remembers its id for a day, so that the same batch is not added again. Config: url, or host, port, user,
password, db, tls.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.connectors.queues.connector import QueueConnector
from engine.connectors.queues.messages import Message, Outgoing
from engine.connectors.queues.tls import Tls
from engine.model.errors import ConfigurationError, DataQualityError
from engine.model.workspace import Connection

GROUP = "penstock"
_SLICE = 1.0  # seconds that one blocking read lasts at most
_MANY = 500  # ids in one command
_REMEMBERED = 24 * 3600  # seconds that a batch's id is known
# One step: a batch that is known is not added; what is added is known.
_ADD = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
for at = 2, #ARGV, 3 do
  redis.call('XADD', KEYS[1], '*', 'payload', ARGV[at], 'id', ARGV[at + 1], 'key', ARGV[at + 2])
end
redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
return 1
"""


def connect(connection: Connection, root: Path) -> RedisConnector:
    """A connector for a `redis` connection."""
    return RedisConnector(connection, root)


class RedisConnector(QueueConnector):
    """One Redis."""

    name = "stream"
    unsafe = ("redis://", "unix://")

    def place(self) -> str:
        url = self.config.get("url")
        parts = urlsplit(str(url)) if url else None
        host = (parts.hostname if parts else None) or self.config.get("host", "localhost")
        port = (parts.port if parts else None) or self.config.get("port", 6379)
        return f"redis://{host}:{port}"

    def open(self) -> Any:
        """A client; it connects when it is first asked."""
        # No retries of the library's own: a broken connection is a failure of the attempt, and told at once.
        times = {
            "socket_connect_timeout": self.connecting,
            "socket_timeout": self.operation,
            "retry": Retry(NoBackoff(), 0),
        }
        config = self.config
        if config.get("url"):
            checked = self._checked() if str(config["url"]).startswith("rediss:") else {}
            return redis.Redis.from_url(str(config["url"]), **checked, **times)
        return redis.Redis(
            host=str(config.get("host", "localhost")),
            port=int(config.get("port", 6379)),
            username=self.user,
            password=config.get("password"),
            db=int(config.get("db") or config.get("database") or 0),
            ssl=self.tls is not None,
            **(self._checked() if self.tls else {}),
            **times,
        )

    def _checked(self) -> dict[str, Any]:
        tls = self.tls or Tls()
        return {
            "ssl_ca_certs": tls.ca,
            "ssl_certfile": tls.cert,
            "ssl_keyfile": tls.key,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
        }

    def test(self) -> str:
        """PING."""
        client = self.open()
        try:
            version = self.attempt(lambda: client.info("server"))["redis_version"]
        finally:
            client.close()
        return f"Redis {version} answers at {self.place()}."

    def names(self) -> Sequence[str]:
        client = self.open()
        try:
            found = self.attempt(lambda: list(client.scan_iter(count=1000, _type="STREAM")))
        finally:
            client.close()
        return [each.decode("utf-8", "replace") for each in found]

    def consumer(self, name: str, options: Mapping[str, Any]) -> _Consumer:
        return _Consumer(self, name, str(options.get("group", GROUP)))

    def producer(self, name: str, create: bool) -> _Producer:
        return _Producer(self, name, create)


class _Consumer:
    def __init__(self, connector: RedisConnector, name: str, group: str) -> None:
        self._connector, self._name, self._group = connector, name, group
        self._me = f"penstock-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._client: Any = None
        self._held: list[bytes] = []
        self._claim_from: bytes | None = b"0-0"  # None: nothing is left behind by others
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._keeper: threading.Thread | None = None

    def pull(self, limit: int, seconds: float) -> list[Message]:
        return list(self._connector.attempt(lambda: self._pull(limit, seconds), self._name))

    def acknowledge(self) -> None:
        self._connector.attempt(self._acknowledge, self._name)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
        try:
            self._leave(client)
        except redis.RedisError:
            pass  # it is being given up; what is pending is claimed when our silence is long enough
        client.close()

    def _pull(self, limit: int, seconds: float) -> list[Message]:
        if self._client is None:
            self._begin()
        entries: list[Any] = []
        while self._claim_from is not None and not entries:
            idle = int(self._connector.redeliver * 1000)
            self._claim_from, entries = self._claimed(idle, limit)
        if not entries:
            entries = self._new(limit, seconds)
        with self._lock:
            self._held += [identity for identity, _ in entries]
        # An entry that was deleted while pending has no fields any more.
        return [_message(self._connector, identity, fields) for identity, fields in entries if fields]

    def _begin(self) -> None:
        client = self._connector.open()
        try:
            client.xgroup_create(self._name, self._group, id="0", mkstream=False)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                client.close()
                raise
        self._client = client
        self._keeper = threading.Thread(target=self._keep, name="penstock-redis", daemon=True)
        self._keeper.start()

    def _claimed(self, idle: int, limit: int) -> tuple[bytes | None, list[Any]]:
        found = self._client.xautoclaim(
            self._name, self._group, self._me, idle, start_id=self._claim_from, count=limit
        )
        return (None if found[0] == b"0-0" else found[0]), found[1]

    def _new(self, limit: int, seconds: float) -> list[Any]:
        left = seconds
        while True:
            wait = max(1, int(min(left, _SLICE) * 1000))
            found = self._client.xreadgroup(self._group, self._me, {self._name: ">"}, count=limit, block=wait)
            left -= _SLICE
            if found or left <= 0:
                return list(found[0][1]) if found else []

    def _keep(self) -> None:
        """Show that we live: entries of a reader that is silent are claimed by others."""
        while not self._ended.wait(self._connector.redeliver / 3):
            with self._lock:
                held = list(self._held)
            try:
                self._claim_own(held, idle=0)
            except redis.RedisError:
                return  # the next pull or the acknowledgement tells

    def _claim_own(self, held: Sequence[bytes], idle: int, client: Any = None) -> None:
        for at in range(0, len(held), _MANY):
            some = held[at : at + _MANY]
            (client or self._client).xclaim(self._name, self._group, self._me, 0, some, idle=idle, justid=True)

    def _acknowledge(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for at in range(0, len(held), _MANY):
            self._client.xack(self._name, self._group, *held[at : at + _MANY])

    def _leave(self, client: Any) -> None:
        if self._held:
            # As if we had been silent for long: the next reader has them at once.
            self._claim_own(self._held, idle=int(self._connector.redeliver * 1000) + 1, client=client)
        else:
            client.xgroup_delconsumer(self._name, self._group, self._me)


class _Producer:
    def __init__(self, connector: RedisConnector, name: str, create: bool) -> None:
        self._connector, self._name, self._create = connector, name, create
        self._client = connector.open()
        self._add = self._client.register_script(_ADD)

    def send(self, batch: Sequence[Outgoing]) -> None:
        self._connector.attempt(lambda: self._send(batch), self._name)

    def close(self) -> None:
        self._client.close()

    def _send(self, batch: Sequence[Outgoing]) -> None:
        if not self._create and not self._client.exists(self._name):
            raise ConfigurationError(f"{self._connector.where(self._name)} is not there, and `create` is false.")
        known = hashlib.sha256(" ".join(each.id for each in batch).encode()).hexdigest()[:32]
        arguments: list[Any] = [_REMEMBERED]
        for each in batch:
            arguments += [each.payload, each.id, each.key or ""]
        # The braces keep both names in one slot of a cluster.
        self._add(keys=[self._name, f"penstock:sent:{{{self._name}}}:{known}"], args=arguments)


def _message(connector: RedisConnector, identity: bytes, fields: Mapping[bytes, bytes]) -> Message:
    stamp = identity.decode()
    at = datetime.fromtimestamp(int(stamp.partition("-")[0]) / 1000, UTC)
    if b"payload" in fields:
        named = fields.get(b"id", b"").decode("utf-8", "replace")
        key = fields.get(b"key", b"").decode("utf-8", "replace")
        return Message(payload=fields[b"payload"], id=named or stamp, at=at, key=key or None)
    try:
        texts = {name.decode(): value.decode() for name, value in fields.items()}
    except UnicodeDecodeError:
        raise DataQualityError(
            f"{connector.where()}: entry {stamp} is no UTF-8 text; put bytes into a field `payload`."
        ) from None
    return Message(payload=json.dumps(texts).encode(), id=stamp, at=at)
