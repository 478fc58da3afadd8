"""Dump a table into a CSV file, or put such a file into a table: SQLite, or PostgreSQL through psycopg.

    replicate.py dump CONNECTION FILE        replicate.py copy CONNECTION FILE

The connections are read from $PENSTOCK_CONNECTIONS, where a shell task finds those it lists."""

import csv
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

TABLE = "orders_001"
SOURCE = "orders"
COLUMNS = "id, customer, email, status, total, currency, paid, ordered_at, note"
SHAPE = (
    "id INTEGER PRIMARY KEY, customer TEXT, email TEXT, status TEXT, total NUMERIC(10,2), currency TEXT, "
    "paid BOOLEAN, ordered_at TIMESTAMP, note TEXT"
)


def main(action, connection, name):
    known = json.loads(Path(os.environ["PENSTOCK_CONNECTIONS"]).read_text(encoding="utf-8"))
    file = Path(known["local_fs"]["path"]) / name
    with closing(opened(known[connection])) as database:
        rows = dump(database, file) if action == "dump" else copy(database, file)
    print(f"{rows} rows")
    with open(os.environ["PENSTOCK_OUTPUT"], "a", encoding="utf-8") as outputs:
        outputs.write(json.dumps({"rows": rows, "file": str(file)}) + "\n")


def opened(config):
    if config["type"] == "sqlite":
        Path(config["path"]).parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(config["path"], timeout=30)
    import psycopg

    return psycopg.connect(
        host=config.get("host"), port=config.get("port"), dbname=config.get("database"),
        user=config.get("user"), password=config.get("password"),
    )  # fmt: skip


def dump(database, file):
    """Into a file beside the real one, which takes its place when all of it is there."""
    cursor = database.cursor()
    cursor.execute(f"SELECT {COLUMNS} FROM {SOURCE} ORDER BY id")
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    rows = 0
    with partial.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS.split(", "))
        for row in cursor:
            writer.writerow(row)
            rows += 1
    partial.rename(file)
    return rows


def copy(database, file):
    """In one transaction: the table is as before, or has what the file has."""
    mark = "?" if isinstance(database, sqlite3.Connection) else "%s"
    marks = ", ".join([mark] * len(COLUMNS.split(", ")))
    cursor = database.cursor()
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} ({SHAPE})")
    cursor.execute(f"DELETE FROM {TABLE}")
    rows = 0
    with file.open(encoding="utf-8", newline="") as given:
        for record in csv.DictReader(given):
            values = [value if value != "" else None for value in record.values()]
            cursor.execute(f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({marks})", values)
            rows += 1
    database.commit()
    return rows


if __name__ == "__main__":
    main(*sys.argv[1:])
