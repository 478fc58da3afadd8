"""Which revision a store has, and bringing an older one up to date.

Law: the check costs one small read; Alembic is imported only when there is something to do. A store that is newer
than this program is refused, never touched. A migration is one transaction: it happens whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table, text

from engine.model.errors import StoreUnusable
from engine.stores.schema import KNOWN_REVISIONS, REVISION

_alembic_version = table("alembic_version", column("version_num"))


def revision(connection: Connection) -> str | None:
    """The store's revision; None for an empty one. A database with other tables alone is not ours."""
    names = inspect(connection).get_table_names()
    if "alembic_version" in names:
        found: str | None = connection.execute(select(_alembic_version.c.version_num)).scalar_one_or_none()
        return found
    if connection.dialect.name == "sqlite" and names:
        raise StoreUnusable("This database holds other tables and no Penstock state; correct `state:`.")
    return None


def refuse_newer(found: str, where: str) -> None:
    """StoreUnusable unless this program knows the revision."""
    if found not in KNOWN_REVISIONS:
        raise StoreUnusable(
            f"{where} was written by a newer Penstock (revision {found}; this one knows up to {REVISION})."
            " Upgrade Penstock, or restore a backup made by this version."
        )


def bring_up(connection: Connection, where: str) -> bool:
    """Make the store what this program writes; whether anything had to be done. The caller commits nothing."""
    begin(connection)
    found = revision(connection)
    if found is not None:
        refuse_newer(found, where)
    if found == REVISION:
        connection.rollback()
        return False
    _upgrade(connection)
    connection.commit()
    return True


def begin(connection: Connection) -> None:
    """Have the store to ourselves, so that of two engines starting at once only one migrates."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(7365636)"))


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
