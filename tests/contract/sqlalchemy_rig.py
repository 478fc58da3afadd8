"""Databases of their own that SQLAlchemy speaks to: a SQLite file, MySQL or MariaDB, PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from engine.model.workspace import Connection
from tests.contract.load_rig import LoadRig
from tests.contract.mysql_rig import HOST, PORT, database

KINDS = ("sqlite", "mysql", "postgresql")


@contextmanager
def rig_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[LoadRig]:
    """A rig of one kind."""
    if kind == "sqlite":
        yield from _sqlite(folder)
    elif kind == "mysql":
        yield from _mysql(folder)
    else:
        yield from _postgresql(folder, request.getfixturevalue("postgres_url"))


def own_tables(rig: LoadRig) -> list[str]:
    """The tables beside the target that are ours."""
    engine = sa.create_engine(rig.connection.config["url"])
    names = sa.inspect(engine).get_table_names()
    engine.dispose()
    return sorted(each for each in names if each.startswith("_penstock_"))


def connection(url: str, **config: Any) -> Connection:
    """A connection to this URL."""
    return Connection(id="base", type="sqlalchemy", config={"url": url, **config})


def _sqlite(folder: Path) -> Iterator[LoadRig]:
    file = folder / "any.db"

    def asked(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(file)) as link, link:
            return link.execute(query).fetchall()

    found = LoadRig(connection=connection(f"sqlite:///{file}"), root=folder, rows=asked)
    yield found
    found.close()


def _mysql(folder: Path) -> Iterator[LoadRig]:
    with database() as (name, cursor):

        def asked(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        url = f"mysql+pymysql://root@{HOST}:{PORT}/{name}?charset=utf8mb4"
        found = LoadRig(connection=connection(url), root=folder, rows=asked)
        yield found
        found.close()


def _postgresql(folder: Path, url: str) -> Iterator[LoadRig]:
    with psycopg.connect(url, autocommit=True) as link:

        def asked(query: str) -> list[tuple[Any, ...]]:
            cursor = link.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

        found = LoadRig(connection=connection(f"postgresql+psycopg{url[10:]}"), root=folder, rows=asked)
        yield found
        found.close()
