"""Everything that is kept beside runs and tasks, as rows and as records.

Law: as in `records`: tuples in the order of the names going in, columns by name coming out.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from engine.model.errors import ErrorKind, Queue
from engine.model.event import Event
from engine.model.run import DeadLetter, LetterStatus, TaskEvent, TaskState, Transition, Verdict
from engine.ports.store import Checkpoint, DefinitionStatus, PipelineVersion, ScheduleState
from engine.stores.records import Row, Values
from engine.stores.values import (
    clean,
    clean_or_none,
    dump,
    dump_or_none,
    dump_sorted,
    instant,
    instant_or_none,
    load,
    map_index,
    map_key,
    mapping,
    micros,
    micros_or_none,
)

VERSION = ("pipeline_id", "version", "hash", "document", "file", "created_at")
TRANSITION = (
    "run_id", "seq", "execution_id", "task_id", "map_index", "from_state", "to_state", "event", "at", "attempt",
    "message",
)  # fmt: skip
VERDICT = ("execution_id", "since", "code", "sentence", "holders", "expected")
EVENT = ("seq", "type", "at", "source", "pipeline_id", "run_id", "task_id", "correlation_id", "payload")
LETTER = (
    "id", "queue", "status", "pipeline_id", "run_id", "task_id", "map_index", "execution_id", "kind", "error_type",
    "message", "fingerprint", "failed_at", "attempts", "requeued_as", "content",
)  # fmt: skip
CHECKPOINT = ("run_id", "task_id", "map_index", "value", "digest", "at", "attempt_token")
SCHEDULE = (
    "pipeline_id", "profile", "cron_key", "last_slot", "next_fire", "paused", "paused_by", "pause_reason",
    "paused_at", "skipped", "last_skip_reason", "updated_at",
)  # fmt: skip
BROKEN = ("file", "pipeline_id", "problems", "since")
METRIC = ("run_id", "task_id", "map_index", "name", "at", "value")


def write_version(version: PipelineVersion) -> Values:
    """Into pipeline_versions. The document keeps its canonical order: the hash is over it."""
    file = clean_or_none(version.file)
    document = dump_sorted(version.document).decode()
    return (version.pipeline_id, version.version, version.hash, document, file, micros(version.created_at))


def read_version(row: Row) -> PipelineVersion:
    """A row of pipeline_versions."""
    return PipelineVersion(
        pipeline_id=row.pipeline_id,
        version=row.version,
        hash=row.hash,
        document=mapping(row.document),
        file=row.file,
        created_at=instant(row.created_at),
    )


def write_transition(transition: Transition, seq: int) -> Values:
    """Into transitions."""
    return (
        transition.run_id,
        seq,
        transition.execution_id,
        transition.task_id,
        map_key(transition.map_index),
        transition.from_state.value,
        transition.to_state.value,
        transition.event.value,
        micros(transition.at),
        transition.attempt,
        clean_or_none(transition.message),
    )


def read_transition(row: Row) -> Transition:
    """A row of transitions."""
    return Transition(
        run_id=row.run_id,
        execution_id=row.execution_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        from_state=TaskState(row.from_state),
        to_state=TaskState(row.to_state),
        event=TaskEvent(row.event),
        at=instant(row.at),
        attempt=row.attempt,
        message=row.message,
    )


def write_verdict(verdict: Verdict) -> Values:
    """Into verdicts, as the one that holds."""
    return (
        verdict.execution_id,
        micros(verdict.since),
        clean(verdict.code),
        clean(verdict.sentence),
        _held_by(verdict),
        micros_or_none(verdict.expected),
    )


def _held_by(verdict: Verdict) -> str | None:
    """Holders, with what the verdict speaks of where it names something."""
    if verdict.about is None:
        return dump_or_none(verdict.holders)
    return dump({"holders": verdict.holders, "about": clean(verdict.about)})


def read_verdict(row: Row) -> Verdict:
    """A row of verdicts."""
    held = load(row.holders, ())
    named: dict[str, Any] = held if isinstance(held, dict) else {"holders": held}
    return Verdict(
        execution_id=row.execution_id,
        code=row.code,
        sentence=row.sentence,
        holders=tuple(named["holders"]),
        since=instant(row.since),
        expected=instant_or_none(row.expected),
        about=named.get("about"),
    )


def write_event(event: Event, seq: int) -> Values:
    """Into events."""
    return (
        seq,
        clean(event.type),
        micros(event.at),
        clean(event.source),
        event.pipeline_id,
        event.run_id,
        event.task_id,
        clean_or_none(event.correlation_id),
        dump_or_none(event.payload),
    )


def read_event(row: Row) -> Event:
    """A row of events."""
    return Event(
        seq=row.seq,
        type=row.type,
        at=instant(row.at),
        source=row.source,
        pipeline_id=row.pipeline_id,
        run_id=row.run_id,
        task_id=row.task_id,
        correlation_id=row.correlation_id,
        payload=mapping(row.payload),
    )


def write_letter(letter: DeadLetter) -> Values:
    """Into dead_letters."""
    content = {
        "parameters": letter.parameters,
        "config": letter.config,
        "retry_policy": letter.retry_policy,
        "errors": letter.errors,
        "history": letter.history,
    }
    return (
        letter.id,
        letter.queue.value,
        letter.status.value,
        letter.pipeline_id,
        letter.run_id,
        letter.task_id,
        map_key(letter.map_index),
        letter.execution_id,
        letter.kind.value,
        clean(letter.error_type),
        clean(letter.message),
        clean(letter.fingerprint),
        micros(letter.failed_at),
        letter.attempts,
        letter.requeued_as,
        dump(content),
    )


def read_letter(row: Row) -> DeadLetter:
    """A row of dead_letters."""
    content = mapping(row.content)
    return DeadLetter(
        id=row.id,
        queue=Queue(row.queue),
        status=LetterStatus(row.status),
        pipeline_id=row.pipeline_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        execution_id=row.execution_id,
        kind=ErrorKind(row.kind),
        error_type=row.error_type,
        message=row.message,
        fingerprint=row.fingerprint,
        failed_at=instant(row.failed_at),
        attempts=row.attempts,
        requeued_as=row.requeued_as,
        parameters=content.get("parameters", {}),
        config=content.get("config", {}),
        retry_policy=content.get("retry_policy", {}),
        errors=tuple(content.get("errors", ())),
        history=tuple(content.get("history", ())),
    )


def write_checkpoint(checkpoint: Checkpoint) -> Values:
    """Into checkpoints, sealed with a digest."""
    value = dump(checkpoint.value)
    return (
        checkpoint.run_id,
        checkpoint.task_id,
        map_key(checkpoint.map_index),
        value,
        sha256(value.encode()).hexdigest(),
        micros(checkpoint.at),
        checkpoint.attempt_token,
    )


def read_checkpoint(row: Row) -> Checkpoint | None:
    """A row of checkpoints; None when it is damaged, because starting over beats resuming from nonsense."""
    if sha256(row.value.encode()).hexdigest() != row.digest:
        return None
    return Checkpoint(
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        value=load(row.value),
        at=instant(row.at),
        attempt_token=row.attempt_token,
    )


def write_schedule(schedule: ScheduleState) -> Values:
    """Into schedules."""
    return (
        schedule.pipeline_id,
        schedule.profile or "",
        clean(schedule.cron_key),
        micros_or_none(schedule.last_slot),
        micros_or_none(schedule.next_fire),
        int(schedule.paused),
        clean_or_none(schedule.paused_by),
        clean_or_none(schedule.pause_reason),
        micros_or_none(schedule.paused_at),
        schedule.skipped,
        clean_or_none(schedule.last_skip_reason),
        micros_or_none(schedule.updated_at),
    )


def read_schedule(row: Row) -> ScheduleState:
    """A row of schedules."""
    return ScheduleState(
        pipeline_id=row.pipeline_id,
        profile=row.profile or None,
        cron_key=row.cron_key,
        last_slot=instant_or_none(row.last_slot),
        next_fire=instant_or_none(row.next_fire),
        paused=bool(row.paused),
        paused_by=row.paused_by,
        pause_reason=row.pause_reason,
        paused_at=instant_or_none(row.paused_at),
        skipped=row.skipped,
        last_skip_reason=row.last_skip_reason,
        updated_at=instant_or_none(row.updated_at),
    )


def write_broken(file: str, status: DefinitionStatus) -> Values:
    """Into definition_status, under the file it is about."""
    return (clean(file), clean(status.pipeline_id), dump_or_none(status.problems), micros(status.since))


def read_broken(row: Row) -> DefinitionStatus:
    """A row of definition_status."""
    problems: list[dict[str, Any]] = load(row.problems, [])
    return DefinitionStatus(
        pipeline_id=row.pipeline_id, file=row.file, problems=tuple(problems), since=instant(row.since)
    )


def write_metric(metric: tuple[str, str, int | None, str, float, datetime]) -> Values:
    """Into task_metrics."""
    run_id, task_id, index, name, value, at = metric
    return (run_id, task_id, map_key(index), clean(name), micros(at), value)
