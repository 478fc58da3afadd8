"""The contract of StateStore, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.model.errors import Conflict, Deposed, Queue
from engine.model.pipeline import Jitter, RetryPolicy
from engine.model.run import (
    AttemptState,
    LetterStatus,
    Reason,
    RunState,
    TaskState,
)
from engine.ports.store import Changes, Checkpoint, DefinitionStatus, ScheduleState
from tests.contract.store_records import (
    T0,
    Rig,
    at,
    attempt,
    entry,
    event,
    failure,
    letter,
    moved,
    run,
    started,
    task,
    transition,
    verdict,
    version,
)

HOSTILE = "'; DROP TABLE audit; -- \x1b[31m\u202e é 𝄞 \n\t\\ \" %s ? {x} :name"


def test_every_field_of_a_run_comes_back(rig: Rig) -> None:
    """STM-12: what was written is what is read, to the microsecond."""
    store = rig.writer()
    full = run(
        state=RunState.FAILED,
        triggered_at=at(0.123456),
        started_at=at(1),
        completed_at=at(2.000001),
        profile="postgres",
        parameters={"n": 2**60, "x": [1, {"y": None}], "s": HOSTILE},
        event={"path": "in/a.csv"},
        priority=-3,
        selection=("a", "b"),
        parent_execution="e9",
        retry_of="r0",
        scope="tok",
        cancelled_by=HOSTILE,
        reason=HOSTILE,
        slot=at(-60),
        row_version=4,
    )
    store.commit(Changes(versions=[version()], new_runs=[full]), "c1")
    record = store.load_run("r1")
    assert record is not None
    assert record.run == full
    assert record.version == version()


def test_every_field_of_an_execution_and_its_attempt_comes_back(rig: Rig) -> None:
    """STM-11, STM-13."""
    store = rig.writer()
    full = task(
        "e1",
        map_index=3,
        sequence=2,
        state=TaskState.RETRYING,
        reason=Reason.EXIT_CODE,
        attempt_count=5,
        failures=2,
        losses=1,
        pokes=7,
        first_poke_at=at(1),
        queued_at=at(2),
        started_at=at(3),
        completed_at=at(4),
        next_retry_at=at(5),
        last_delay=1.25,
        first_started_at=at(2.5),
        error=replace(failure(HOSTILE), retry_after=2.5, final=True),
        metrics={"rows": 12.0},
        outputs={"path": HOSTILE},
        progress={"done": 1, "total": 2, "unit": "rows"},
        item={"file": "x"},
        retry_of="e0",
        marked_by="ana",
        mark_reason=HOSTILE,
        parameter_overrides={"a": 1},
        config_overrides={"command": "exit 0"},
        retry_override=RetryPolicy(max_attempts=9, jitter_type=Jitter.FULL, retry_on_error_types=("*",)),
        child_run_id="r7",
        generation=2,
        row_version=6,
    )
    ended = attempt(
        full,
        number=5,
        state=AttemptState.RUNNING,
        started_at=at(3),
        completed_at=at(4),
        pid=2**31,
        pid_started=1234.5,
        exit_code=-1,
        signal=9,
        error=failure(),
        cpu_seconds=0.25,
        peak_mb=12.5,
        read_bytes=2**40,
        write_bytes=0,
        heartbeat_at=at(3.5),
        log="r1/e1/5.jsonl",
        poke=True,
    )
    started(store, full)
    store.commit(Changes(new_attempts=[ended]), "c2")
    record = store.load_run("r1")
    assert record is not None
    assert list(record.executions) == [full]
    assert list(record.attempts) == [ended]
    assert list(store.attempts_of("e1")) == [ended]


def test_the_ledgers_come_back(rig: Rig) -> None:
    store = rig.writer()
    one = task("a")
    started(store, one)
    dead = letter(
        "l1",
        one,
        message=HOSTILE,
        parameters={"x": 1},
        config={"command": "exit 1"},
        retry_policy={"max_attempts": 3},
        errors=({"attempt": 1, "type": "ValueError"},),
        history=({"at": "2026", "actor": "ana"},),
    )
    schedule = ScheduleState(
        pipeline_id="orders",
        profile="eu",
        cron_key="k",
        last_slot=at(1),
        next_fire=at(2),
        paused=True,
        paused_by="ana",
        pause_reason=HOSTILE,
        paused_at=at(3),
        skipped=4,
        last_skip_reason="running",
        updated_at=at(4),
    )
    broken = DefinitionStatus(pipeline_id="orders", file="p.yaml", problems=({"line": 3},), since=T0)
    saved = Checkpoint(run_id="r1", task_id="a", map_index=None, value={"page": 7}, at=T0, attempt_token="t")
    sent = event(payload={"text": HOSTILE}, correlation_id="q1", task_id="a", pipeline_id="orders")
    crossed = transition(one, TaskState.QUEUED, message=HOSTILE)
    why = verdict("a", sentence=HOSTILE, holders=("r0/x",), expected=at(9))
    changes = Changes(
        new_letters=[dead],
        schedules={("orders", "eu"): schedule},
        broken={"p.yaml": broken},
        checkpoints=[saved],
        events=[sent],
        transitions=[crossed],
        verdicts={"a": why},
        metrics=[("r1", "a", None, "rows", 5.0, T0)],
        audit=[entry(details={"text": HOSTILE})],
    )
    last = store.commit(changes, "c1")
    queries = rig.queries()
    assert store.letter("l1") == dead == queries.letter("l")
    assert list(store.letters_of(["a", "zz"])) == [dead]
    assert list(store.schedules()) == [schedule] == list(queries.schedules())
    assert list(queries.broken_definitions()) == [broken]
    assert store.checkpoint("r1", "a", None) == saved == queries.checkpoint("r1", "a", None)
    assert list(queries.events(last - 1)) == [replace(sent, seq=last)]
    assert list(queries.transitions("r1")) == [crossed]
    assert queries.verdicts("r1") == {"a": why}
    assert queries.audit()[0].details == {"text": HOSTILE}
    store.commit(Changes(broken={"p.yaml": None}, dropped_checkpoints=[("r1", "a", None)]), "c2")
    assert list(queries.broken_definitions()) == []
    assert queries.checkpoint("r1", "a", None) is None


def test_text_that_no_database_can_hold_is_replaced_not_refused(rig: Rig) -> None:
    """FAULTS 34, 35, 40: NUL and lone surrogates reach the store from logs and file names."""
    store = rig.writer()
    started(store, task("a", outputs={"x": "a\udc80b\0"}), reason="nul \0 and \udcff", parameters={"p": "\udc80"})
    record = store.load_run("r1")
    assert record is not None
    assert record.run.reason == "nul ␀ and �"
    assert record.run.parameters == {"p": "�"}
    assert record.executions[0].outputs["x"].startswith("a�b")


def test_a_failing_row_leaves_nothing_of_the_whole_commit(rig: Rig) -> None:
    """STM-09, invariant A: all or nothing."""
    store = rig.writer()
    one = task("a")
    started(store, one, task("b"))
    before = rig.queries().last_seq()
    changes = Changes(
        executions={"a": moved(one, TaskState.QUEUED), "b": task("b", row_version=9)},  # b was not at version 8
        events=[event()],
        audit=[entry()],
        new_attempts=[attempt(one)],
        checkpoints=[Checkpoint(run_id="r1", task_id="a", map_index=None, value=1, at=T0, attempt_token="t")],
    )
    with pytest.raises(Conflict):
        store.commit(changes, "bad")
    queries = rig.queries()
    assert [each.state for each in queries.executions("r1")] == [TaskState.PENDING, TaskState.PENDING]
    assert queries.last_seq() == before
    assert not queries.audit()
    assert not queries.attempts("r1")
    assert queries.checkpoint("r1", "a", None) is None
    assert store.commit(Changes(events=[event()]), "good") == before + 1


@pytest.mark.parametrize(
    "stale",
    [
        Changes(runs={"r1": run(row_version=5)}),
        Changes(executions={"a": task("a", row_version=2)}),
        Changes(executions={"nobody": task("nobody", row_version=1)}),
        Changes(attempts={"no-token": attempt(task("a"), token="no-token")}),
        Changes(letters={"no-letter": letter("no-letter", task("a"))}),
        Changes(retired_executions=["nobody"]),
    ],
    ids=["run", "execution", "missing execution", "attempt", "letter", "retired"],
)
def test_a_row_that_is_not_as_expected_is_a_conflict(rig: Rig, stale: Changes) -> None:
    store = rig.writer()
    started(store, task("a"))
    with pytest.raises(Conflict):
        store.commit(stale, "stale")


def test_a_deposed_engine_writes_nothing(rig: Rig) -> None:
    """FAULTS 5, 7, invariant D: the epoch is checked inside the writing transaction."""
    old = rig.writer(epoch=1, holder="old")
    started(old, task("a"))
    new = rig.writer(epoch=2, holder="new")
    with pytest.raises(Deposed):
        old.commit(Changes(events=[event()], audit=[entry()]), "late")
    with pytest.raises(Deposed):
        old.prune(before=at(9e9), keep_runs=1, limit=10)
    with pytest.raises(Deposed):
        old.take_over(1, "old", T0)
    queries = rig.queries()
    assert queries.last_seq() == 1
    assert not queries.audit()
    assert new.commit(Changes(events=[event()]), "mine") == 2
    old.abandon()
    with pytest.raises(Deposed):
        old.commit(Changes(events=[event()]), "later still")


def test_one_epoch_belongs_to_one_holder(rig: Rig) -> None:
    first = rig.writer(epoch=3, holder="a")
    first.take_over(3, "a", T0)  # asked again after a reply that was lost
    with pytest.raises(Deposed):
        rig.writer(epoch=3, holder="b")


def test_a_store_that_never_took_over_writes_nothing(rig: Rig) -> None:
    from engine.stores.open import open_writer

    rig.writer()
    other = open_writer(rig.settings)
    rig.opened.append(other)
    with pytest.raises(Deposed):
        other.commit(Changes(events=[event()]), "c")


def test_a_run_id_and_a_slot_are_taken_once(rig: Rig) -> None:
    """FAULTS 25, invariant A: one slot has one run; NULL profiles count as equal."""
    store = rig.writer()
    started(store, slot=T0)
    with pytest.raises(Conflict):
        store.commit(Changes(new_runs=[run("r1", slot=at(60))]), "same id")
    with pytest.raises(Conflict):
        store.commit(Changes(new_runs=[run("r2", slot=T0)]), "same slot")
    store.commit(Changes(new_runs=[run("r3", slot=T0, profile="eu")]), "another profile")
    store.commit(Changes(new_runs=[run("r4"), run("r5")]), "no slot at all")
    assert store.run_exists("r3")
    assert not store.run_exists("r2")


def test_a_commit_made_again_is_made_once(rig: Rig) -> None:
    """FAULTS 8, 14: the commit happened and the caller did not hear of it."""
    store = rig.writer()
    one = task("a")
    started(store, one)
    changes = Changes(executions={"a": moved(one, TaskState.QUEUED)}, events=[event()], audit=[entry()])
    first = store.commit(changes, "once")
    assert store.commit(changes, "once") == first
    store.commit(Changes(events=[event()]), "between")
    assert store.commit(changes, "once") == first
    assert store.commit(Changes(events=[event(), event()]), "once") == first
    assert rig.queries().last_seq() == first + 1
    assert len(rig.queries().audit()) == 1
    again = rig.writer(epoch=2, holder="second")
    assert again.commit(changes, "once") == first


def test_numbers_go_on_after_a_restart(rig: Rig) -> None:
    store = rig.writer()
    started(store, task("a"))
    store.commit(
        Changes(events=[event(), event()], audit=[entry()], transitions=[transition(task("a"), TaskState.QUEUED)]),
        "c",
    )
    store.close()
    after = rig.writer(epoch=2, holder="second")
    assert after.commit(Changes(events=[event()], audit=[entry()]), "d") == 4
    assert [each.seq for each in rig.queries().events(0)] == [1, 2, 3, 4]
    assert rig.queries().verify_audit() == (2, None, "2 entries, unbroken.")


def test_nothing_to_write_is_nothing_written(rig: Rig) -> None:
    store = rig.writer()
    assert store.commit(Changes(), "empty") == 0
    started(store, task("a"))
    assert store.commit(Changes(verdicts={"a": verdict("a")}), "no event") == 0


def test_a_record_that_is_new_and_replaced_at_once_is_inserted_as_its_last_form(rig: Rig) -> None:
    store = rig.writer()
    born, tried = task("a"), attempt(task("a"))
    grown = moved(born, TaskState.FAILED, error=failure())
    ended = replace(tried, state=AttemptState.FAILED, exit_code=1)
    begun = run()
    over = replace(begun, state=RunState.FAILED, row_version=1)
    store.commit(
        Changes(
            versions=[version()],
            new_runs=[begun],
            runs={"r1": over},
            new_executions=[born],
            executions={"a": grown},
            new_attempts=[tried],
            attempts={tried.token: ended},
        ),
        "c",
    )
    record = store.load_run("r1")
    assert record is not None
    assert (record.run, list(record.executions)) == (over, [grown])
    assert list(store.attempts_of("a")) == [ended]


def test_only_the_latest_execution_of_a_task_counts(rig: Rig) -> None:
    """DESIGN 4: a retry by hand is a new execution; `show` has the latest, `--history` all."""
    store = rig.writer()
    first = task("e1", task_id="a", state=TaskState.FAILED)
    started(store, first, task("e2", task_id="b"))
    second = task("e3", task_id="a", sequence=1, retry_of="e1", created_at=at(60))
    store.commit(Changes(new_executions=[second]), "retry")
    record = store.load_run("r1")
    assert record is not None
    assert [each.execution_id for each in record.executions] == ["e3", "e2"]
    queries = rig.queries()
    assert [each.execution_id for each in queries.executions("r1")] == ["e3", "e2"]
    assert [each.execution_id for each in queries.executions("r1", history=True)] == ["e1", "e3", "e2"]


def test_the_items_of_a_foreach_take_the_place_of_their_placeholder(rig: Rig) -> None:
    store = rig.writer()
    started(store, task("z"), task("p", task_id="each"), task("b"))
    items = [task(f"i{index}", task_id="each", map_index=index, created_at=at(5)) for index in range(3)]
    store.commit(Changes(new_executions=items, retired_executions=["p"]), "expand")
    found = rig.queries().executions("r1")
    assert [each.execution_id for each in found] == ["z", "i0", "i1", "i2", "b"]


def test_active_runs_are_those_that_are_not_over(rig: Rig) -> None:
    store = rig.writer()
    one, two = task("a", state=TaskState.RUNNING), task("b", "r2")
    started(store, one)
    store.commit(
        Changes(
            new_runs=[
                run("r2", state=RunState.PENDING, scope="mine", triggered_at=at(1)),
                run("r3", state=RunState.SUCCESS),
            ],
            new_executions=[two],
            new_attempts=[attempt(one, 1, state=AttemptState.LOST), attempt(one, 2)],
        ),
        "more",
    )
    active = store.active_runs()
    assert [record.run.run_id for record in active] == ["r1", "r2"]
    assert [each.number for each in active[0].attempts] == [2]
    assert [record.run.run_id for record in store.active_runs("mine")] == ["r2"]
    assert store.load_run("nobody") is None


def test_previous_run_and_versions(rig: Rig) -> None:
    """C-11: versions are immutable; a run pins one."""
    store = rig.writer()
    started(store, logical_date=at(0))
    store.commit(
        Changes(
            versions=[version(number=2)],
            new_runs=[run("r2", version=2, logical_date=at(60)), run("r3", logical_date=at(30), profile="eu")],
        ),
        "c",
    )
    previous = store.previous_run("orders", None, at(60))
    assert previous is not None
    assert previous.run_id == "r1"
    assert store.previous_run("orders", None, T0) is None
    assert store.latest_version("orders") == version(number=2)
    assert store.version("orders", 1) == version()
    assert store.latest_version("nobody") is None
    with pytest.raises(Conflict):
        store.commit(Changes(versions=[version()]), "again")


def test_medians_come_from_successes(rig: Rig) -> None:
    store = rig.writer()
    ended = [
        task(f"e{n}", f"r{n}", task_id="a", state=TaskState.SUCCESS, started_at=T0, completed_at=at(seconds))
        for n, seconds in enumerate((1, 2, 30), 1)
    ]
    failed = task("e9", "r1", task_id="b", state=TaskState.FAILED, started_at=T0, completed_at=T0)
    store.commit(
        Changes(
            versions=[version()],
            new_runs=[run(f"r{n}", state=RunState.SUCCESS, triggered_at=at(n)) for n in (1, 2, 3)],
            new_executions=[*ended, failed],
        ),
        "c",
    )
    assert store.median_seconds("orders") == {"a": 2.0} == rig.queries().task_seconds("orders")
    assert store.median_seconds("nobody") == {}


def test_the_verdict_ledger_keeps_its_history(rig: Rig) -> None:
    """DESIGN 4: one verdict holds at a time, and what held before is not forgotten."""
    store = rig.writer()
    started(store, task("a"))
    store.commit(Changes(verdicts={"a": verdict("a")}), "1")
    store.commit(Changes(verdicts={"a": verdict("a", sentence="Still full.")}), "2")
    store.commit(Changes(verdicts={"a": verdict("a", "RATE", since=at(5))}), "3")
    assert rig.queries().verdicts("r1")["a"].code == "RATE"
    store.commit(Changes(verdicts={"a": None}, events=[event(at=at(8))]), "4")
    assert rig.queries().verdicts("r1") == {}
    with store._reading() as connection:
        kept = connection.exec_driver_sql("SELECT code, sentence, until FROM verdicts ORDER BY since").all()
    micros = int(T0.timestamp()) * 1_000_000
    assert [tuple(row) for row in kept] == [
        ("POOL_FULL", "Still full.", micros + 5_000_000),
        ("RATE", "The pool is full.", micros + 8_000_000),
    ]


def test_a_letter_changes_with_its_status(rig: Rig) -> None:
    store = rig.writer()
    one = task("a")
    started(store, one)
    dead = letter("l1", one)
    store.commit(Changes(new_letters=[dead]), "1")
    closed = replace(dead, status=LetterStatus.REQUEUED, requeued_as="e2", queue=Queue.TRANSIENT)
    store.commit(Changes(letters={"l1": closed}), "2")
    assert store.letter("l1") == closed
    assert list(store.letters_of(["a"])) == []
    assert store.letter("nobody") is None


def test_a_checkpoint_is_replaced_and_a_damaged_one_is_none(rig: Rig) -> None:
    """CKP-02, CKP-03."""
    store = rig.writer()
    started(store, task("a"))

    def saved(value: Any) -> Checkpoint:
        return Checkpoint(run_id="r1", task_id="a", map_index=2, value=value, at=T0, attempt_token="t")

    store.commit(Changes(checkpoints=[saved({"page": 1})]), "1")
    store.commit(Changes(checkpoints=[saved({"page": 2})]), "2")
    assert store.checkpoint("r1", "a", 2) == saved({"page": 2})
    assert store.checkpoint("r1", "a", None) is None
    rig.sql("""UPDATE checkpoints SET value = '{"page":3}'""")
    assert store.checkpoint("r1", "a", 2) is None


def test_pruning_takes_whole_runs_that_are_over_and_nothing_else(rig: Rig) -> None:
    """DEP-06: retention by age and by number, in bounded batches."""
    store = rig.writer()
    changes = Changes(versions=[version()])
    for n in range(8):
        state = RunState.RUNNING if n == 0 else RunState.SUCCESS
        ended = None if n == 0 else at(n * 100)
        name, one = f"r{n}", task(f"e{n}", f"r{n}", task_id="a")
        changes.new_runs.append(run(name, state=state, triggered_at=at(n * 100), completed_at=ended))
        changes.new_executions.append(one)
        changes.new_attempts.append(attempt(one))
        changes.transitions.append(transition(one, TaskState.QUEUED))
        changes.verdicts[one.execution_id] = verdict(one.execution_id)
        changes.new_letters.append(letter(f"l{n}", one, status=LetterStatus.REQUEUED))
        changes.checkpoints.append(
            Checkpoint(run_id=name, task_id="a", map_index=None, value=n, at=T0, attempt_token="t")
        )
        changes.metrics.append((name, "a", None, "rows", 1.0, T0))
        changes.events.append(event(run_id=name, at=at(n * 100)))
        changes.audit.append(entry(resource_id=name))
    store.commit(changes, "fill")
    assert store.prune(before=at(-1), keep_runs=100, limit=10) == []
    assert store.prune(before=at(350), keep_runs=100, limit=2) == ["r1", "r2"]
    assert store.prune(before=at(350), keep_runs=100, limit=2) == ["r3"]
    assert store.prune(before=at(350), keep_runs=2, limit=9) == ["r4", "r5"]
    queries = rig.queries()
    assert [each.run_id for each in queries.runs()[0]] == ["r7", "r6", "r0"]
    tables = [
        "task_executions",
        "attempts",
        "transitions",
        "verdicts",
        "dead_letters",
        "checkpoints",
        "task_metrics",
    ]
    with store._reading() as connection:
        left = {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in tables}
    assert left == dict.fromkeys(tables, 3)
    assert [each.run_id for each in queries.events(0)] == ["r6", "r7"]  # r0's was past its time too
    assert queries.verify_audit()[:2] == (8, None)
    assert queries.last_seq() == 8
    assert store.commit(Changes(events=[event(run_id="r0")]), "goes on") == 9


def test_a_run_with_an_open_letter_is_kept_until_the_letter_is_closed(rig: Rig) -> None:
    """DEP-06, DLQ-01: it is work somebody still owes, whatever its age and however many runs there are."""
    store = rig.writer()
    changes = Changes(versions=[version()])
    kinds = [*LetterStatus, None]
    for n, status in enumerate(kinds):
        name, one = f"r{n}", task(f"e{n}", f"r{n}", task_id="a")
        ended = {"state": RunState.FAILED, "triggered_at": at(n), "completed_at": at(n)}
        changes.new_runs.append(run(name, **ended))
        changes.new_executions.append(one)
        if status is not None:
            changes.new_letters.append(letter(f"l{n}", one, status=status, failed_at=at(n)))
    store.commit(changes, "fill")
    owed = {f"r{kinds.index(status)}" for status in (LetterStatus.NEW, LetterStatus.IN_PROGRESS)}
    assert set(store.prune(before=at(100), keep_runs=1, limit=10)) == {f"r{n}" for n in range(5)} - owed
    queries = rig.queries()
    assert {each.run_id for each in queries.runs()[0]} == owed
    assert {each.run_id for each in queries.letters()[0]} == owed
    assert store.prune(before=at(100), keep_runs=1, limit=10) == []
    closed = [replace(each, status=LetterStatus.DISCARDED) for each in queries.letters()[0]]
    store.commit(Changes(letters={each.id: each for each in closed}), "close")
    assert set(store.prune(before=at(100), keep_runs=1, limit=10)) == owed


def test_open_letters_are_found_by_their_age_the_oldest_first(rig: Rig) -> None:
    store = rig.writer()
    started(store, *(task(f"e{n}") for n in range(5)))
    new, claimed, closed = LetterStatus.NEW, LetterStatus.IN_PROGRESS, LetterStatus.REQUEUED
    statuses = [new, claimed, closed, new, new]
    letters = [
        letter(f"l{n}", task(f"e{n}"), status=status, failed_at=at(10 - n)) for n, status in enumerate(statuses)
    ]
    store.commit(Changes(new_letters=letters), "1")
    assert [each.id for each in store.open_letters(at(10), 9)] == ["l4", "l3", "l1"]
    assert [each.id for each in store.open_letters(at(10), 2)] == ["l4", "l3"]
    assert list(store.open_letters(at(6), 9)) == []


def test_the_probe_writes_and_cleans_up(rig: Rig) -> None:
    """HLT-03: rows older than an hour are removed."""
    store = rig.writer()
    for moment in (0, 1, 4000):
        store.probe(at(moment))
    with store._reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM health_check_temp").scalar_one() == 1


def test_a_definition_taken_back_is_found_by_its_hash(rig: Rig) -> None:
    """C-11: an edit that is undone mints no third version."""
    store = rig.writer()
    store.commit(Changes(versions=[version(), version(number=2)]), "c")
    assert store.version_with_hash("orders", "h1") == version()
    assert store.version_with_hash("orders", "h9") is None
    assert store.version_with_hash("other", "h1") is None


def test_commands_that_have_their_answer_are_known(rig: Rig) -> None:
    """A crash between the answer and the removal: the command is not carried out twice."""
    store = rig.writer()
    answers = [event("command.accepted", correlation_id="q1"), event("command.refused", correlation_id="q2")]
    store.commit(Changes(events=[*answers, event("task.state", correlation_id="q3")]), "c")
    assert store.answered(["q1", "q2", "q3", "q4"]) == {"q1", "q2"}
    assert store.answered([]) == frozenset()


def test_hooks_that_fell_due_are_known_until_they_are_sent(rig: Rig) -> None:
    store = rig.writer()
    due = [event("hook.due", correlation_id=f"h{n}", run_id=f"r{n % 2}") for n in range(4)]
    ends = [event("hook.sent", correlation_id="h0"), event("hook.failed", correlation_id="h3")]
    store.commit(Changes(events=[*due, *ends, event("task.state", correlation_id="h1")]), "c")
    assert [each.correlation_id for each in store.unsent_hooks()] == ["h1", "h2"]
    assert store.fired_hooks("r1") == {"h1", "h3"}


def test_runs_are_found_by_the_task_that_started_them(rig: Rig) -> None:
    store = rig.writer()
    children = [run("c2", parent_execution="e1", triggered_at=at(2)), run("c1", parent_execution="e1")]
    store.commit(Changes(versions=[version()], new_runs=[*children, run("alone")]), "c")
    assert [each.run_id for each in store.child_runs(["e1", "e2"])] == ["c1", "c2"]
    assert store.child_runs([]) == []


def test_a_poke_that_saw_nothing_leaves_no_attempt(rig: Rig) -> None:
    """DESIGN 4: a poke becomes an attempt only when it decides something."""
    store = rig.writer()
    sensor = task("a", state=TaskState.QUEUED, cancelling=Reason.RUN_CANCELLED)
    started(store, sensor)
    poke = attempt(sensor, poke=True)
    store.commit(Changes(new_attempts=[poke]), "poke")
    store.commit(Changes(removed_attempts=[poke.token]), "nothing seen")
    assert store.attempts_of("a") == []
    decided = replace(poke, token="a-2", poke=False, state=AttemptState.SUCCESS)
    store.commit(Changes(new_attempts=[replace(decided, poke=True)]), "again")
    store.commit(Changes(attempts={decided.token: decided}), "decided")
    assert store.attempts_of("a") == [decided]
    record = store.load_run("r1")
    assert record is not None
    assert list(record.executions) == [sensor]
