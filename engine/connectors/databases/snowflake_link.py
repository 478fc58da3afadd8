"""One session on Snowflake, and what goes wrong with it said kindly.

Law: times are UTC, keys and passwords stay in memory, and a message repeats neither a statement nor a value of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import snowflake.connector
from snowflake.connector import errors

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

LOGIN_SECONDS = 30
STATEMENT_SECONDS = 3600
_PLAIN = ("account", "user", "host", "protocol", "database", "schema", "warehouse", "role")
_NUMBERS: Mapping[int, type[TaskFailure]] = {
    250001: PermissionFailure,  # wrong login
    390100: PermissionFailure,
    390144: PermissionFailure,  # JWT refused
    3001: PermissionFailure,
    604: TimeoutFailure,  # cancelled
    625: ResourceExhaustion,  # lock waits
    606: ConfigurationError,  # no warehouse
    2003: ConfigurationError,
    2043: ConfigurationError,
    100038: DataQualityError,
    100072: DataQualityError,
    100035: DataQualityError,
}
_SESSION: Mapping[str, Any] = {"TIMEZONE": "UTC", "CLIENT_TELEMETRY_ENABLED": False}
_VALUE = re.compile(r"'[^']*'(?! does not exist)")


def opened(asked: Mapping[str, Any]) -> Any:
    """A new session, with `settings`."""
    return snowflake.connector.connect(**asked)


def settings(connection: Connection, root: Path) -> dict[str, Any]:
    """How the driver is asked for a session. `root`: what a key's file is relative to."""
    config = connection.config
    given: dict[str, Any] = {key: str(config[key]) for key in _PLAIN if config.get(key)}
    for key in ("user", "database"):
        if key not in given:
            raise ConfigurationError(f"Connection '{connection.id}' needs a `{key}`.")
    if "account" not in given and "host" not in given:
        raise ConfigurationError(f"Connection '{connection.id}' needs an `account` or a `host`.")
    given.setdefault("account", given.get("host", "").split(".")[0])
    if config.get("port"):
        given["port"] = int(config["port"])
    return {
        **given,
        **_login(connection.id, config, root),
        "login_timeout": LOGIN_SECONDS,
        "network_timeout": int(config.get("timeout_seconds", STATEMENT_SECONDS)),
        "autocommit": True,
        "arrow_number_to_decimal": True,
        "session_parameters": {**(config.get("session_parameters") or {}), **_SESSION},
    }


def _login(name: str, config: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A key pair (`private_key`: PEM text, or `private_key_file`; `private_key_passphrase`), or a password."""
    pem = str(config["private_key"]).encode() if config.get("private_key") else _key_in(name, config, root)
    if pem is None:
        if not config.get("password"):
            raise ConfigurationError(
                f"Connection '{name}' needs a `password`, a `private_key` or a `private_key_file`."
            )
        return {"password": str(config["password"])}
    from cryptography.hazmat.primitives import serialization

    phrase = config.get("private_key_passphrase") or config.get("private_key_file_pwd")
    try:
        key = serialization.load_pem_private_key(pem, password=str(phrase).encode() if phrase else None)
    except (ValueError, TypeError):
        # The reason might quote the key.
        raise ConfigurationError(
            f"Connection '{name}': `private_key` is no PEM key, or `private_key_passphrase` does not open it."
        ) from None
    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    return {"private_key": key.private_bytes(encoding, form, serialization.NoEncryption())}


def _key_in(name: str, config: Mapping[str, Any], root: Path) -> bytes | None:
    """What `private_key_file` holds; None without one."""
    given = config.get("private_key_file")
    if not given:
        return None
    try:
        return (root / Path(str(given)).expanduser()).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"Connection '{name}': `private_key_file` {given} cannot be read: {error.strerror}."
        ) from error


def rows(link: Any, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """What a statement answers."""
    with link.cursor() as cursor:
        cursor.execute(statement, values or None)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


@contextmanager
def failures(name: str, what: str = "") -> Iterator[None]:
    """The driver's errors as ours. `what`: the object that is read or written."""
    try:
        yield
    except errors.Error as error:
        raise failure(error, name, what) from None  # its context holds the statement


def failure(error: errors.Error, name: str, what: str = "") -> TaskFailure:
    """The failure that an error of Snowflake stands for."""
    number = abs(int(getattr(error, "errno", 0) or 0))
    said = " ".join(str(error).split("\n\nLINE ")[0].split())
    place = f"Connection '{name}'" + (f", {what}" if what else "")
    return _kind(error, number, said.lower())(f"{place}: {_VALUE.sub('(not shown)', said)[:400]}")


def _kind(error: errors.Error, number: int, said: str) -> type[TaskFailure]:
    if "could not connect" in said:
        return NetworkError  # under the number of a refused login
    if number in _NUMBERS:
        return _NUMBERS[number]
    if "constraint" in said or "conversion error" in said or "not recognized" in said:
        return DataQualityError
    if "insufficient privileges" in said:
        return PermissionFailure
    if isinstance(error, errors.IntegrityError | errors.DataError):
        return DataQualityError
    return ConfigurationError if isinstance(error, errors.ProgrammingError) else NetworkError
