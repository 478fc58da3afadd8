"""Data: watermarks, datasets with their versions, touches and edges, circuit breakers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _watermarks()
    _datasets()
    _column_sets()
    _dataset_versions()
    _dataset_touches()
    _dataset_edges()
    _breakers()


def _watermarks() -> None:
    op.create_table(
        "watermarks",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("producer", ID, nullable=False),
        sa.Column("source", ID, nullable=False),
        sa.Column("consumer", ID, nullable=False),
        sa.Column("value", sa.Text()),
        sa.Column("watermark_column", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("resets", sa.Integer(), nullable=False),
        sa.Column("run_id", ID),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("updated_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("profile", "pipeline_id", "producer", "source", "consumer"),
    )


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("columns_hash", sa.Text(), nullable=False),
        sa.Column("rows", NUMBER),
        sa.Column("bytes", NUMBER),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("last_read", NUMBER),
        sa.Column("last_written", NUMBER),
        sa.Column("last_touched", NUMBER, nullable=False),
        sa.Column("written_by", sa.Text()),
        sa.PrimaryKeyConstraint("profile", "name"),
    )
    op.create_index("datasets_by_time", "datasets", ["profile", "last_touched"])


def _column_sets() -> None:
    op.create_table(
        "column_sets",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )


def _dataset_versions() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("columns_hash", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("profile", "name", "version"),
    )


def _dataset_touches() -> None:
    op.create_table(
        "dataset_touches",
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("dataset", ID, nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("rows", NUMBER),
        sa.Column("bytes", NUMBER),
        sa.Column("columns_hash", sa.Text(), nullable=False),
        sa.Column("transformation", sa.Text(), nullable=False),
        sa.Column("parts", sa.Text()),
        sa.Column("part_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("touches_by_dataset", "dataset_touches", ["profile", "dataset", "direction", "seq"])
    op.create_index("touches_by_run", "dataset_touches", ["run_id", "seq"])


def _dataset_edges() -> None:
    op.create_table(
        "dataset_edges",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("source", ID, nullable=False),
        sa.Column("target", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("transformation", sa.Text(), nullable=False),
        sa.Column("first_seen", NUMBER, nullable=False),
        sa.Column("last_seen", NUMBER, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("profile", "source", "target", "pipeline_id", "task_id"),
    )
    op.create_index("edges_by_target", "dataset_edges", ["profile", "target"])


def _breakers() -> None:
    op.create_table(
        "breakers",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("connection", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "connection"),
    )
