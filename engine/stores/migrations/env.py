"""Alembic's entry: the connection comes from `engine.stores.migrate`, which also owns the transaction."""

from __future__ import annotations

from alembic import context

from engine.stores.indexes import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by making another
)
context.run_migrations()
