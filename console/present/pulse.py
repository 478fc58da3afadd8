"""The workspace at a glance: what was read together, and the rows made of it. Pure.

Law: every row leads somewhere. A row's id is what it is about, so a run that fails moves under the cursor and takes
it along. What is late is said beside what is due, and nothing that is not there is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from console.present import circuits
from console.present.cells import Cell, Line, cell
from console.present.columns import Column
from console.present.sparkline import bar, braille, spark
from console.present.states import state_cell
from console.present.times import ago, brief, coarse, counted, moment
from engine.client.names import label
from engine.model.breaker import Breaker
from engine.model.run import DeadLetter, PipelineRun, RunState, TaskExecution, Verdict

if TYPE_CHECKING:
    from console.theme import Look
    from engine.client.machine import PoolUse

LATE = timedelta(seconds=60)  # an engine that decides within this is on time
HOURS = 24
_FIRES = 8
_FAILED = 50
_EARLIER = 5
_HELD = 8
_CIRCUITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """A run that has not ended."""

    run: PipelineRun
    tasks: Mapping[str, int] = field(default_factory=dict)  # by state
    usual: float | None = None  # seconds, the median
    slow: float | None = None  # seconds, the 95th percentile

    @property
    def done(self) -> int:
        """Tasks that have ended."""
        return sum(self.tasks.get(each, 0) for each in ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED"))

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.tasks.values())

    def ends(self) -> datetime | None:
        """When it ends, if it takes as long as usual."""
        if self.run.started_at is None or self.usual is None:
            return None
        return self.run.started_at + timedelta(seconds=self.usual)

    def late(self, now: datetime) -> bool:
        """Longer than nearly all before it."""
        start = self.run.started_at
        return start is not None and self.slow is not None and (now - start).total_seconds() > self.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """A schedule."""

    pipeline_id: str
    cron: str
    at: datetime | None  # when it fires next
    due: datetime | None = None  # when the engine meant to fire it
    paused_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """All that was read at once."""

    since: datetime  # when somebody last looked
    active: Sequence[Going] = ()
    failed: Sequence[PipelineRun] = ()  # newest first, of the last day and since `since`
    letters: Sequence[DeadLetter] = ()  # open ones, newest first, as many as are read
    queues: Mapping[str, int] = field(default_factory=dict)  # open letters
    fires: Sequence[Fire] = ()
    held: Sequence[tuple[TaskExecution, Verdict | None]] = ()
    pools: Sequence[PoolUse] = ()
    circuits: Sequence[Breaker] = ()  # of connections that are left alone or being tried again
    ended: Mapping[str, Sequence[int]] = field(default_factory=dict)  # by state, an hour each


class Row(NamedTuple):
    """One line, and where Enter leads: a view and its argument."""

    id: str
    rank: tuple[int, int]
    sign: Cell | tuple[Cell, ...]
    name: Cell
    what: Cell | tuple[Cell, ...]
    at: datetime | None
    view: str
    argument: str
    run_id: str = ""
    task: str = ""
    kind: str = ""  # head, failed, circuit, active, fire, late, letters, held, slots
    ends: bool = False  # whether `at` is when it would end


def rows(pulse: Pulse, now: datetime, look: Look) -> list[Row]:
    """What wants to be seen first comes first."""
    sections = (_failed, _late, _circuits, _active, _letters, _held, _fires, _slots)
    found: list[Row] = []
    for number, section in enumerate(sections):
        made = list(section(pulse, now, look))
        found += [each._replace(rank=(number, at)) for at, each in enumerate(made)]
    return found


def columns(look: Look) -> list[Column[Row]]:
    """A table without a head: each section brings its own."""
    return [
        Column(name="sign", title="", width=11, cell=lambda row, now: row.sign),
        Column(name="name", title="", width=21, grow=1, middle=True, cell=lambda row, now: row.name),
        Column(name="what", title="", width=27, grow=4, cell=lambda row, now: row.what),
        Column(name="at", title="", width=14, right=True, cell=_when),
    ]


def first(found: Sequence[Row]) -> Row | None:
    """Where the cursor starts: at what failed, what is late, what runs."""
    for kind in ("failed", "late", "circuit", "active"):
        for row in found:
            if row.kind == kind:
                return row
    return next((row for row in found if row.kind != "head"), None)


def summary(pulse: Pulse, look: Look, width: int) -> list[Line]:
    """What ended and what failed, by the hour."""
    failed = pulse.ended.get("FAILED", ())
    every = [sum(hour) for hour in zip(*pulse.ended.values(), strict=True)] if pulse.ended else [0] * HOURS
    draw, hours = (spark, HOURS) if width >= 100 else (braille, HOURS // 2)
    bad = sum(failed)
    line: list[Cell] = [Cell(" ended ", "dim"), *draw(every, look, width=hours, tone="run")]
    line += [Cell(f" {sum(every):,} in {HOURS} h", "strong")]
    line += [Cell("   failed ", "dim"), *draw(failed or [0] * HOURS, look, width=hours, tone="bad")]
    line += [Cell(f" {bad:,}", "bad" if bad else "")]
    if bad:
        line.append(Cell(f" ({100 * bad / max(1, sum(every)):.0f} %)", "dim"))
    return [line]


# ---- sections


def _head(sign: str, name: str, what: str, view: str, argument: str = "") -> Row:
    return Row(
        f"head:{sign}", (0, 0), Cell(sign, "head"), Cell(name, "strong"), cell(what, "dim"), None, view, argument,
        kind="head",
    )  # fmt: skip


def _failed(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    fresh = [run for run in pulse.failed if (run.completed_at or run.triggered_at) > pulse.since]
    earlier = [run for run in pulse.failed if run not in fresh]
    by_run: dict[str, list[DeadLetter]] = {}
    for letter in pulse.letters:
        by_run.setdefault(letter.run_id, []).append(letter)
    looked = f"since {_short(pulse.since, now)}, when you last looked"
    if fresh or earlier:
        yield _head("FAILED", counted(len(fresh), "run"), looked, "runs", "state:failed")
    for run in fresh[:_FAILED]:
        yield _failure(run, by_run.get(run.run_id, []), look)
    if len(fresh) > _FAILED:
        yield _head("", f"and {len(fresh) - _FAILED:,} more", "", "runs", "state:failed")
    for run in earlier[:_EARLIER]:
        row = _failure(run, by_run.get(run.run_id, []), look)
        yield row._replace(sign=Cell(f"{look.chars.state('FAILED')} seen", "dim"))


def _failure(run: PipelineRun, letters: Sequence[DeadLetter], look: Look) -> Row:
    what: Cell | tuple[Cell, ...] = cell(run.reason or "", "")
    task = ""
    if letters:
        last = letters[-1]  # the first that failed
        task = label(last.task_id, last.map_index)
        more = f" +{len(letters) - 1}" if len(letters) > 1 else ""
        what = (cell(task, "strong"), Cell(more + "  "), cell(f"{last.error_type}: {last.message}"[:300]))
    return Row(
        f"run:{run.run_id}", (0, 0), state_cell("FAILED", look), cell(run.pipeline_id, "strong"), what,
        run.completed_at or run.triggered_at, "run", run.run_id, run.run_id, task, "failed",
    )  # fmt: skip


def _late(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    fires = [each for each in pulse.fires if each.due is not None and each.due + LATE < now]
    slow = [each for each in pulse.active if each.late(now)]
    if fires or slow:
        yield _head("LATE", counted(len(fires) + len(slow), "pipeline"), "what should have happened", "schedules")
    for each in fires:
        yield Row(
            f"late:{each.pipeline_id}", (0, 0), Cell(f"{look.chars.state('RETRYING')} not fired", "warn"),
            cell(each.pipeline_id, "strong"), Cell("its slot has passed and no run was made", "warn"), each.due,
            "pipeline", each.pipeline_id, kind="late",
        )  # fmt: skip
    for one in slow:
        yield _run(one, now, look)._replace(kind="late")


def _circuits(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    if pulse.circuits:
        count = counted(len(pulse.circuits), "connection")
        yield _head("CIRCUITS", count, "calls to it failed, tasks leave it alone", "health", "connections")
    for each in pulse.circuits[:_CIRCUITS]:
        yield Row(
            f"circuit:{each.connection}", (0, 0), circuits.state(True, each, now, look),
            cell(each.connection, "strong"), circuits.told(each, now), each.retry_at, "health",
            f"connections {each.connection}", kind="circuit",
        )  # fmt: skip
    if len(pulse.circuits) > _CIRCUITS:
        more = _head("", f"and {len(pulse.circuits) - _CIRCUITS:,} more", "", "health", "connections")
        yield more._replace(id="head:circuits")


def _active(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    usual = [each for each in pulse.active if not each.late(now)]
    running = sum(each.run.state is RunState.RUNNING for each in pulse.active)
    waiting = len(pulse.active) - running
    more = f"{waiting} pending" if waiting else ""
    yield _head("RUNNING", counted(running, "run"), more, "runs", "state:running,pending")
    for each in usual:
        yield _run(each, now, look)


def _run(going: Going, now: datetime, look: Look) -> Row:
    run = going.run
    share = going.done / going.total if going.total else 0.0
    bad = going.tasks.get("FAILED", 0)
    what = [*bar(share, look, width=10, tone="run"), Cell(f" {going.done}/{going.total}")]
    if bad:
        what.append(Cell(f"  {look.chars.state('FAILED')} {bad} failed", "bad"))
    if run.state is RunState.PENDING:
        what = [cell(run.reason or "not begun", "dim")]
    elif going.late(now) and going.usual is not None:
        what.append(Cell(f"  usually {brief(going.usual)}", "warn"))
    elif run.started_at is not None:
        what.append(Cell(f"  since {_short(run.started_at, now)}", "dim"))
    ends = going.ends()
    return Row(
        f"run:{run.run_id}", (0, 0), state_cell(run.state.value, look), cell(run.pipeline_id, "strong"),
        tuple(what),
        ends if run.state is RunState.RUNNING else run.triggered_at, "run", run.run_id, run.run_id, "", "active",
        ends=run.state is RunState.RUNNING,
    )  # fmt: skip


def _letters(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    if not pulse.queues:
        return
    yield _head("DEAD", counted(sum(pulse.queues.values()), "dead letter"), "kept until somebody looks", "dlq")
    newest: dict[str, DeadLetter] = {}
    for letter in pulse.letters:
        newest.setdefault(letter.queue.value, letter)
    for queue, count in sorted(pulse.queues.items()):
        one = newest.get(queue)
        what: tuple[Cell, ...] = ()
        if one is not None:
            where = f"{one.pipeline_id} {look.crumb} {label(one.task_id, one.map_index)}"
            what = (cell(where, "strong"), Cell("  "), cell(f"{one.error_type}: {one.message}"[:300]))
        yield Row(
            f"queue:{queue}", (0, 0), Cell(f"{count:>3,} open", "bad"), cell(queue, "strong"), what,
            one.failed_at if one else None, "dlq", queue, one.run_id if one else "",
            label(one.task_id, one.map_index) if one else "", "letters",
        )  # fmt: skip


def _held(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    groups: dict[tuple[str, str], list[tuple[TaskExecution, Verdict | None]]] = {}
    for execution, verdict in pulse.held:
        told = (verdict.code, verdict.sentence) if verdict is not None else ("", execution.state.value.capitalize())
        groups.setdefault(told, []).append((execution, verdict))
    if groups:
        yield _head("HELD BACK", counted(len(pulse.held), "task"), "ready, and waiting for something", "runs")
    most = sorted(groups.items(), key=lambda each: -len(each[1]))[:_HELD]
    for (code, sentence), tasks in most:
        one, verdict = tasks[0]
        name = label(one.task_id, one.map_index)
        more = f" +{len(tasks) - 1}" if len(tasks) > 1 else ""
        yield Row(
            f"held:{code}:{one.execution_id}", (0, 0), state_cell(one.state.value, look),
            cell(name + more, "strong"),
            cell(sentence), one.next_retry_at or (verdict.since if verdict is not None else one.queued_at),
            "run", f"{one.run_id} {name}", one.run_id, name, "held",
        )  # fmt: skip


def _fires(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    coming = sorted((each for each in pulse.fires if each.at is not None), key=lambda each: str(each.at))
    paused = [each for each in pulse.fires if each.paused_by]
    if not pulse.fires:
        return
    more = f"{len(paused)} paused" if paused else ""
    yield _head("NEXT", counted(len(coming), "schedule"), more, "schedules")
    for each in coming[:_FIRES]:
        yield Row(
            f"fire:{each.pipeline_id}", (0, 0), Cell(f"{look.chars.state('PENDING')} fires", "dim"),
            cell(each.pipeline_id, "strong"), (Cell(f"{moment(each.at, now)} UTC  "), cell(each.cron, "dim")),
            each.at, "pipeline", each.pipeline_id, kind="fire",
        )  # fmt: skip
    for each in paused[:_FIRES]:
        yield Row(
            f"fire:{each.pipeline_id}", (0, 0), Cell("= paused", "warn"), cell(each.pipeline_id, "strong"),
            (cell(f"by {each.paused_by}  "), cell(each.cron, "dim")), None, "pipeline", each.pipeline_id,
            kind="fire",
        )  # fmt: skip


def _slots(pulse: Pulse, now: datetime, look: Look) -> Iterator[Row]:
    used = [each for each in pulse.pools if each.slots is not None]
    if not used:
        return
    yield _head("SLOTS", f"{len(used[0].holders)} of {used[0].slots} workers", "who holds what", "health")
    for pool in used:
        slots = pool.slots or 0
        full = len(pool.holders) / slots if slots else 0.0
        what = list(bar(full, look, width=min(10, max(1, slots)), tone="warn" if full >= 1 else "run"))
        what.append(Cell(f" {len(pool.holders)}/{slots}  "))
        if pool.waiting:
            what.append(Cell(f"{pool.waiting} waiting  ", "warn"))
        what += [cell(", ".join(each.rpartition("/")[2] for each in pool.holders[:5]), "dim")]
        holder = pool.holders[0] if pool.holders else ""
        run_id, _, task = holder.partition("/")
        yield Row(
            f"pool:{pool.name}", (0, 0), Cell("  slots", "dim"), cell(pool.name, "strong"), tuple(what), None,
            "run" if holder else "health", f"{run_id} {task}".strip(), run_id, task, "slots",
        )  # fmt: skip


def _when(row: Row, now: datetime) -> Cell:
    if row.at is None:
        return Cell("")
    tone = "warn" if row.kind == "late" else "dim"
    if not row.ends:
        return Cell(ago(row.at, now), tone)
    over = (now - row.at).total_seconds()
    return Cell(f"{coarse(over)} over", tone) if over > 0 else Cell(f"ends {ago(row.at, now)}")


def _short(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M}" if at.date() == now.date() else moment(at, now)


def fires_of(listed: Sequence[Mapping[str, Any]], due: Mapping[str, datetime | None]) -> list[Fire]:
    """What `schedule` lists, with what the engine remembers to be due."""
    found = []
    for each in listed:
        text = each["next_fire"]
        found.append(
            Fire(
                pipeline_id=each["pipeline_id"],
                cron=each["cron"],
                at=datetime.fromisoformat(text) if text else None,
                due=None if each["paused"] or not each["enabled"] else due.get(each["pipeline_id"]),
                paused_by=each["paused_by"] if each["paused"] else None,
            )
        )
    return found
