"""kill -9 at every named place: nothing is lost, nothing runs twice, everything ends as it should (FAULTS 1, 2, 3).

Each test is a chain: an engine that dies at one place, then one that dies at the next while it recovers and works,
and at the end one that lives. So every place is passed once here; `make soak` passes each many times.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.model.run import AttemptState
from tests.runtime.crash_checks import check
from tests.runtime.crash_engine import DONE_WITHIN, SOURCE, EngineProcess, Stage, eventually, stage
from tests.runtime.crash_workspace import MIXTURE, SETTINGS, make

# Places where the engine itself dies; the number is the hit, so that work is on its way by then.
ENGINE = {
    "asked": (
        "schedules.fired:2",
        "commands.answered:4",
        "dispatch.before_remove:3",
        "dispatch.removed:2",
        "runs.child_made",
    ),
    "written": (
        "dispatch.decided:6",
        "store.before_commit:7",
        "store.after_commit:7",
        "dispatch.committed:9",
        "dispatch.acted:9",
    ),
    "started": (
        "admission.admitted:6",
        "executor.before_submit:4",
        "executor.after_submit:4",
        "executor.started:3",
        "reports.started:5",
    ),
    "ended": (
        "executor.before_finished:4",
        "reports.finished:5",
        "reports.checkpoint:2",
        "evaluator.answered",
        "desk.backoff",
    ),
    "told": ("letters.written", "hooks.before_send", "hooks.after_send", "lease.acquired", "engine.took_over"),
    "recovering": ("dispatch.acted:12", "rescuer.reaped", "reports.lost:2", "rescuer.reaped", "lease.acquired"),
}
SLOW = ("lease.renewed", "reports.sampled")  # only passed by an engine, or a task, that lives for seconds
OF_DATA = ("extract.", "load.", "saga.", "files.")  # inside data attempts: their own suites kill there
STOPPING = ("engine.before_stop", "engine.attempts_ended", "lease.before_release", "lease.released")
# Places where an attempt or the zygote dies, again and again, while the engine lives.
BELOW = {
    "attempts": ("attempt.before_run", "attempt.after_run", "attempt.before_outcome", "attempt.after_outcome"),
    "zygotes": ("zygote.before_fork", "zygote.after_fork"),
}
PATIENT = (
    SETTINGS.replace("max_attempts: 6", "max_attempts: 1000, exponential_backoff: false")
    .replace("max_losses: 10", "max_losses: 1000")
    .replace("backoff_seconds: 0.05", "backoff_seconds: 2")
)


def killed_at(one: Stage, place: str) -> None:
    """An engine that dies there."""
    code = one.engine(place).dies()
    assert code == -9, f"{place}: {code} {one.engines[-1].words}"


def ends_well(one: Stage) -> None:
    """An engine that lives carries everything to its end, leaves nothing running, and every promise holds."""
    last = one.engine().leads()
    one.wait_until_done(last)
    assert last.terminate() == 0, last.words
    one.no_orphans()
    check(one)


@pytest.mark.parametrize("chain", ENGINE)
def test_an_engine_killed_at_a_place_loses_nothing_and_repeats_nothing(chain: str, tmp_path: Path) -> None:
    """STM-01, EXE; invariants A, B, D, E."""
    with stage(make(tmp_path / "ws")) as one:
        for place in ENGINE[chain]:
            one.trigger(*MIXTURE)
            killed_at(one, place)
        ends_well(one)


def test_an_engine_killed_on_postgresql_loses_nothing_and_repeats_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    """The same promises with the state, the mailbox and the lease on a server."""
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    with stage(make(tmp_path / "ws", settings=f"{SETTINGS}state: {url}\n")) as one:
        for place in ("dispatch.acted:9", "store.before_commit:7", "store.after_commit:7", "lease.acquired"):
            one.trigger(*MIXTURE)
            killed_at(one, place)
        ends_well(one)


def test_an_engine_killed_while_it_renews_or_measures_loses_nothing(tmp_path: Path) -> None:
    with stage(make(tmp_path / "ws", long_seconds=4.5)) as one:
        one.trigger("long", *MIXTURE)
        for place in SLOW:
            killed_at(one, place)
        ends_well(one)


def test_an_engine_killed_while_it_stops_loses_nothing(tmp_path: Path) -> None:
    with stage(make(tmp_path / "ws")) as one:
        for place in STOPPING:
            (long, *_) = one.trigger("long", *MIXTURE)
            engine = one.engine(place).leads()
            eventually(lambda long=long: one.task_state(long, "long") == "RUNNING", DONE_WITHIN, "a task runs")
            engine.process.terminate()
            assert engine.dies() == -9, engine.words
        ends_well(one)


@pytest.mark.parametrize("chain", BELOW)
def test_attempts_and_zygotes_killed_at_a_place_lose_nothing(chain: str, tmp_path: Path) -> None:
    """Invariants A and B, with the engine killed on top of it."""
    with stage(make(tmp_path / "ws", settings=PATIENT)) as one:
        for place in BELOW[chain]:
            runs = one.trigger(*MIXTURE)
            engine = one.engine(place).leads()
            eventually(lambda: something_died(one, engine, place, runs), DONE_WITHIN, f"something dies at {place}")  # noqa: B023 - called before the next round
            engine.kill()
            one.no_orphans()
        ends_well(one)


def something_died(one: Stage, engine: EngineProcess, place: str, runs: list[str]) -> bool:
    if place.startswith("zygote"):
        return "is gone (signal 9" in engine.words
    ended = AttemptState.SUCCESS if place == "attempt.after_outcome" else AttemptState.FAILED
    rows = [each for run_id in runs for each in one.workspace.queries.attempts(run_id)]
    return any(row.state is ended and row.signal == 9 for row in rows)


def test_every_named_place_is_tried() -> None:
    """At least twenty, and none that the code names is forgotten here."""
    named = set()
    for path in (SOURCE / "engine").rglob("*.py"):
        named |= set(re.findall(r"\bhit\(\"([a-z_.]+)\"\)", path.read_text(encoding="utf-8")))
    tried = {place.partition(":")[0] for chain in ENGINE.values() for place in chain}
    tried |= {*SLOW, *STOPPING, *BELOW["attempts"], *BELOW["zygotes"]}
    data = {place for place in named if place.startswith(OF_DATA)}
    assert len(named - data) >= 20
    assert tried == named - data
    suites = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "tests").rglob("*.py"))
    assert [place for place in sorted(data) if place not in suites] == []


def dies_or_is_done(one: Stage, engine: EngineProcess) -> None:
    """There may be fewer hits than asked for: then it is killed when it has no more to do."""
    eventually(lambda: engine.ended or one.done(), DONE_WITHIN, "it dies, or has no more to do")
    if not engine.ended:
        engine.kill()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", sorted({each.partition(":")[0] for chain in ENGINE.values() for each in chain}))
def test_sweep_each_place_at_its_first_to_its_thirtieth_hit(place: str, tmp_path: Path) -> None:
    """FAULTS 1: the engine dies at the first, second, ... hit, each time on top of the recovery from the last."""
    with stage(make(tmp_path / "ws")) as one:
        for hit in (1, 2, 3, 5, 8, 13, 21, 30):
            one.trigger(*MIXTURE)
            engine = one.engine(f"{place}:{hit}")
            eventually(
                lambda engine=engine: engine.ended or one.done(), DONE_WITHIN, "it dies, or has no more to do"
            )
            if not engine.ended:
                engine.kill()
        ends_well(one)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["rescuer.reaped", "reports.lost", "store.before_commit", "store.after_commit"])
def test_sweep_killed_in_the_recovery_from_a_kill(place: str, tmp_path: Path) -> None:
    """FAULTS 3."""
    with stage(make(tmp_path / "ws")) as one:
        for hit in range(1, 9):
            one.trigger(*MIXTURE)
            killed_at(one, f"dispatch.acted:{6 + hit}")
            engine = one.engine(f"{place}:{hit}")
            eventually(
                lambda engine=engine: engine.ended or one.done(), DONE_WITHIN, "it dies, or has no more to do"
            )
            if not engine.ended:
                engine.kill()
        ends_well(one)
