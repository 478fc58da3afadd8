"""CSV into PostgreSQL and PostgreSQL into Parquet: `python -m benchmarks.data_postgres [MILLIONS ...]`.

Prints one JSON line per size. `raw` appends a file with columns mapped one to one, as the `load` task does it,
beside psql's own copy of the same file; `checked` looks at every value (`columns` with types); `parquet` reads the
table into a file, beside ADBC handing its rows out. What the zygote of data attempts has loaded is loaded first.
Each measurement is a process and a table of its own; of several rounds the median counts. The server is
PENSTOCK_TEST_POSTGRES, else postgresql://postgres@127.0.0.1:5432/postgres.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from benchmarks.loads import attempt, load
from engine.executors.local import ARROW
from engine.model.workspace import Connection

SERVER = os.environ.get("PENSTOCK_TEST_POSTGRES") or "postgresql://postgres@127.0.0.1:5432/postgres"
ROUNDS = 3
TABLE = (
    "CREATE TABLE {} (id bigint, customer text, email text, amount numeric(12,2), quantity bigint, "
    "active boolean, created_at timestamp, note text)"
)
ROWS = """
    SELECT i AS id, 'customer ' || (i * 7919 % 1000003) AS customer, 'user' || i || '@example.com' AS email,
           CAST((i * 37 % 1000000) / 100.0 AS DECIMAL(12,2)) AS amount, i % 50 AS quantity, i % 3 = 0 AS active,
           TIMESTAMP '2024-01-01 00:00:00' + to_seconds(i % 31536000) AS created_at,
           CASE WHEN i % 10 = 0 THEN NULL ELSE 'a note, with a comma ' || (i % 97) END AS note
    FROM range({rows}) numbers(i)
"""
COLUMNS = {
    "id": {"from": "id", "type": "integer"},
    "customer": {"from": "customer", "type": "string"},
    "email": {"from": "email", "type": "string"},
    "amount": {"from": "amount", "type": "decimal(12,2)"},
    "quantity": {"from": "quantity", "type": "integer"},
    "active": {"from": "active", "type": "boolean"},
    "created_at": {"from": "created_at", "type": "timestamp"},
    "note": {"from": "note", "type": "string"},
}


def main(millions: list[int]) -> int:
    """Measure each size; the number of figures missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder, database() as url:
        for size in millions:
            missed += _measure(Path(folder), url, size * 1_000_000)
    return missed


def _measure(folder: Path, url: str, rows: int) -> int:
    source = folder / "rows.csv"
    copy = f"COPY ({ROWS.format(rows=rows)}) TO '{source}' (HEADER)"
    generate = f"import duckdb; duckdb.sql('SET enable_progress_bar = false'); duckdb.sql({copy!r})"
    subprocess.run([sys.executable, "-c", generate], check=True)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            found[way].append(_child(way, source, url))
            assert found[way][-1]["rows"] == rows, (way, found[way][-1])
    rate = {way: round(rows / median(each["seconds"] for each in all_of)) for way, all_of in found.items()}
    ratios = {
        "raw_to_psql": (round(rate["raw"] / rate["psql"], 2), 0.9),
        "checked_to_psql": (round(rate["checked"] / rate["psql"], 2), 0.4),
        "parquet_to_adbc": (round(rate["parquet"] / rate["adbc"], 2), 0.7),
    }
    peaks = {f"{way}_peak_mb": max(each["peak_mb"] for each in found[way]) for way in ("raw", "checked", "parquet")}
    line = {"benchmark": "data_postgres", "rows": rows, "file_mb": round(source.stat().st_size / 1e6)}
    print(
        json.dumps(
            {
                **line,
                **{f"{way}_rows_per_second": each for way, each in rate.items()},
                **{name: each for name, (each, _) in ratios.items()},
                **{f"{name}_at_least": each for name, (_, each) in ratios.items()},
                **peaks,
                "peak_mb_at_most": 256,
            }
        ),
        flush=True,
    )
    return sum(each < wanted for each, wanted in ratios.values()) + sum(each > 256 for each in peaks.values())


def _child(way: str, source: Path, url: str) -> dict[str, float]:
    _prepare(way, url)
    command = [sys.executable, "-m", "benchmarks.data_postgres", "--child", way, str(source), url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**ARROW, **os.environ})
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _prepare(way: str, url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as link:
        if way in ("psql", "raw", "checked"):
            link.execute(f"DROP TABLE IF EXISTS t_{way}")
            link.execute(TABLE.format(f"t_{way}"))
        link.execute("CHECKPOINT")


def _psql(source: Path, url: str) -> int:
    copy = f"\\copy t_psql FROM '{source}' WITH (FORMAT csv, HEADER)"
    done = subprocess.run(["psql", url, "-X", "-c", copy], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def _raw(source: Path, url: str) -> int:
    return _load(
        {"source": {"connection": "files", "path": source.name}, "connection": "db", "target": "t_raw"}, source, url
    )


def _checked(source: Path, url: str) -> int:
    rows = {"connection": "files", "path": source.name, "types": {"amount": "decimal(12,2)"}}
    given = {"source": rows, "connection": "db", "target": "t_checked"}
    return _load({**given, "columns": COLUMNS}, source, url)


def _parquet(source: Path, url: str) -> int:
    given = {"source": {"connection": "db", "table": "t_psql"}, "connection": "files", "target": "rows.parquet"}
    return _load({**given, "mode": "replace"}, source, url)


def _adbc(source: Path, url: str) -> int:
    from adbc_driver_postgresql import dbapi

    rows = 0
    with dbapi.connect(url) as link, link.cursor() as cursor:
        cursor.execute("SELECT * FROM t_psql")
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
    return rows


def _load(config: Mapping[str, Any], source: Path, url: str) -> int:
    return load(config, source.parent, Connection(id="db", type="postgresql", config={"url": url}))


WAYS: Mapping[str, Callable[[Path, str], int]] = {
    "psql": _psql,
    "raw": _raw,
    "checked": _checked,
    "adbc": _adbc,
    "parquet": _parquet,
}


def _run(way: str, source: Path, url: str) -> None:
    print(json.dumps(attempt(lambda: WAYS[way](source, url))))


@contextmanager
def database() -> Iterator[str]:
    """A database of its own on the server."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    name = f"penstock_bench_{os.getpid()}"
    with psycopg.connect(SERVER, autocommit=True) as link:
        link.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    try:
        yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(SERVER, autocommit=True) as link:
            link.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _run(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main([int(each) for each in sys.argv[1:]] or [1, 10]))
