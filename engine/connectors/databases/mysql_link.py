"""One connection to MySQL or MariaDB: how it is opened, and how a stream is fed to LOAD DATA.

Law: a session speaks utf8mb4 in UTC and in strict mode, so that the server refuses what it would otherwise bend.
A server may ask a client for any file while LOAD DATA runs: here it gets the rows that were meant for it, whatever
it asks for, and nothing at any other time.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.connections import Connection as Wire
from pymysql.connections import MySQLResult
from pymysql.converters import conversions

from engine.connectors.databases.certificates import located
from engine.connectors.databases.mysql_errors import UNTRUSTED
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 600.0  # without a word from the server
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_SSL = {"true": True, "1": True, "false": False, "0": False}  # as the query of a url says it
_GONE = (2006, 2013)
_PACKET = 1 << 20  # of one packet of LOAD DATA; every server takes it
_ENCODERS: Any = {kind: how for kind, how in conversions.items() if not isinstance(kind, int)}
_SESSION = (
    "SET time_zone = '+00:00', lock_wait_timeout = 60, innodb_lock_wait_timeout = 60, "
    "net_write_timeout = 3600, sql_mode = "  # a slow consumer makes the server wait
    "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE'"
)


class Link(Wire):
    """A connection that can feed LOAD DATA LOCAL from memory."""

    _feeding: Iterable[bytes | memoryview] | None = None

    def feed(self, statement: str, blocks: Iterable[bytes | memoryview]) -> tuple[int, int]:
        """Run a LOAD DATA LOCAL statement on these bytes: rows written, warnings."""
        self._feeding = blocks
        try:
            rows = self.query(statement)
        finally:
            self._feeding = None
        answer: Any = self._result
        return int(rows), int(answer.warning_count)

    def hang_up(self) -> None:
        """Leave at once, whatever the server still has to say."""
        answer: Any = self._result
        if answer is not None:
            answer.unbuffered_active, answer.connection = False, None  # nothing more is read from it
        self._force_close()  # type: ignore[attr-defined]  # the stubs leave it out

    def _read_query_result(self, unbuffered: bool = False) -> int:
        if unbuffered or self._feeding is None:
            return int(super()._read_query_result(unbuffered))  # type: ignore[misc]  # the stubs leave it out
        self._result = None
        result = _Fed(self, self._feeding)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)


class _Fed(MySQLResult):
    """The answer to LOAD DATA LOCAL, which begins with a question for the rows."""

    def __init__(self, link: Link, blocks: Iterable[bytes | memoryview]) -> None:
        super().__init__(link)
        self._blocks = blocks

    def _read_load_local_packet(self, first_packet: Any) -> None:
        link: Any = self.connection
        try:
            for block in self._blocks:
                for at in range(0, len(block), _PACKET):
                    link.write_packet(bytes(block[at : at + _PACKET]))
        except pymysql.err.Error:
            raise  # the connection is gone: there is nobody to say the end to
        except BaseException:
            self._end(link)  # in step again with the server, so that the caller can roll back
            raise
        self._end(link)

    def _end(self, link: Any) -> None:
        link.write_packet(b"")
        answer = link._read_packet()
        if not answer.is_ok_packet():
            raise pymysql.err.OperationalError(2014, "the server is out of step")
        self._read_ok_packet(answer)  # type: ignore[attr-defined]  # the stubs leave it out


def opened(name: str, config: Mapping[str, Any]) -> Link:
    """A new connection with `settings`, in a session of our own making."""
    seconds = float(config.get("timeout_seconds", STATEMENT_SECONDS))
    try:
        link = Link(
            host=str(config.get("host") or "127.0.0.1"),
            port=_port(name, config.get("port")),
            unix_socket=str(config["socket"]) if config.get("socket") else None,
            user=str(config.get("user") or config.get("username") or "root"),
            password=str(config.get("password") or "").encode(),
            database=str(config["database"]),
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=seconds,
            write_timeout=seconds,
            autocommit=True,
            local_infile=True,  # see Link: never a file
            init_command=_SESSION,
            conv=_ENCODERS,  # answers stay text as the server writes it: Arrow converts whole columns
            **_encryption(name, config),
        )
    except pymysql.err.OperationalError as error:
        if config.get("ssl_cert") and error.args[0] in _GONE:  # a server may not say why it hangs up
            raise pymysql.err.OperationalError(error.args[0], f"{error.args[1]}.{UNTRUSTED}") from error
        raise
    # From here on only Link.feed answers a server that asks for data.
    link._local_infile = False  # type: ignore[attr-defined]
    return link


def settings(connection: Connection, root: Path) -> Mapping[str, Any]:
    """The config, with a `url` taken apart. `root`: what files are seen from."""
    name = connection.id
    config = {**connection.config, **_from_url(name, connection.config.get("url"))}
    if not config.get("database"):
        raise ConfigurationError(f"Connection '{name}' needs a `database`.")
    if config.get("ssl") is False:
        return config
    if config.get("ssl_key") and not config.get("ssl_cert"):
        raise ConfigurationError(f"Connection '{name}': `ssl_key` is the key of an `ssl_cert`, which is not given.")
    return {**config, **located(name, config, _FILES, root)}


def _from_url(name: str, url: Any) -> dict[str, Any]:
    if not url:
        return {}
    try:
        parts = urlsplit(str(url))
        found = {
            "host": parts.hostname,
            "port": parts.port,
            "user": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "database": unquote(parts.path.lstrip("/")),
        }
    except ValueError as error:
        raise ConfigurationError(f"Connection '{name}' has a URL that cannot be read.") from error
    return {**{key: value for key, value in found.items() if value}, **_from_query(name, parts.query)}


def _from_query(name: str, query: str) -> dict[str, Any]:
    """What a url asks for after its `?`. What speaks of encryption is done or refused, never passed over."""
    found: dict[str, Any] = {}
    for key, value in parse_qsl(query):
        if key in _FILES:
            found[key] = value
        elif key == "ssl" and value.lower() in _SSL:
            found[key] = _SSL[value.lower()]
        elif "ssl" in key.lower() or "tls" in key.lower():
            raise ConfigurationError(
                f"Connection '{name}': its URL says `{key[:40]}`, which is not known so; there are ssl=true, "
                f"ssl=false, {', '.join(_FILES)}."
            )
    return found


def _port(name: str, given: Any) -> int:
    try:
        port = int(given or 3306)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise ConfigurationError(f"Connection '{name}': `port` is a number from 1 to 65535.")
    return port


def _encryption(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `ssl` asks for: required and checked, `false` for none; without it, used where the server has it. A file
    asks for it, too."""
    given = config.get("ssl")
    authority, own, key = (config.get(each) for each in _FILES)
    if given is None and not (authority or own):
        return {}
    if given is False:
        return {"ssl_disabled": True}
    try:
        context = ssl.create_default_context(cafile=authority)
        if own:
            context.load_cert_chain(own, key, password="")  # one with a password is refused, not asked for
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(f"`{each}`" for each in _FILES if config.get(each))
        raise ConfigurationError(f"Connection '{name}': {named} cannot be read: {error.strerror}.") from error
    return {"ssl": context}
