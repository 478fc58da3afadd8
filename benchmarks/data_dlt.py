"""CSV into DuckDB and PostgreSQL, beside dlt: `python -m benchmarks.data_dlt [ROWS]`.

Prints one JSON line per destination. Wanted: 2 times dlt's rows per second into DuckDB, 5 times into PostgreSQL.
Both read the same file; the rounds alternate, and the median of each counts. Into DuckDB once with the order of
rows kept, which counts, and once with `row_order: any`; into PostgreSQL with values checked, into a table.
dlt has an environment of its own (`make rivals`), or is where PENSTOCK_DLT_PYTHON says. The server is
PENSTOCK_TEST_POSTGRES, else postgresql://postgres@127.0.0.1:5432/postgres.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.data_duckdb import TYPES, write
from benchmarks.data_postgres import database
from benchmarks.loads import attempt, load
from engine.executors.local import ARROW
from engine.model.workspace import Connection

ROWS = 1_000_000
ROUNDS = 5
DLT = os.environ.get("PENSTOCK_DLT_PYTHON") or ".venv-rivals/bin/python"

Figures = Mapping[str, float]


def main(rows: int) -> int:
    """Measure; the number of figures missed."""
    if not Path(DLT).exists():
        print(json.dumps({"benchmark": "data_dlt", "skipped": f"no {DLT}: `make rivals` makes it"}))
        return 0
    with tempfile.TemporaryDirectory() as folder, database() as url:
        file = Path(folder) / "customers.csv"
        write(file, rows)
        missed = _beside("csv_to_duckdb", file, ("dlt:duckdb", "kept", "any"), "kept", 2.0)
        return missed + _beside("csv_to_postgres", file, ("dlt:postgres", "postgres"), "postgres", 5.0, url)


def _beside(name: str, file: Path, ways: Sequence[str], counts: str, wanted: float, url: str = "") -> int:
    """Every way, round by round. One that misses what is wanted is 1."""
    found: dict[str, list[Figures]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            found[way].append(_child(way, file, url))
    rate = {way: median(each["rows"] / each["seconds"] for each in found[way]) for way in ways}
    ratio = rate[counts] / rate[ways[0]]
    line = {
        **{f"{way}_rows_per_second": round(each) for way, each in rate.items()},
        **{f"{way}_peak_mb": max(each["peak_mb"] for each in found[way]) for way in ways},
    }
    rows = found[ways[0]][0]["rows"]
    print(
        json.dumps({"benchmark": name, "rows": rows, **line, "ratio_to_dlt": round(ratio, 2), "at_least": wanted}),
        flush=True,
    )
    return int(ratio < wanted)


def _child(way: str, file: Path, url: str) -> Figures:
    """One load into a table that is new, in a process of its own."""
    target = url or str(file.with_suffix(".duckdb"))
    _clear(target)
    if way.startswith("dlt:"):
        command = [DLT, "benchmarks/dlt_child.py", way.removeprefix("dlt:"), str(file), target]
    else:
        command = [sys.executable, "-m", "benchmarks.data_dlt", "--child", way, str(file), target]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**ARROW, **os.environ})
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found: Figures = json.loads(done.stdout)
    return found


def _clear(target: str) -> None:
    if "://" not in target:
        Path(target).unlink(missing_ok=True)
        return
    import psycopg

    with psycopg.connect(target, autocommit=True) as link:
        link.execute("DROP SCHEMA IF EXISTS dlt_bench CASCADE")
        link.execute("DROP TABLE IF EXISTS customers")
        link.execute(f"CREATE TABLE customers ({TYPES})")
        link.execute("CHECKPOINT")


def ours(way: str, file: Path, target: str) -> None:
    """In a child: one `load`, as JSON. `way`: what becomes of the order of rows in DuckDB, or postgres."""
    source = {"connection": "files", "path": file.name, "types": {"amount": "decimal(12,2)"}}
    if way == "postgres":
        connection = Connection(id="db", type="postgresql", config={"url": target})
    else:
        connection = Connection(id="db", type="duckdb", config={"path": target, "row_order": way})
    order = {"source": source, "connection": "db", "target": "customers"}
    print(json.dumps(attempt(lambda: load(order, file.parent, connection))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        ours(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
