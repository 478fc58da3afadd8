"""What the processes that attempts are forked from have loaded before any of them begins."""

from __future__ import annotations

LIGHT = ("engine.tasks.shell", "engine.tasks.python")
# What attempts on data would each load for themselves, in a third of a second: Arrow, DuckDB, the client of
# PostgreSQL, and all that moves rows. None of them starts a thread that a fork would miss.
HEAVY = (
    *("pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "duckdb", "psycopg"),
    *("engine.dataflow.conform", "engine.dataflow.newer", "engine.dataflow.staging"),
    *("engine.tasks.extract", "engine.tasks.load", "engine.tasks.saga", "engine.connectors.registry"),
    # Those of every installation: imported in each attempt, they would be a tenth of a second of it.
    *("engine.connectors.files.connector", "engine.connectors.databases.sqlite"),
    *("engine.connectors.databases.postgresql", "engine.connectors.databases.duckdb"),
)
