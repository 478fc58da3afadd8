"""A database of its own on the local MariaDB or MySQL, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest

HOST, PORT = "127.0.0.1", 3306


@contextmanager
def database() -> Iterator[tuple[str, Any]]:
    """Its name, and a cursor that looks into it. The test is skipped where no server answers."""
    try:
        link = pymysql.connect(host=HOST, port=PORT, user="root", autocommit=True, connect_timeout=5)
    except pymysql.err.OperationalError as error:
        pytest.skip(f"no MySQL or MariaDB with an open root account on {HOST}:{PORT} ({error.args[0]})")
    name = f"penstock_{secrets.token_hex(6)}"
    cursor = link.cursor()
    cursor.execute(f"CREATE DATABASE {name}")
    try:
        cursor.execute(f"USE {name}")
        yield name, cursor
    finally:
        cursor.execute(f"DROP DATABASE {name}")
        link.close()
