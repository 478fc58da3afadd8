"""Why a task is not running, why it failed, and what can be done: facts in, sentences and commands out.

Law: pure, and never a guess. A stored verdict is repeated, an error is quoted with what it was classified as,
and every action is a command that can be typed as it stands (angle brackets mark what only a person knows).
What hinders everything else, that no engine runs, is said first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.model.errors import ErrorKind
from engine.model.run import AttemptState, Reason, RunState, TaskState
from engine.rules.explain_actions import (
    about,
    action,
    failed_actions,
    log_action,
    retry_roots,
    run_actions,
    waiting_actions,
)
from engine.rules.explain_facts import Action, Explanation, RunFacts, Seen, TaskFacts, VerdictCode
from engine.rules.explain_words import (
    CANCELLED,
    MEANING,
    SKIPPED,
    at,
    count_of,
    ended,
    listed,
    one_line,
    progress_sentence,
    run_seconds,
    run_took,
    seconds_of,
    span,
    tally,
    task_name,
    took,
)
from engine.rules.retry import retried

S = TaskState


def explain_task(facts: TaskFacts) -> Explanation:
    """Why this task is where it is."""
    told = _TELL[facts.execution.state](facts)
    if facts.engine_leads or facts.execution.state.terminal:
        return told
    return _without_engine(told)


def explain_run(facts: RunFacts) -> Explanation:
    """Why this run is where it is: its own reason, then the tasks that are the root of it."""
    run = facts.run
    code, sentence = _run_sentence(facts)
    told = Explanation(
        run_id=run.run_id,
        state=run.state.value,
        code=code,
        sentence=sentence,
        holders=tuple(dict.fromkeys(holder for cause in facts.causes for holder in cause.holders))[:5],
        since=run.completed_at or run.started_at or run.triggered_at,
        details=_run_details(facts),
        actions=run_actions(facts),
        causes=tuple(facts.causes),
    )
    return told if facts.engine_leads or run.state.terminal else _without_engine(told)


def _waiting(facts: TaskFacts) -> Explanation:
    """PENDING, WAITING, QUEUED and RETRYING: the stored verdict, else what the records say."""
    verdict = facts.verdict
    if verdict is None:
        code, sentence, holders = _derived(facts)
        since, expected = (
            facts.execution.queued_at or facts.execution.created_at,
            facts.execution.next_retry_at,
        )
    else:
        code, sentence, since, expected = verdict.code, ended(verdict.sentence), verdict.since, verdict.expected
        holders = tuple(each for each in verdict.holders if each in facts.live) or verdict.holders
    if code == VerdictCode.UPSTREAM:
        holders = _unfinished(facts) or holders
    details = _attempt_details(facts) if facts.execution.state is S.RETRYING else ()
    actions = waiting_actions(facts, code, holders)
    return _told(facts, code, sentence, holders, since, expected, details=details, actions=actions)


def _running(facts: TaskFacts) -> Explanation:
    if facts.verdict is not None:
        return _waiting(facts)
    execution = facts.execution
    live = facts.attempts[-1] if facts.attempts else None
    process = f", process {live.pid}" if live is not None and live.pid else ""
    sentence = f"It is running: attempt {execution.attempt_count} since {at(execution.started_at)}{process}."
    details = [progress_sentence(execution.progress)] if execution.progress else []
    actions = (log_action(facts, follow=True), about("stop it", "cancel", facts))
    return _told(facts, "RUNNING", sentence, since=execution.started_at, details=details, actions=actions)


def _failed(facts: TaskFacts) -> Explanation:
    execution, error = facts.execution, facts.execution.error
    if execution.mark_reason is not None:
        sentence = f"{execution.marked_by} marked it failed: {execution.mark_reason}."
        return _told(facts, "MARKED", sentence, since=execution.completed_at, actions=failed_actions(facts))
    kind = error.kind if error else ErrorKind.LOGIC
    message = one_line(error.message) if error else "no message was recorded"
    what = f"{error.type}: {message}" if error and error.type != kind.value else message
    number = f"in attempt {execution.attempt_count}" if execution.attempt_count else "before it could start"
    sentence = f"It failed {number}, classified as {kind.value}: {what}"
    details = (
        *_attempt_details(facts),
        *((MEANING[kind],) if kind in MEANING else ()),
        *_seen_details(facts.seen),
        *facts.changes,
    )
    return _told(
        facts,
        kind.value,
        sentence,
        since=execution.completed_at,
        details=details,
        actions=failed_actions(facts),
    )


def _skipped(facts: TaskFacts) -> Explanation:
    reason = facts.execution.reason
    roots = tuple(f"{each.run_id}/{task_name(each)}" for each in facts.roots)
    sentence = SKIPPED.get(reason, "It was skipped.") if reason else "It was skipped."
    actions = [action("see why that failed", f"penstock why {root.replace('/', ' ', 1)}") for root in roots[:3]]
    if roots:
        sentence = f"It was skipped because {listed(roots)} did not succeed and its trigger rule asks for that."
        actions.append(action("retry what failed; what was skipped below it is decided again", retry_roots(facts)))
    code = reason.name if reason else "SKIPPED"
    return _told(facts, code, sentence, roots, facts.execution.completed_at, actions=actions)


def _cancelled(facts: TaskFacts) -> Explanation:
    reason = facts.execution.reason
    sentence = CANCELLED.get(reason, "It was cancelled.") if reason else "It was cancelled."
    if reason is Reason.RUN_CANCELLED and facts.run.cancelled_by:
        sentence = f"{facts.run.cancelled_by} cancelled the run."
    code = reason.name if reason else "CANCELLED"
    actions = (about("run it again", "retry", facts),)
    return _told(facts, code, sentence, since=facts.execution.completed_at, actions=actions)


def _succeeded(facts: TaskFacts) -> Explanation:
    execution = facts.execution
    if execution.mark_reason is not None:
        sentence = f"{execution.marked_by} marked it successful: {execution.mark_reason}."
    else:
        sentence = f"It succeeded in attempt {execution.attempt_count}, {took(execution)}."
    details = _attempt_details(facts) if execution.attempt_count > 1 else ()
    return _told(facts, "SUCCESS", sentence, since=execution.completed_at, details=details)


_TELL = {
    S.PENDING: _waiting,
    S.WAITING: _waiting,
    S.QUEUED: _waiting,
    S.RETRYING: _waiting,
    S.RUNNING: _running,
    S.FAILED: _failed,
    S.SKIPPED: _skipped,
    S.CANCELLED: _cancelled,
    S.SUCCESS: _succeeded,
}


def _told(
    facts: TaskFacts,
    code: str,
    sentence: str,
    holders: Sequence[str] = (),
    since: datetime | None = None,
    expected: datetime | None = None,
    *,
    details: Sequence[str] = (),
    actions: Sequence[Action] = (),
) -> Explanation:
    return Explanation(
        run_id=facts.run.run_id,
        task_id=facts.execution.task_id,
        map_index=facts.execution.map_index,
        state=facts.execution.state.value,
        code=str(code),
        sentence=sentence,
        holders=tuple(holders),
        since=since,
        expected=expected,
        details=tuple(details),
        actions=tuple(actions),
    )


def _without_engine(told: Explanation) -> Explanation:
    first = "No engine is running, so nothing starts or goes on."
    start = action("start an engine", "penstock engine")
    return Explanation(
        run_id=told.run_id,
        task_id=told.task_id,
        map_index=told.map_index,
        state=told.state,
        code=VerdictCode.NO_ENGINE.value,
        sentence=first,
        holders=told.holders,
        since=told.since,
        expected=None,
        details=(f"Before that: {told.sentence}", *told.details),
        actions=(start, *told.actions),
        causes=told.causes,
    )


def _derived(facts: TaskFacts) -> tuple[str, str, tuple[str, ...]]:
    """What the records say where no verdict is stored (yet)."""
    execution = facts.execution
    if facts.run.state is RunState.PENDING:
        sentence = ended(facts.run.reason) or "Its run has just been made and is not admitted yet."
        return VerdictCode.NOT_ADMITTED, sentence, ()
    if execution.state is S.RETRYING:
        return VerdictCode.BACKOFF, f"It is tried again at {at(execution.next_retry_at)}.", ()
    unfinished = _unfinished(facts)
    if execution.state is S.QUEUED or not unfinished:
        return VerdictCode.READY, "It is ready; the engine starts it with its next look.", ()
    return VerdictCode.UPSTREAM, f"It waits for {listed(unfinished)}.", unfinished


def _unfinished(facts: TaskFacts) -> tuple[str, ...]:
    waiting = [each for each in facts.upstream if not each.state.terminal]
    return tuple(f"{each.run_id}/{task_name(each)}" for each in waiting[:5])


def _attempt_details(facts: TaskFacts) -> tuple[str, ...]:
    """One line per attempt that did not succeed, the last five."""
    bad = (AttemptState.FAILED, AttemptState.LOST, AttemptState.CANCELLED)
    lines = []
    ended_badly = [each for each in facts.attempts if each.state in bad and not each.poke]
    told = facts.execution.state is S.FAILED and len(ended_badly) == 1  # the sentence itself has told it
    for attempt in [] if told else ended_badly[-5:]:
        error = attempt.error
        what = f"{error.kind.value}: {one_line(error.message)}" if error else attempt.state.value.lower()
        lines.append(f"Attempt {attempt.number} ended {at(attempt.completed_at)}: {what}")
    return (*lines, *_policy_details(facts))


def _policy_details(facts: TaskFacts) -> tuple[str, ...]:
    """What the retry policy made of it."""
    execution, error = facts.execution, facts.execution.error
    policy = execution.retry_override or (facts.task.retry_policy if facts.task else None)
    if policy is None or not execution.failures:
        return ()
    spent = f"{execution.failures} of at most {policy.max_attempts} attempts have failed"
    final = execution.state is S.FAILED and error is not None and execution.failures < policy.max_attempts
    if final and error is not None and (error.final or not retried(policy, error.kind)):
        return (f"{spent}; it was not tried again because its policy does not retry {error.kind.value}.",)
    return (f"{spent}.",)


def _seen_details(seen: Seen | None) -> tuple[str, ...]:
    if seen is None or seen.count == 0:
        return ()
    if seen.count == 1:
        return ("This failure was not seen before.",)
    return (f"This failure was seen {seen.count} times, first {at(seen.first)}, last {at(seen.last)}.",)


def _run_sentence(facts: RunFacts) -> tuple[str, str]:
    run = facts.run
    if run.state is RunState.PENDING:
        return VerdictCode.NOT_ADMITTED, ended(run.reason) or "The run waits to be admitted."
    if run.state is RunState.CANCELLED:
        return "CANCELLED", ended(run.reason) or f"{run.cancelled_by or 'Somebody'} cancelled the run."
    if run.state is RunState.SUCCESS:
        return "SUCCESS", f"The run succeeded{run_took(run)}."
    if run.state is RunState.FAILED:
        failed = count_of(facts.executions, S.FAILED)
        return "FAILED", ended(run.reason) or f"The run failed{run_took(run)}: {failed} of its tasks failed."
    return "RUNNING", ended(run.reason) or f"The run is under way: {tally(facts.executions)}."


def _run_details(facts: RunFacts) -> tuple[str, ...]:
    lines = []
    if facts.run.state.terminal:
        lines.append(f"Its tasks: {tally(facts.executions)}.")
    timed = [(seconds, each) for each in facts.executions if (seconds := seconds_of(each)) is not None]
    if len(timed) > 1:
        seconds, slowest = max(timed, key=lambda pair: pair[0])
        whole = run_seconds(facts.run)
        share = f" of {span(whole)}" if whole else ""
        lines.append(f"The longest task was {task_name(slowest)}: {span(seconds)}{share}.")
    return tuple(lines)
