"""The first version: every table of the state, the leadership row, and the triggers that keep the audit trail."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _attempts()
    _audit()
    _checkpoints()
    _commit_ids()
    _dead_letters()
    _definition_status()
    _events()
    _health_check_temp()
    _leadership()
    _pipeline_versions()
    _schedules()
    _task_metrics()
    _transitions()
    _verdicts()
    _pipeline_runs()
    _task_executions()
    _first_leader()
    if op.get_bind().dialect.name == "sqlite":
        _append_only_on_sqlite()
    else:
        _append_only_on_postgresql()


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("token", ID, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", NUMBER, nullable=False),
        sa.Column("submitted_at", NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", NUMBER),
        sa.Column("completed_at", NUMBER),
        sa.Column("pid", NUMBER),
        sa.Column("pid_started", sa.Double()),
        sa.Column("exit_code", NUMBER),
        sa.Column("signal", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("cpu_seconds", sa.Double()),
        sa.Column("peak_mb", sa.Double()),
        sa.Column("read_bytes", NUMBER),
        sa.Column("write_bytes", NUMBER),
        sa.Column("heartbeat_at", NUMBER),
        sa.Column("log", sa.Text()),
        sa.Column("poke", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_index("attempts_by_execution", "attempts", ["execution_id", "number"])
    op.create_index("attempts_live", "attempts", ["state"], **_where("state IN ('SUBMITTED', 'RUNNING')"))


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("session", sa.Text()),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("details", sa.Text()),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("attempt_token", ID, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "task_id", "map_index"),
    )


def _commit_ids() -> None:
    op.create_table(
        "commit_ids",
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("commit_id", sa.Text(), nullable=False),
        sa.Column("event_seq", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("slot"),
        sa.UniqueConstraint("commit_id", name="commits_by_id"),
    )


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", ID, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("failed_at", NUMBER, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("requeued_as", ID),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("letters_by_execution", "dead_letters", ["execution_id"])
    op.create_index("letters_by_fingerprint", "dead_letters", ["fingerprint", "failed_at"])
    op.create_index("letters_by_run", "dead_letters", ["run_id"])
    op.create_index("letters_by_time", "dead_letters", ["failed_at", "id"])
    op.create_index(
        "letters_open", "dead_letters", ["failed_at", "id"], **_where("status IN ('new', 'in_progress')")
    )


def _definition_status() -> None:
    op.create_table(
        "definition_status",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("pipeline_id", sa.Text(), nullable=False),
        sa.Column("problems", sa.Text()),
        sa.Column("since", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("file"),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID),
        sa.Column("run_id", ID),
        sa.Column("task_id", ID),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("payload", sa.Text()),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("events_by_run", "events", ["run_id", "seq"])
    op.create_index("events_of_due_hooks", "events", ["seq"], **_where("type = 'hook.due'"))
    op.create_index("events_by_correlation", "events", ["correlation_id"], **_where("correlation_id IS NOT NULL"))


def _health_check_temp() -> None:
    op.create_table(
        "health_check_temp",
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )


def _leadership() -> None:
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", NUMBER, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("commits", NUMBER, nullable=False),
        sa.Column("event_seq", NUMBER, nullable=False),
        sa.Column("transition_seq", NUMBER, nullable=False),
        sa.Column("audit_seq", NUMBER, nullable=False),
        sa.Column("audit_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _pipeline_versions() -> None:
    op.create_table(
        "pipeline_versions",
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("file", sa.Text()),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id", "version"),
        sa.UniqueConstraint("pipeline_id", "hash", name="versions_by_hash"),
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("cron_key", sa.Text(), nullable=False),
        sa.Column("last_slot", NUMBER),
        sa.Column("next_fire", NUMBER),
        sa.Column("paused", sa.Integer(), nullable=False),
        sa.Column("paused_by", sa.Text()),
        sa.Column("pause_reason", sa.Text()),
        sa.Column("paused_at", NUMBER),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("last_skip_reason", sa.Text()),
        sa.Column("updated_at", NUMBER),
        sa.PrimaryKeyConstraint("pipeline_id", "profile"),
    )


def _task_metrics() -> None:
    op.create_table(
        "task_metrics",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("value", sa.Double()),
        sa.PrimaryKeyConstraint("run_id", "task_id", "map_index", "name", "at"),
        sqlite_with_rowid=False,
    )


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text()),
        sa.PrimaryKeyConstraint("run_id", "seq"),
        sqlite_with_rowid=False,
    )


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("since", NUMBER, autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("holders", sa.Text()),
        sa.Column("expected", NUMBER),
        sa.Column("until", NUMBER),
        sa.PrimaryKeyConstraint("execution_id", "since", "code"),
        sqlite_with_rowid=False,
    )


def _pipeline_runs() -> None:
    op.create_table(
        "pipeline_runs",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("triggered_by", sa.Text(), nullable=False),
        sa.Column("triggered_at", NUMBER, nullable=False),
        sa.Column("logical_date", NUMBER, nullable=False),
        sa.Column("data_interval_start", NUMBER, nullable=False),
        sa.Column("data_interval_end", NUMBER, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text()),
        sa.Column("event", sa.Text()),
        sa.Column("selection", sa.Text()),
        sa.Column("parent_execution", ID),
        sa.Column("retry_of", ID),
        sa.Column("slot", NUMBER),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", NUMBER),
        sa.Column("completed_at", NUMBER),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text()),
        sa.Column("cancelled_by", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_id", "version"],
            ["pipeline_versions.pipeline_id", "pipeline_versions.version"],
            name="runs_pin_a_version",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        sa.UniqueConstraint("pipeline_id", "profile", "slot", name="runs_by_slot"),
    )
    op.create_index("runs_by_logical_date", "pipeline_runs", ["pipeline_id", "logical_date"])
    op.create_index(
        "runs_by_parent", "pipeline_runs", ["parent_execution"], **_where("parent_execution IS NOT NULL")
    )
    op.create_index("runs_by_pipeline", "pipeline_runs", ["pipeline_id", "triggered_at", "run_id"])
    op.create_index("runs_by_state", "pipeline_runs", ["state", "triggered_at", "run_id"])
    op.create_index("runs_by_time", "pipeline_runs", ["triggered_at", "run_id"])


def _task_executions() -> None:
    op.create_table(
        "task_executions",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("item", sa.Text()),
        sa.Column("retry_of", ID),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("pokes", sa.Integer(), nullable=False),
        sa.Column("queued_at", NUMBER),
        sa.Column("started_at", NUMBER),
        sa.Column("completed_at", NUMBER),
        sa.Column("next_retry_at", NUMBER),
        sa.Column("first_started_at", NUMBER),
        sa.Column("error", sa.Text()),
        sa.Column("metrics", sa.Text()),
        sa.Column("outputs", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["pipeline_runs.run_id"], name="executions_have_a_run"),
        sa.PrimaryKeyConstraint("execution_id"),
        sa.UniqueConstraint("run_id", "task_id", "map_index", "sequence", name="executions_by_run"),
    )
    op.create_index(
        "executions_held", "task_executions", ["state"], **_where("state IN ('QUEUED', 'RUNNING', 'RETRYING')")
    )


def _first_leader() -> None:
    op.execute(
        "INSERT INTO leadership"
        " (id, epoch, holder, at, commits, event_seq, transition_seq, audit_seq, audit_hash)"
        f" VALUES (1, 0, '', 0, 0, 0, 0, 0, '{'0' * 64}')"
    )


def _append_only_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit"
            " BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )


def _append_only_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )
