"""What kind of failure it was: from exceptions, HTTP statuses, exit codes and signals to the kinds of FAULTS.

Law: the type decides before the number in it (errno, status), the number before the message, the message before
nothing: what no rule knows is a LogicError, which is never retried by default. Programming errors are never
read for words: `ValueError("timeout must be positive")` is no timeout.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from engine.model.errors import ErrorKind, TaskError, TaskFailure

TRACEBACK_LIMIT = 16 << 10
MESSAGE_LIMIT = 4 << 10
LONGEST_WAIT = 86_400.0  # a Retry-After beyond a day is taken for a day

_PROGRAMMING = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, NotImplementedError, SyntaxError,
    TypeError, ValueError,
)  # fmt: skip

# Class names as libraries use them, looked up along the bases, nearest first. Names, because the rules may not
# import the libraries, and because one name means the same in several of them.
_NAMES: dict[str, ErrorKind] = {
    "ReadTimeout": ErrorKind.TIMEOUT,
    "ConnectTimeout": ErrorKind.TIMEOUT,
    "Timeout": ErrorKind.TIMEOUT,
    "TimeoutExpired": ErrorKind.TIMEOUT,
    "TimeoutException": ErrorKind.TIMEOUT,
    "QueryCanceled": ErrorKind.TIMEOUT,
    "ConnectionError": ErrorKind.NETWORK,
    "ConnectError": ErrorKind.NETWORK,
    "gaierror": ErrorKind.NETWORK,
    "herror": ErrorKind.NETWORK,
    "SSLError": ErrorKind.NETWORK,
    "URLError": ErrorKind.NETWORK,
    "IncompleteRead": ErrorKind.NETWORK,
    "RemoteDisconnected": ErrorKind.NETWORK,
    "ProtocolError": ErrorKind.NETWORK,
    "TransportError": ErrorKind.NETWORK,
    "ChunkedEncodingError": ErrorKind.NETWORK,
    "AdminShutdown": ErrorKind.NETWORK,
    "CannotConnectNow": ErrorKind.NETWORK,
    "ConnectionException": ErrorKind.NETWORK,
    "DiskFull": ErrorKind.RESOURCE,
    "OutOfMemory": ErrorKind.RESOURCE,
    "TooManyConnections": ErrorKind.RESOURCE,
    "InvalidPassword": ErrorKind.PERMISSION,
    "InvalidAuthorizationSpecification": ErrorKind.PERMISSION,
    "InsufficientPrivilege": ErrorKind.PERMISSION,
    "IntegrityError": ErrorKind.DATA_QUALITY,
    "DataError": ErrorKind.DATA_QUALITY,
    "ValidationError": ErrorKind.DATA_QUALITY,
    "SchemaError": ErrorKind.DATA_QUALITY,
    "TemplateError": ErrorKind.CONFIGURATION,
    "MissingSchema": ErrorKind.CONFIGURATION,
    "InvalidURL": ErrorKind.CONFIGURATION,
    "ProgrammingError": ErrorKind.CONFIGURATION,
}

_CERTIFICATE = re.compile(r"certificate.verify.failed|does not match host ?name|unknown.ca\b", re.IGNORECASE)

# What remains when the words of the message say nothing: most often the server went away.
_OTHERWISE = {"OperationalError": ErrorKind.NETWORK, "InterfaceError": ErrorKind.NETWORK}

_BUILTIN: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (MemoryError, ErrorKind.RESOURCE),
    (TimeoutError, ErrorKind.TIMEOUT),
    (PermissionError, ErrorKind.PERMISSION),
    (ConnectionError, ErrorKind.NETWORK),
    (ImportError, ErrorKind.CONFIGURATION),
    (FileNotFoundError, ErrorKind.CONFIGURATION),
    (NotADirectoryError, ErrorKind.CONFIGURATION),
    (IsADirectoryError, ErrorKind.CONFIGURATION),
)

_ERRNO: dict[int, ErrorKind] = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS),
        ErrorKind.RESOURCE,
    ),
    **dict.fromkeys(
        (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENETRESET, errno.EPIPE),
        ErrorKind.NETWORK,
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ErrorKind.PERMISSION),
    errno.ETIMEDOUT: ErrorKind.TIMEOUT,
}

# Read in this order; "authentication timed out" is a matter of permission, not of time.
_WORDS: dict[ErrorKind, tuple[str, ...]] = {
    ErrorKind.RATE_LIMITED: (r"rate limit", r"too many requests", r"throttl(ed|ing)", r"\b429\b"),
    ErrorKind.RESOURCE: (
        r"out of memory", r"cannot allocate memory", r"no space left", r"disk (is )?full", r"too many open files",
        r"too many (clients|connections)", r"connection pool .{0,40}(exhausted|limit)", r"quota exceeded",
    ),
    ErrorKind.PERMISSION: (
        r"authentication failed", r"access denied", r"permission denied", r"not authorized", r"unauthori[sz]ed",
        r"invalid (api key|credentials|token)", r"\b40[13] (client error|forbidden)",
    ),
    ErrorKind.TIMEOUT: (r"timed? ?out", r"deadline exceeded", r"database is locked", r"lock wait timeout"),
    ErrorKind.NETWORK: (
        r"connection (was )?(refused|reset|aborted|closed|lost|terminated)", r"could not connect",
        r"network is unreachable", r"no route to host", r"name (or service|resolution)",
        r"temporary failure in name", r"getaddrinfo", r"broken pipe", r"server closed the connection",
        r"terminating connection", r"deadlock detected", r"could not serialize", r"service unavailable",
        r"bad gateway",
    ),
    ErrorKind.DATA_QUALITY: (
        r"violates .{0,60}constraint", r"duplicate key", r"unique constraint", r"constraint failed",
        r"invalid input syntax", r"schema mismatch", r"validation failed", r"out of range for type",
    ),
    ErrorKind.CONFIGURATION: (r"no such (table|column)", r"syntax error"),
}  # fmt: skip
_MESSAGES = tuple((re.compile("|".join(words), re.IGNORECASE), kind) for kind, words in _WORDS.items())


def classify(
    error: BaseException, *, attempt: int = 1, traceback: str | None = None, now: datetime | None = None
) -> TaskError:
    """One exception as it is stored. `now` is needed only to read a Retry-After that is a date."""
    kind = _kind(error)
    message = str(error).strip() or type(error).__name__
    return TaskError(
        type=type(error).__name__,
        kind=kind,
        message=_clip(message, MESSAGE_LIMIT),
        traceback=None if traceback is None else _clip_middle(traceback, TRACEBACK_LIMIT),
        retry_after=_retry_after(error, now),
        # A certificate does not heal by itself: one retry, no more.
        final=attempt >= 2 and kind is ErrorKind.NETWORK and _is_tls(error),
    )


def _kind(error: BaseException) -> ErrorKind:
    if isinstance(error, TaskFailure):
        return error.kind
    status = _status(error)
    if status is not None and (found := _from_status(status)) is not None:
        return found
    for kind_of, kind in _BUILTIN:
        if isinstance(error, kind_of):
            return kind
    found = _from_errno(error) or _from_name(error)
    if found is not None:
        return found
    if isinstance(error, _PROGRAMMING):
        return ErrorKind.LOGIC
    found = _from_message(str(error)) or _from_cause(error)
    return found or _OTHERWISE.get(type(error).__name__, ErrorKind.LOGIC)


def _from_name(error: BaseException) -> ErrorKind | None:
    for base in type(error).__mro__:
        if base.__module__ == "builtins":
            return None
        if (kind := _NAMES.get(base.__name__)) is not None:
            return kind
    return None


def _from_errno(error: BaseException) -> ErrorKind | None:
    return _ERRNO.get(error.errno or 0) if isinstance(error, OSError) else None


def _from_message(text: str) -> ErrorKind | None:
    head = text[:MESSAGE_LIMIT]
    return next((kind for pattern, kind in _MESSAGES if pattern.search(head)), None)


def _from_cause(error: BaseException) -> ErrorKind | None:
    """What a library wrapped (`raise Mine from theirs`) says, if it says anything."""
    for cause in _causes(error):
        if isinstance(cause, _PROGRAMMING):
            continue
        kind = _kind(cause) if cause.__cause__ is None else None
        if kind not in (None, ErrorKind.LOGIC):
            return kind
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause, left = error.__cause__, 10
    while cause is not None and left:
        yield cause
        cause, left = cause.__cause__, left - 1


def _status(error: BaseException) -> int | None:
    """The HTTP status an exception carries, wherever clients put it."""
    response = getattr(error, "response", None)
    for holder, name in ((response, "status_code"), (response, "status"), (error, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


def _from_status(status: int) -> ErrorKind | None:
    if status >= 500:
        return ErrorKind.TIMEOUT if status == 504 else ErrorKind.NETWORK
    by_number = {
        401: ErrorKind.PERMISSION,
        403: ErrorKind.PERMISSION,
        404: ErrorKind.CONFIGURATION,
        408: ErrorKind.TIMEOUT,
        410: ErrorKind.CONFIGURATION,
        429: ErrorKind.RATE_LIMITED,
    }
    return by_number.get(status, ErrorKind.LOGIC)


def _retry_after(error: BaseException, now: datetime | None) -> float | None:
    given = getattr(error, "retry_after", None)
    if given is None:
        headers: Any = getattr(getattr(error, "response", None), "headers", None)
        given = headers.get("Retry-After") if hasattr(headers, "get") else None
    if given is None:
        return None
    return parse_retry_after(str(given), now)


def parse_retry_after(text: str, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header: a number or a date; None for nonsense, never negative, at most a day."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, IndexError):
            return None
        if now is None or moment.tzinfo is None:
            return None
        seconds = (moment - now).total_seconds()
    if seconds != seconds:  # NaN
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _is_tls(error: BaseException) -> bool:
    """By its class; or by words about a certificate, its own or those of what it was made from: connectors tell a
    server that cannot be trusted as a NetworkError, and not every library has a class for it."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & {"SSLError", "SSLCertVerificationError", "CertificateError"}:
        return True
    return any(_CERTIFICATE.search(str(each)) for each in (error, *_causes(error)))


def classify_exit(code: int | None, signal: int | None, *, what: str = "The process") -> TaskError:
    """A process that ended without telling why."""
    if signal is not None:
        return _from_signal(signal, what)
    kind, meaning = _EXITS.get(code or 0, (ErrorKind.LOGIC, ""))
    return TaskError(type=f"exit {code}", kind=kind, message=f"{what} ended with exit code {code}{meaning}.")


_EXITS: dict[int, tuple[ErrorKind, str]] = {
    75: (ErrorKind.RESOURCE, ": a temporary failure, try again later"),
    124: (ErrorKind.TIMEOUT, ": it ran out of time"),
    126: (ErrorKind.CONFIGURATION, ": the command was found but may not be executed"),
    127: (ErrorKind.CONFIGURATION, ": a command was not found"),
    137: (ErrorKind.RESOURCE, ": it was killed, likely out of memory"),
}


def _from_signal(signal: int, what: str) -> TaskError:
    if signal == 9:
        kind, meaning = ErrorKind.RESOURCE, "; nobody here sent it, so likely the machine was out of memory"
    else:
        kind, meaning = ErrorKind.LOGIC, {11: " (segmentation fault)", 6: " (abort)"}.get(signal, "")
    return TaskError(type=f"signal {signal}", kind=kind, message=f"{what} was killed by signal {signal}{meaning}.")


def timed_out(seconds: float) -> TaskError:
    """The wall clock ran out."""
    return TaskError(
        type="TimeoutError",
        kind=ErrorKind.TIMEOUT,
        message=f"It ran longer than its timeout of {seconds:g} s and was ended.",
    )


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _clip_middle(text: str, limit: int) -> str:
    """The head and, because that is where the cause stands, most of the tail."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}\n  … {len(text) - limit} characters left out …\n{text[-(limit - head - 60) :]}"
