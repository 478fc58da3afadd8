"""The warehouse of the samples: one SQLite file, as the connection `warehouse` says."""

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    number TEXT PRIMARY KEY, day TEXT, region TEXT, customer TEXT, cents INTEGER, currency TEXT);
CREATE TABLE IF NOT EXISTS takings (day TEXT, till TEXT, cents INTEGER, PRIMARY KEY (day, till));
CREATE TABLE IF NOT EXISTS rates (day TEXT, currency TEXT, rate REAL, PRIMARY KEY (day, currency));
CREATE TABLE IF NOT EXISTS stock (day TEXT, site TEXT, sku TEXT, pieces INTEGER, PRIMARY KEY (day, site, sku));
"""


@contextmanager
def transaction(ctx):
    """All or nothing: a load that dies half-way leaves nothing behind, so that it can simply be tried again."""
    path = Path(ctx.connection("warehouse").config["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as database:
        database.executescript(TABLES)
        with database:
            yield database
