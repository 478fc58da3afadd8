"""What can be done, as commands that can be typed as they stand.

Law: every command exists in this version; angle brackets mark what only a person knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.errors import ErrorKind
from engine.model.run import RunState, TaskState
from engine.rules.explain_facts import Action, RunFacts, TaskFacts, VerdictCode
from engine.rules.explain_words import task_name

S = TaskState


def waiting_actions(facts: TaskFacts, code: str, holders: Sequence[str]) -> list[Action]:
    """What helps a task that is held back."""
    actions = [
        action(f"see why {holder} is not done", f"penstock why {quoted(holder.replace('/', ' ', 1))}")
        for holder in holders[:3]
    ]
    if code in (VerdictCode.CIRCUIT, VerdictCode.RATE_LIMITED) and facts.task is not None:
        connection = facts.task.config.get("connection")
        if isinstance(connection, str):
            actions.append(action("test the connection", f"penstock connections test {connection}"))
    if code in (VerdictCode.NO_WORKER, VerdictCode.NO_CPU, VerdictCode.NO_MEMORY):
        actions.append(action("see what is held", "penstock health"))
    if facts.execution.state is S.RETRYING:
        actions.append(log_action(facts))
    if code == VerdictCode.SENSING:
        actions.append(about("go on without waiting for it", "mark", facts, " success --reason '<why>'"))
    actions.append(about("give it up", "cancel", facts))
    return actions


def failed_actions(facts: TaskFacts) -> list[Action]:
    """What helps a task that failed."""
    kind = facts.execution.error.kind if facts.execution.error else None
    actions = []
    if kind in (ErrorKind.NETWORK, ErrorKind.PERMISSION) and facts.task is not None:
        connection = facts.task.config.get("connection")
        if isinstance(connection, str):
            actions.append(action("test the connection", f"penstock connections test {connection}"))
    if facts.execution.attempt_count:
        actions.append(log_action(facts))
    actions.append(about("run it again", "retry", facts))
    if facts.letter_id:
        actions.append(action("look at its dead letter", f"penstock dlq show {facts.letter_id}"))
        edit = f"penstock dlq requeue {facts.letter_id} --set config.<key>=<value>"
        actions.append(action("run it again with something changed", edit))
    actions.append(about("go on as if it had succeeded", "mark", facts, " success --reason '<why>'"))
    return actions


def run_actions(facts: RunFacts) -> tuple[Action, ...]:
    """What can be done with a run as a whole."""
    run = facts.run
    if run.state in (RunState.FAILED, RunState.CANCELLED):
        again = action("run again all that failed or was cancelled", f"penstock retry {run.run_id}")
        return (again, action("see every attempt", f"penstock show {run.run_id} --history"))
    if run.state is RunState.SUCCESS:
        return ()
    return (
        action("watch it", f"penstock logs {run.run_id} -f"),
        action("cancel it", f"penstock cancel {run.run_id}"),
    )


def action(label: str, command: str) -> Action:
    """A label and the command that does it."""
    return Action(label=label, command=command)


def about(label: str, verb: str, facts: TaskFacts, rest: str = "") -> Action:
    """An action on the task the facts are about."""
    name = quoted(task_name(facts.execution))
    return action(label, f"penstock {verb} {facts.run.run_id} {name}{rest}")


def log_action(facts: TaskFacts, *, follow: bool = False) -> Action:
    """Read what it wrote, or watch it write."""
    return about("read its log", "logs", facts, " -f" if follow else f" --attempt {facts.execution.attempt_count}")


def retry_roots(facts: TaskFacts) -> str:
    """The command that runs the roots of the failure again."""
    names = " ".join(quoted(task_name(each)) for each in facts.roots[:5])
    return f"penstock retry {facts.run.run_id} {names}"


def quoted(name: str) -> str:
    """Brackets mean something to shells."""
    if "[" not in name:
        return name
    head, space, last = name.rpartition(" ")
    return f"{head}{space}'{last}'"
