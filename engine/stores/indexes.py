"""The indexes of the state store: one per question that is asked often, and what makes a commit dearer.

Law: imported where tables are made or compared, not where they are used: naming a condition for PostgreSQL loads
its dialect, which a state in a file has no use for.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, TextClause, text

from engine.stores import schema as s
from engine.stores import schema_data as d


def _where(condition: TextClause) -> dict[str, Any]:
    """The same partial index on both databases."""
    return {"sqlite_where": condition, "postgresql_where": condition}


Index("runs_by_time", s.pipeline_runs.c.triggered_at, s.pipeline_runs.c.run_id)
Index("runs_by_pipeline", s.pipeline_runs.c.pipeline_id, s.pipeline_runs.c.triggered_at, s.pipeline_runs.c.run_id)
Index("runs_by_state", s.pipeline_runs.c.state, s.pipeline_runs.c.triggered_at, s.pipeline_runs.c.run_id)
Index("runs_by_logical_date", s.pipeline_runs.c.pipeline_id, s.pipeline_runs.c.logical_date)
Index("runs_by_parent", s.pipeline_runs.c.parent_execution, **_where(text("parent_execution IS NOT NULL")))
Index("executions_held", s.task_executions.c.state, **_where(s.HELD))
Index("attempts_by_execution", s.attempts.c.execution_id, s.attempts.c.number)
Index("attempts_live", s.attempts.c.state, **_where(s.LIVE))
Index("attempts_failed", s.attempts.c.completed_at, s.attempts.c.token, **_where(s.FAILED))
Index("events_by_run", s.events.c.run_id, s.events.c.seq)
Index("events_of_due_hooks", s.events.c.seq, **_where(s.HOOK_DUE))
Index("events_by_correlation", s.events.c.correlation_id, **_where(text("correlation_id IS NOT NULL")))
Index("letters_by_time", s.dead_letters.c.failed_at, s.dead_letters.c.id)
Index("letters_open", s.dead_letters.c.failed_at, s.dead_letters.c.id, **_where(s.OPEN))
Index("letters_by_fingerprint", s.dead_letters.c.fingerprint, s.dead_letters.c.failed_at)
Index("letters_by_execution", s.dead_letters.c.execution_id)
Index("letters_by_run", s.dead_letters.c.run_id)
Index("datasets_by_time", d.datasets.c.profile, d.datasets.c.last_touched)
Index(
    "touches_by_dataset",
    d.dataset_touches.c.profile,
    d.dataset_touches.c.dataset,
    d.dataset_touches.c.direction,
    d.dataset_touches.c.seq,
)
Index("touches_by_run", d.dataset_touches.c.run_id, d.dataset_touches.c.seq)
Index("edges_by_target", d.dataset_edges.c.profile, d.dataset_edges.c.target)

metadata = s.metadata
