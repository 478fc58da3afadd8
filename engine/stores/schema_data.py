"""The tables about data: watermarks, datasets, what touched them, what was made from what, breakers.

Law: as in `schema`, whose metadata they share. None of them hangs on a run: they are kept longer than runs. A list
of columns is stored once, under its hash, however often it is seen again.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from engine.stores.schema import Id, Instant, Number, metadata

watermarks = Table(
    "watermarks",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("pipeline_id", Id, primary_key=True),
    Column("producer", Id, primary_key=True),
    Column("source", Id, primary_key=True),
    Column("consumer", Id, primary_key=True),
    Column("value", Text),  # NULL: from the beginning
    Column("watermark_column", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("resets", Integer, nullable=False),
    Column("run_id", Id),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("name", Id, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("columns_hash", Text, nullable=False),  # '': unknown
    Column("rows", Number),
    Column("bytes", Number),
    Column("created_at", Instant, nullable=False),
    Column("last_read", Instant),
    Column("last_written", Instant),
    Column("last_touched", Instant, nullable=False),
    Column("written_by", Text),  # pipeline, run, task
)

column_sets = Table(
    "column_sets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("columns", Text, nullable=False),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("name", Id, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("columns_hash", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("pipeline_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
)

dataset_touches = Table(
    "dataset_touches",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),  # given by the writer
    Column("profile", Text, nullable=False),
    Column("dataset", Id, nullable=False),
    Column("direction", Text, nullable=False),
    Column("pipeline_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("uri", Text, nullable=False),
    Column("rows", Number),
    Column("bytes", Number),
    Column("columns_hash", Text, nullable=False),
    Column("transformation", Text, nullable=False),
    Column("parts", Text),
    Column("part_count", Integer, nullable=False),
)

dataset_edges = Table(
    "dataset_edges",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("source", Id, primary_key=True),
    Column("target", Id, primary_key=True),
    Column("pipeline_id", Id, primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("transformation", Text, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("run_id", Id, nullable=False),
)

breakers = Table(
    "breakers",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("connection", Id, primary_key=True),
    Column("state", Text, nullable=False),
)
