"""CREATE TABLE AS, checked and swapped in: DuckDB here, Snowflake with another profile."""

import re

from loads.pace import work

from engine.sdk import ConfigurationError, Context, DataQualityError

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def run_ctas(ctx: Context, table_params, snowflake_conn, raw_rows):
    """Build <schema>.temp_<table>, refuse it when it has no rows, make it <schema>.<table>."""
    schema, table = _name(table_params["schema"]), _name(table_params["table"])
    new, real = f"{schema}.temp_{table}", f"{schema}.{table}"
    connection = ctx.connection(snowflake_conn)
    warehouse = _opened(connection)
    try:
        run = warehouse.execute
        if connection.type == "duckdb":
            _stand_in(run, raw_rows)
        run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        run(f"CREATE OR REPLACE TABLE {new} AS {table_params['sql']}")
        work(1)
        rows = run(f"SELECT count(*) FROM {new}").fetchone()[0]
        ctx.metric("rows", rows)
        if rows == 0:
            raise DataQualityError(f"{new} has no rows; {real} stays as it is. Look whether the raw data arrived.")
        _swap(run, connection.type, schema, table)
    finally:
        warehouse.close()
    ctx.log.info("%s has %s rows.", real, rows)
    return {"table": real, "rows": rows}


def _swap(run, kind, schema, table):
    """In one step: whoever reads sees the old table or the new one."""
    if kind == "snowflake":
        run(f"CREATE OR REPLACE TABLE {schema}.{table} CLONE {schema}.temp_{table}")
        run(f"DROP TABLE {schema}.temp_{table}")
        return
    run("BEGIN")
    run(f"DROP TABLE IF EXISTS {schema}.{table}")
    run(f"ALTER TABLE {schema}.temp_{table} RENAME TO {table}")
    run("COMMIT")


def _stand_in(run, rows):
    """Raw data for a warehouse that has none: sessions of some hundred users over three months."""
    run("CREATE SCHEMA IF NOT EXISTS raw_data")
    run(
        "CREATE OR REPLACE TABLE raw_data.user_session_channel AS "
        "SELECT i * 7919 % 400 AS userid, 's' || i AS sessionid, "
        "['Google', 'Organic', 'Naver', 'Youtube'][i % 4 + 1] AS channel FROM range(?) t(i)",
        [rows],
    )
    run(
        "CREATE OR REPLACE TABLE raw_data.session_timestamp AS "
        "SELECT 's' || i AS sessionid, TIMESTAMP '2025-01-01' + to_hours(CAST(i * 97 % 2160 AS INTEGER)) AS ts "
        "FROM range(?) t(i)",
        [rows],
    )


def _opened(connection):
    config = connection.config
    if connection.type == "duckdb":
        from pathlib import Path

        import duckdb

        Path(config["path"]).parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(config["path"])
    if connection.type == "snowflake":
        import snowflake.connector

        given = {key: value for key, value in config.items() if key not in ("timeout_seconds", "pool")}
        return snowflake.connector.connect(**given).cursor()
    raise ConfigurationError(f"run_ctas needs a connection of type duckdb or snowflake, not {connection.type}.")


def _name(given):
    if not isinstance(given, str) or not NAME.match(given):
        raise ConfigurationError(f"'{str(given)[:80]}' is no name of a schema or table.")
    return given
