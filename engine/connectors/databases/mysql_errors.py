"""What goes wrong with MySQL and MariaDB, said kindly.

Law: the server's number decides the kind; its words are repeated without values of rows, and never the statement.
A server that cannot be trusted is told from one that is away, although the driver has one number for both.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pymysql

from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    ResourceExhaustion,
    TaskFailure,
    TimeoutFailure,
)

_NUMBERS: Mapping[type[TaskFailure], tuple[int, ...]] = {
    PermissionFailure: (1044, 1045, 1142, 1143, 1227, 1290, 1370, 1698, 1836, 1873),
    # lost, refused, unreachable; deadlock and lock waits are worth another try as well
    NetworkError: (1053, 1152, 1156, 1158, 1159, 1160, 1161, 1184, 1213, 2002, 2003, 2005, 2006, 2013, 2055, 4031),
    TimeoutFailure: (1205, 1969, 3024),
    ResourceExhaustion: (1021, 1037, 1038, 1040, 1041, 1114, 1135, 1153, 1203, 1206, 1226, 3185),
    DataQualityError: (
        *(1048, 1062, 1216, 1217, 1264, 1265, 1292, 1364, 1365, 1366, 1406, 1411, 1451, 1452, 1525, 1526),
        *(1586, 1690, 3140, 3141, 3156, 3819, 4025, 1022, 1261, 1262),
    ),
}
_KINDS: Mapping[int, type[TaskFailure]] = {number: kind for kind, numbers in _NUMBERS.items() for number in numbers}
_VALUE = re.compile(
    r"((?:[Dd]uplicate entry|[a-z]+ value:?|near)) '.*'(?= for (?:key|column|function)|: | at line|$)"
)
_REMEDIES: Mapping[int, str] = {
    1040: "The server has no connection left; put the tasks that use it into a pool.",
    1045: "Check user and password of the connection, and whether the server wants TLS or a certificate.",
    1698: "Check user and password of the connection.",
    1049: "Check `database` of the connection.",
    1153: "Raise max_allowed_packet on the server, or lower `batch_rows`.",
    1205: "Another session holds the rows.",
    2003: "Check host and port, and that the server runs.",
    2026: "Give the server a certificate; `ssl: false` would talk to it in the clear.",
}
_BROKEN = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)  # the line, not the certificate
UNTRUSTED = " The server may not trust who signed the certificate of `ssl_cert`."


def failure(error: BaseException, name: str, what: str = "") -> TaskFailure:
    """The failure that an error of the driver stands for."""
    number, words = _told(error)
    place = f"Connection '{name}'" + (f", {what}" if what else "")
    unsafe = getattr(error, "original_exception", error)  # of the driver: what connecting failed with
    if isinstance(unsafe, ssl.SSLError) and not isinstance(unsafe, _BROKEN):
        return NetworkError(f"{place}: the server could not be reached safely ({_distrust(unsafe)}")
    kind = _KINDS.get(number) or (NetworkError if number == 0 else ConfigurationError)
    remedy = _REMEDIES.get(number)
    said = without_values(words)
    return kind(f"{place}: {said}{'.' if remedy and said[-1:] != '.' else ''}{f' {remedy}' if remedy else ''}")


def _distrust(error: ssl.SSLError) -> str:
    """Why encryption failed, and what helps where it is a certificate."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or "no reason was given"
        return f"{reason}).{UNTRUSTED if 'UNKNOWN_CA' in reason or 'CERTIFICATE' in reason else ''}"
    reason = error.verify_message.rstrip(".")
    if "not valid for" in reason:
        return f"{reason}). `host` is to be a name that the server's certificate was made out to."
    return f"{reason}). An authority of your own is named by `ssl_ca: FILE`."


def _told(error: BaseException) -> tuple[int, str]:
    given = error.args
    if len(given) >= 2 and isinstance(given[0], int):
        return given[0], str(given[1])
    # Without a number: the socket broke, or the driver found the connection closed.
    return 0, str(given[0]) if given and given[0] else "the connection was lost"


def without_values(words: str) -> str:
    """A message without what a row or a statement holds."""
    return _VALUE.sub(r"\1 (not shown)", " ".join(words.split()))[:400]


@contextmanager
def failures(name: str, what: str = "") -> Iterator[None]:
    """The driver's errors as ours. `what`: the object that is read or written."""
    try:
        yield
    except (pymysql.err.Error, OSError) as error:
        raise failure(error, name, what) from error
