"""CSV into DuckDB by a `load` task, beside DuckDB's own reader: `python -m benchmarks.data_duckdb [ROWS]`.

Prints one JSON line. Wanted: 0.84 million rows a second on two cores (twice dlt by its Arrow path), and a peak
below 256 MB that does not grow with the rows. Each measurement is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.loads import attempt, load
from engine.executors.local import ARROW
from engine.model.workspace import Connection

ROWS = 2_000_000
REPEATS = 3
HEADER = "id,name,email,city,amount,quantity,active,created\n"
TYPES = (
    "id BIGINT, name VARCHAR, email VARCHAR, city VARCHAR, amount DECIMAL(12,2), quantity BIGINT, active BOOLEAN, "
    "created TIMESTAMP"
)


def write(file: Path, rows: int) -> None:
    """About 100 bytes a row, the same every time."""
    with file.open("w") as out:
        out.write(HEADER)
        for at in range(rows):
            out.write(
                f"{at},Customer number {at},customer{at}@example.com,City {at % 1000},{at % 10000}.{at % 100:02},"
                f"{at % 50},{'true' if at % 2 else 'false'},2024-01-{at % 28 + 1:02} {at % 24:02}:00:00\n"
            )


def ours(file: Path, target: Path) -> int:
    """As the `load` task does it."""
    source = {"connection": "files", "path": file.name, "types": {"amount": "decimal(12,2)"}}
    order = {"source": source, "connection": "db", "target": "customers"}
    return load(order, file.parent, Connection(id="db", type="duckdb", config={"path": str(target)}))


def own(file: Path, target: Path) -> int:
    """By DuckDB's reader, in as little memory as it does it with."""
    import duckdb

    with duckdb.connect(target, config={"memory_limit": "96MB", "threads": 2}) as link:
        link.execute(f"CREATE TABLE customers ({TYPES})")
        row = link.execute(f"INSERT INTO customers SELECT * FROM read_csv('{file}')").fetchone()
    return int(row[0]) if row else 0


def measured(way: str, file: Path, target: Path) -> None:
    """In a child: what one load takes, as JSON."""
    print(json.dumps(attempt(lambda: (ours if way == "load" else own)(file, target))))


def best(way: str, file: Path) -> dict[str, float]:
    """The least of several children."""
    found = []
    for at in range(REPEATS):
        target = file.with_name(f"{way}{at}.duckdb")
        command = [sys.executable, "-m", "benchmarks.data_duckdb", "--child", way, str(file), str(target)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**ARROW, **os.environ})
        found.append(json.loads(done.stdout))
        target.unlink()
    fastest: dict[str, float] = min(found, key=lambda one: one["seconds"])
    return {
        "rows_per_second": round(fastest["rows"] / fastest["seconds"]),
        "rows_per_cpu_second": round(fastest["rows"] / min(one["cpu"] for one in found)),
        "peak_mb": max(one["peak_mb"] for one in found),
    }


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        measured(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "customers.csv"
        write(file, rows)
        load_path, theirs = best("load", file), best("own", file)
    ratio = round(load_path["rows_per_second"] / theirs["rows_per_second"], 2)
    figures = {"benchmark": "csv_to_duckdb", "rows": rows, "load": load_path, "read_csv": theirs, "ratio": ratio}
    print(json.dumps({**figures, "wanted_rows_per_second": 840_000, "wanted_peak_mb": 256}))


if __name__ == "__main__":
    main()
