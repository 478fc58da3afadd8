"""The tables of the state store, once, for SQLite and PostgreSQL; those about data are in `schema_data`.

Law: the two say what the newest revision looks like; `migrations/` says how to get there, and a test compares
the two. Indexes are in `indexes`. Instants are integer microseconds since 1970 (sortable, exact, cheap),
open-ended values are JSON text. `map_index` is -1 for a task that is not mapped and `profile` is '' for none, so
that unique keys hold (NULLs are all different). Only columns that a query filters, sorts or counts by have to be
columns; what is merely carried along rides in `detail`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

REVISION = "0003"  # of this program
KNOWN_REVISIONS = ("0001", "0002", "0003")  # oldest first; what this program can read or bring up to date

ACTIVE_RUN = ("PENDING", "RUNNING")
LIVE_ATTEMPT = ("SUBMITTED", "RUNNING")
FAILED_ATTEMPTS = ("FAILED", "LOST")
HELD_TASK = ("QUEUED", "RUNNING", "RETRYING")
OPEN_LETTER = ("new", "in_progress")

metadata = MetaData()

# Ids are compared byte by byte everywhere, so that a prefix is a range of the index on PostgreSQL too.
Id = Text().with_variant(Text(collation="C"), "postgresql")
Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER
Instant = Number


def _among(column: str, values: tuple[str, ...]) -> TextClause:
    """Spelt out: SQLite uses a partial index only for a query that repeats its very condition."""
    listed = ", ".join(f"'{value}'" for value in values)
    return text(f"{column} IN ({listed})")


LIVE = _among("state", LIVE_ATTEMPT)
HELD = _among("state", HELD_TASK)
OPEN = _among("status", OPEN_LETTER)
FAILED = _among("state", FAILED_ATTEMPTS)
FAILED_ATTEMPT = _among("attempts.state", FAILED_ATTEMPTS)  # where it stands beside other tables
HOOK_DUE = text("type = 'hook.due'")


pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("pipeline_id", Id, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("file", Text),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("pipeline_id", "hash", name="versions_by_hash"),
)

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("pipeline_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("triggered_by", Text, nullable=False),
    Column("triggered_at", Instant, nullable=False),
    Column("logical_date", Instant, nullable=False),
    Column("data_interval_start", Instant, nullable=False),
    Column("data_interval_end", Instant, nullable=False),
    Column("profile", Text, nullable=False),
    Column("parameters", Text),
    Column("event", Text),
    Column("selection", Text),
    Column("parent_execution", Id),
    Column("retry_of", Id),
    Column("slot", Instant),
    Column("state", Text, nullable=False),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("priority", Integer, nullable=False),
    Column("scope", Text),
    Column("cancelled_by", Text),
    Column("reason", Text),
    Column("row_version", Integer, nullable=False),
    UniqueConstraint("pipeline_id", "profile", "slot", name="runs_by_slot"),
    ForeignKeyConstraint(
        ["pipeline_id", "version"],
        ["pipeline_versions.pipeline_id", "pipeline_versions.version"],
        name="runs_pin_a_version",
    ),
)

task_executions = Table(
    "task_executions",
    metadata,
    Column("execution_id", Id, primary_key=True),
    Column("run_id", Id, nullable=False),
    Column("pipeline_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("item", Text),
    Column("retry_of", Id),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("attempt_count", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("pokes", Integer, nullable=False),
    Column("queued_at", Instant),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("next_retry_at", Instant),
    Column("first_started_at", Instant),
    Column("error", Text),
    Column("metrics", Text),
    Column("outputs", Text),
    Column("detail", Text),
    Column("row_version", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),  # place among those created together: definition order
    Column("current", Integer, nullable=False),  # 1: the latest of its task and map index; 0: history
    UniqueConstraint("run_id", "task_id", "map_index", "sequence", name="executions_by_run"),
    ForeignKeyConstraint(["run_id"], ["pipeline_runs.run_id"], name="executions_have_a_run"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("token", Id, primary_key=True),
    Column("execution_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("epoch", Number, nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("pid", Number),
    Column("pid_started", Double),
    Column("exit_code", Number),
    Column("signal", Integer),
    Column("error", Text),
    Column("cpu_seconds", Double),
    Column("peak_mb", Double),
    Column("read_bytes", Number),
    Column("write_bytes", Number),
    Column("heartbeat_at", Instant),
    Column("log", Text),
    Column("poke", Integer, nullable=False),
)

transitions = Table(
    "transitions",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("execution_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message", Text),
    sqlite_with_rowid=False,  # one tree, in the order it is read
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("execution_id", Id, primary_key=True),
    Column("since", Instant, primary_key=True, autoincrement=False),
    Column("code", Text, primary_key=True),
    Column("sentence", Text, nullable=False),
    Column("holders", Text),
    Column("expected", Instant),
    Column("until", Instant),  # NULL: it holds now
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),  # given by the writer: no gaps, never reused
    Column("type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("pipeline_id", Id),
    Column("run_id", Id),
    Column("task_id", Id),
    Column("correlation_id", Text),
    Column("payload", Text),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Id, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("pipeline_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("execution_id", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("error_type", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("failed_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("requeued_as", Id),
    Column("content", Text, nullable=False),  # parameters, config, retry policy, errors, history
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("map_index", Integer, primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
    Column("digest", Text, nullable=False),  # a damaged value is none at all, never a wrong one
    Column("at", Instant, nullable=False),
    Column("attempt_token", Id, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text),
    Column("session", Text),
    Column("event_type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("details", Text),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("pipeline_id", Id, primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("cron_key", Text, nullable=False),
    Column("last_slot", Instant),
    Column("next_fire", Instant),
    Column("paused", Integer, nullable=False),
    Column("paused_by", Text),
    Column("pause_reason", Text),
    Column("paused_at", Instant),
    Column("skipped", Integer, nullable=False),
    Column("last_skip_reason", Text),
    Column("updated_at", Instant),
)

definition_status = Table(
    "definition_status",
    metadata,
    Column("file", Text, primary_key=True),
    Column("pipeline_id", Text, nullable=False),
    Column("problems", Text),
    Column("since", Instant, nullable=False),
)

task_metrics = Table(
    "task_metrics",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("map_index", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("at", Instant, primary_key=True, autoincrement=False),
    Column("value", Double),
    sqlite_with_rowid=False,
)

leadership = Table(  # one row: the fence, and the heads of everything that is numbered
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Number, nullable=False),
    Column("holder", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("commits", Number, nullable=False),
    Column("event_seq", Number, nullable=False),
    Column("transition_seq", Number, nullable=False),
    Column("audit_seq", Number, nullable=False),  # a tail that was cut off is missed by this head
    Column("audit_hash", Text, nullable=False),
)

commit_ids = Table(  # a ring: the last 64 commits, so that one whose reply was lost is not made twice
    "commit_ids",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("commit_id", Text, nullable=False),
    Column("event_seq", Number, nullable=False),
    UniqueConstraint("commit_id", name="commits_by_id"),
)
COMMIT_IDS_KEPT = 64

health_check_temp = Table(
    "health_check_temp",
    metadata,
    Column("at", Instant, primary_key=True, autoincrement=False),
)
