"""What a success leaves behind of data: what it read and wrote, and how far its watermarks have moved.

Law: noted in the batch that holds the outcome itself, and only for an outcome that was applied; a task that is
marked successful has moved nothing. The task whose success it is consumes the watermark. A value that can be
ordered never goes back: of two runs that overlapped, the one that read further counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.model.dataset import DatasetTouch, Direction, Strategy, TouchRecord, Watermark, WatermarkMove
from engine.model.pipeline import Task
from engine.model.run import Outcome, TaskState
from engine.rules.datasets import bounded
from engine.rules.snapshot import Draft, RunSnapshot
from engine.rules.watermarks import comparable, newer
from engine.runtime.desk import Desk, Live

MOST_TOUCHES = 200  # of one attempt; what it wrote comes first
_ORDERED = (Strategy.TIMESTAMP, Strategy.ID)


def note(desk: Desk, draft: Draft, live: Live, outcome: Outcome) -> None:
    """Take down what the outcome says of data, if it has just made its task a SUCCESS."""
    if outcome.result != "success" or draft.get(live.key).state is not TaskState.SUCCESS:
        return
    changes = desk.batch.changes
    changes.touches += _touches(desk, draft.base, live, outcome)
    for move in outcome.moves:
        mark = _watermark(desk, draft.base, live, move)
        # Several items may load what one task above has read: they say the same, at different times.
        together = live.key[1] is not None and move.producer != live.key[0]
        if together or not _behind(mark, standing(desk, mark.pipeline_id, mark.profile)):
            changes.watermarks.append(mark)


def standing(desk: Desk, pipeline_id: str, profile: str | None) -> Sequence[Watermark]:
    """Where the pipeline's watermarks stand, with the moves that this turn has decided and not yet committed."""
    found = {_key(each): each for each in desk.tools.store.watermarks(pipeline_id, profile)}
    for each in desk.batch.changes.watermarks:
        old = found.get(_key(each))
        ours = (each.pipeline_id, each.profile) == (pipeline_id, profile)
        if ours and (old is None or old.resets <= each.resets):
            found[_key(each)] = each
    return list(found.values())


def _key(mark: Watermark) -> tuple[str, str, str]:
    return (mark.producer, mark.source, mark.consumer)


def _watermark(desk: Desk, snapshot: RunSnapshot, live: Live, move: WatermarkMove) -> Watermark:
    return Watermark(
        pipeline_id=snapshot.run.pipeline_id,
        producer=move.producer,
        source=bounded(move.source),
        consumer=live.key[0],
        profile=snapshot.run.profile,
        column=move.column,
        strategy=move.strategy,
        value=move.value,
        fingerprint=move.fingerprint,
        resets=move.resets,
        run_id=snapshot.run.run_id,
        created_at=desk.now,
        updated_at=desk.now,
    )


def _behind(mark: Watermark, stand: Sequence[Watermark]) -> bool:
    """Whether another run has come further meanwhile."""
    old = next((each for each in stand if _key(each) == _key(mark)), None)
    if old is None or old.value is None or mark.value is None or mark.strategy not in _ORDERED:
        return False
    if old.resets != mark.resets or not comparable(old.value, mark.value):
        return False
    return newer(old.value, mark.value)


def _touches(desk: Desk, snapshot: RunSnapshot, live: Live, outcome: Outcome) -> list[TouchRecord]:
    given = sorted(outcome.touches, key=lambda each: each.direction is Direction.READ)[:MOST_TOUCHES]
    names = _declared(snapshot, live, outcome.touches)
    run = snapshot.run
    return [
        TouchRecord(
            touch=replace(each, dataset=bounded(names.get(each.direction, each.dataset))),
            profile=run.profile,
            pipeline_id=run.pipeline_id,
            run_id=run.run_id,
            task_id=live.key[0],
            map_index=live.key[1],
            attempt=live.attempt.number,
            at=desk.now,
        )
        for each in given
    ]


def _declared(snapshot: RunSnapshot, live: Live, touches: Sequence[DatasetTouch]) -> Mapping[Direction, str]:
    """The name the definition gives to the one dataset that was read, or written."""
    task = snapshot.tasks[live.key[0]]
    declared = {Direction.READ: task.inputs or _handed_on(snapshot, task), Direction.WRITE: task.outputs}
    return {
        direction: names[0]
        for direction, names in declared.items()
        if len(names) == 1 and sum(each.direction is direction for each in touches) == 1
    }


def _handed_on(snapshot: RunSnapshot, task: Task) -> Sequence[str]:
    """What the task above declares to read: a load of staged rows reports what its extract read."""
    source = task.config.get("source")
    if isinstance(source, Mapping):
        return ()
    above = [source] if isinstance(source, str) else list(snapshot.graph.upstream[task.id])
    found = [snapshot.tasks[each].inputs for each in above if each in snapshot.tasks]
    found = [each for each in found if each]
    return found[0] if len(found) == 1 else ()
