"""Which kind a failure is: the table of FAULTS, and what no rule knows (RTY-05 to RTY-09)."""

from __future__ import annotations

import errno
import socket
import sqlite3
import ssl
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import requests

from engine.model.errors import DataQualityError, ErrorKind, NetworkError, RateLimited
from engine.rules.classify import (
    LONGEST_WAIT,
    MESSAGE_LIMIT,
    TRACEBACK_LIMIT,
    classify,
    classify_exit,
    parse_retry_after,
)


def http(status: int, **headers: str) -> requests.HTTPError:
    return requests.HTTPError("no", response=SimpleNamespace(status_code=status, headers=headers))


class Wrapped(Exception):
    pass


def wrapped(cause: Exception) -> Exception:
    error = Wrapped("the client gave up")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("x"), ErrorKind.NETWORK),
        (socket.gaierror(-2, "Name or service not known"), ErrorKind.NETWORK),
        (ssl.SSLError("bad"), ErrorKind.NETWORK),
        (requests.ConnectionError("x"), ErrorKind.NETWORK),
        (requests.ReadTimeout("x"), ErrorKind.TIMEOUT),
        (TimeoutError("x"), ErrorKind.TIMEOUT),
        (OSError(errno.ETIMEDOUT, "x"), ErrorKind.TIMEOUT),
        (MemoryError(), ErrorKind.RESOURCE),
        (OSError(errno.ENOSPC, "x"), ErrorKind.RESOURCE),
        (OSError(errno.ENOMEM, "x"), ErrorKind.RESOURCE),
        (PermissionError(errno.EACCES, "x"), ErrorKind.PERMISSION),
        (FileNotFoundError("x"), ErrorKind.CONFIGURATION),
        (ModuleNotFoundError("x"), ErrorKind.CONFIGURATION),
        (sqlite3.IntegrityError("x"), ErrorKind.DATA_QUALITY),
        (sqlite3.OperationalError("database is locked"), ErrorKind.TIMEOUT),
        (sqlite3.OperationalError("no such table: orders"), ErrorKind.CONFIGURATION),
        (sqlite3.OperationalError("something new"), ErrorKind.NETWORK),
        (DataQualityError("x"), ErrorKind.DATA_QUALITY),
        (http(429), ErrorKind.RATE_LIMITED),
        (http(408), ErrorKind.TIMEOUT),
        (http(504), ErrorKind.TIMEOUT),
        (http(503), ErrorKind.NETWORK),
        (http(401), ErrorKind.PERMISSION),
        (http(403), ErrorKind.PERMISSION),
        (http(404), ErrorKind.CONFIGURATION),
        (http(422), ErrorKind.LOGIC),
        (RuntimeError("FATAL: password authentication failed for user"), ErrorKind.PERMISSION),
        (RuntimeError("could not connect to server"), ErrorKind.NETWORK),
        (RuntimeError("FATAL: sorry, too many clients already"), ErrorKind.RESOURCE),
        (RuntimeError('duplicate key value violates unique constraint "orders_pkey"'), ErrorKind.DATA_QUALITY),
        (RuntimeError("Too Many Requests"), ErrorKind.RATE_LIMITED),
        (wrapped(ConnectionResetError("x")), ErrorKind.NETWORK),
        (wrapped(ValueError("connection refused")), ErrorKind.LOGIC),
        (ValueError("timeout must be positive"), ErrorKind.LOGIC),
        (AssertionError("connection refused"), ErrorKind.LOGIC),
        (KeyError("x"), ErrorKind.LOGIC),
        (Exception("something else"), ErrorKind.LOGIC),
    ],
)
def test_an_exception_has_its_kind(error: Exception, kind: ErrorKind) -> None:
    found = classify(error)
    assert found.kind is kind
    assert found.type == type(error).__name__
    assert found.message


@pytest.mark.parametrize(
    ("code", "signal", "kind"),
    [
        (124, None, ErrorKind.TIMEOUT),
        (126, None, ErrorKind.CONFIGURATION),
        (127, None, ErrorKind.CONFIGURATION),
        (137, None, ErrorKind.RESOURCE),
        (75, None, ErrorKind.RESOURCE),
        (1, None, ErrorKind.LOGIC),
        (255, None, ErrorKind.LOGIC),
        (None, 9, ErrorKind.RESOURCE),
        (None, 11, ErrorKind.LOGIC),
        (None, 15, ErrorKind.LOGIC),
    ],
)
def test_an_exit_has_its_kind(code: int | None, signal: int | None, kind: ErrorKind) -> None:
    found = classify_exit(code, signal)
    assert found.kind is kind
    assert found.type == (f"exit {code}" if signal is None else f"signal {signal}")


def test_a_certificate_is_tried_once_more_and_not_again() -> None:
    error = ssl.SSLCertVerificationError("certificate has expired")
    assert not classify(error, attempt=1).final
    assert classify(error, attempt=2).final
    assert not classify(ConnectionResetError("x"), attempt=2).final


@pytest.mark.parametrize(
    "said",
    [
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
        'server certificate for "a" does not match host name "b"',
        "SSL error: tlsv1 alert unknown ca",
    ],
)
def test_a_certificate_is_tried_once_more_also_as_a_connector_tells_it(said: str) -> None:
    """FAULTS, NetworkError: TLS (once)."""
    told = NetworkError("Connection 'dwh': the server could not be reached safely.")
    told.__cause__ = OSError(said)
    told.__cause__.__cause__ = told  # a ring, as libraries make them
    assert not classify(told, attempt=1).final
    assert classify(told, attempt=2).final
    cut = NetworkError("Connection 'dwh': the line was cut.")
    cut.__cause__ = OSError("EOF occurred in violation of protocol")
    assert not classify(cut, attempt=2).final
    assert not classify(ValueError(said), attempt=2).final  # is never read for words


def test_retry_after_is_read_from_wherever_it_stands() -> None:
    now = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
    assert classify(RateLimited("x", retry_after=7)).retry_after == 7
    assert classify(http(429, **{"Retry-After": "30"})).retry_after == 30
    date = http(503, **{"Retry-After": "Fri, 01 Mar 2024 12:02:00 GMT"})
    assert classify(date, now=now).retry_after == 120
    assert classify(date).retry_after is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-5", 0.0),
        ("1e12", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("2.5", 2.5),
    ],
)
def test_a_hostile_retry_after_is_bounded(text: str, seconds: float | None) -> None:
    """Fault 30"""
    assert parse_retry_after(text) == seconds


def test_messages_and_tracebacks_are_bounded_and_keep_both_ends() -> None:
    found = classify(RuntimeError("x" * 100_000), traceback="START" + "y" * 100_000 + "THE CAUSE")
    assert len(found.message) <= MESSAGE_LIMIT
    assert found.traceback is not None
    assert len(found.traceback) <= TRACEBACK_LIMIT
    assert found.traceback.startswith("START")
    assert found.traceback.endswith("THE CAUSE")
