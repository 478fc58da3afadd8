"""CSV to Parquet, by the file connector and by DuckDB's own COPY: `python -m benchmarks.data_files [MILLIONS ...]`.

Prints one JSON line per size. Both read the same generated file, each in a process of its own, one after the other;
of several rounds the fastest counts. The ratio is DuckDB's time over ours; peaks are resident megabytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = 2
TARGET_RATIO, TARGET_MB = 0.5, 256
_ROWS = """
    SELECT i AS id,
           'customer ' || (i * 7919 % 1000003) AS customer,
           'user' || i || '@example.com' AS email,
           (i * 37 % 1000000) / 100.0 AS amount,
           TIMESTAMP '2024-01-01 00:00:00' + to_seconds(i % 31536000) AS created_at,
           i % 3 = 0 AS active,
           CASE WHEN i % 10 = 0 THEN NULL ELSE 'a note, with a comma ' || (i % 97) END AS note
    FROM range({rows}) numbers(i)
"""


def main(millions: list[int]) -> int:
    """Measure each size; the number of figures missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for size in millions:
            missed += _measure(Path(folder), size * 1_000_000)
    return missed


def _measure(folder: Path, rows: int) -> int:
    source = folder / "rows.csv"
    _generate(source, rows)
    rounds = [{way: _child(way, source, folder / f"{way}.parquet") for way in WAYS} for _ in range(ROUNDS)]
    best = {way: min((one[way] for one in rounds), key=lambda found: float(found["seconds"])) for way in WAYS}
    ours, theirs = best["penstock"], best["duckdb"]
    figures = {
        "benchmark": "data_files",
        "rows": rows,
        "file_mb": round(source.stat().st_size / 1e6),
        "rows_per_second": round(rows / ours["seconds"]),
        "duckdb_rows_per_second": round(rows / theirs["seconds"]),
        "ratio": round(theirs["seconds"] / ours["seconds"], 2),
        "peak_mb": max(one["penstock"]["peak_mb"] for one in rounds),
        "cpu_seconds": ours["cpu"],
        "duckdb_cpu_seconds": theirs["cpu"],
    }
    print(json.dumps(figures), flush=True)
    return (figures["ratio"] < TARGET_RATIO) + (figures["peak_mb"] > TARGET_MB)


def _generate(path: Path, rows: int) -> None:
    copy = f"COPY ({_ROWS.format(rows=rows)}) TO '{path}' (HEADER)"
    code = f"import duckdb; duckdb.sql('SET enable_progress_bar = false'); duckdb.sql({copy!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def _child(way: str, source: Path, target: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.data_files", way, str(source), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _penstock(source: Path, target: Path) -> int:
    from engine.connectors.files.connector import connect
    from engine.model.workspace import Connection
    from engine.ports.destination import Mode, Order
    from engine.ports.source import Selection

    files = connect(Connection(id="files", type="file", config={}), source.parent)
    target.unlink(missing_ok=True)
    reading = files.read(Selection(path=source.name))
    loaded = files.load(reading, Order(token=str(time.time_ns()), target=target.name, mode=Mode.REPLACE))
    reading.close()
    return loaded.rows


def _duckdb(source: Path, target: Path) -> int:
    import duckdb

    duckdb.sql("SET enable_progress_bar = false")
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)")
    return int(duckdb.sql(f"SELECT count(*) FROM '{target}'").fetchall()[0][0])


WAYS = {"penstock": _penstock, "duckdb": _duckdb}


def _run(way: str, source: Path, target: Path) -> None:
    begun = time.perf_counter()
    rows = WAYS[way](source, target)
    seconds = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": round(seconds, 3),
                "cpu": round(time.process_time(), 2),
                "peak_mb": int(status.split()[0]) // 1024,
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in WAYS:
        _run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(main([int(each) for each in sys.argv[1:]] or [1, 10]))
