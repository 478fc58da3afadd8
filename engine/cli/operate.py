"""`penstock retry`, `cancel` and `mark`: an operator's hand on a run."""

from __future__ import annotations

import click

from engine.cli.deliver import deliver, report
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.model.errors import RequestError


@command("retry", "penstock retry last", "penstock retry last join_sales 'load[3]' --downstream --wait")
@click.argument("run")
@click.argument("tasks", nargs=-1, metavar="[TASK...]")
@click.option("--downstream", is_flag=True, help="Also what had succeeded below them.")
@click.option("--fresh", is_flag=True, help="Discard their checkpoints.")
@click.option("--wait", is_flag=True, help="Carry it out here if no engine runs, and wait for the end.")
@pass_session
def retry(session: Session, run: str, tasks: tuple[str, ...], downstream: bool, fresh: bool, wait: bool) -> int:
    """Run TASKs of RUN again; without one, all that FAILED or were CANCELLED. What a failure skipped follows."""
    client = session.client
    found = client.run(run)
    names = client.tasks(found.run_id, tasks)
    arguments = {"run_id": found.run_id, "tasks": names, "downstream": downstream, "fresh": fresh}
    answer = deliver(session, "run.retry", arguments, wait=wait)
    report(session, answer, waited=wait)
    return outcome(session, [found.run_id]) if wait else 0


@command("cancel", "penstock cancel last", "penstock cancel last join_sales")
@click.argument("run")
@click.argument("tasks", nargs=-1, metavar="[TASK...]")
@pass_session
def cancel(session: Session, run: str, tasks: tuple[str, ...]) -> None:
    """Stop RUN, or only TASKs of it, processes included."""
    client = session.client
    found = client.run(run)
    if tasks:
        names = client.tasks(found.run_id, tasks)
        answer = deliver(session, "task.cancel", {"run_id": found.run_id, "tasks": names})
    else:
        answer = deliver(session, "run.cancel", {"run_id": found.run_id})
    report(session, answer)


@command("mark", "penstock mark last load_orders success --reason 'loaded by hand'")
@click.argument("run")
@click.argument("task")
@click.argument("state", type=click.Choice(["success", "failed"], case_sensitive=False))
@click.option("--reason", required=True, help="Why; goes into the audit trail.")
@pass_session
def mark(session: Session, run: str, task: str, state: str, reason: str) -> None:
    """Declare TASK of RUN successful or failed without running it; a live attempt is cancelled first."""
    client = session.client
    found = client.run(run)
    (name,) = client.tasks(found.run_id, [task])
    arguments = {"run_id": found.run_id, "task": name, "state": state.lower(), "reason": reason_of(reason)}
    report(session, deliver(session, "task.mark", arguments))


def reason_of(text: str) -> str:
    """A reason that says something."""
    if not text.strip():
        raise RequestError("--reason has to say something; it goes into the audit trail.")
    return text.strip()


def outcome(session: Session, run_ids: list[str]) -> int:
    """The exit code for runs that were waited for: the worst of them."""
    states = [session.client.run(run_id).state.value for run_id in run_ids]
    if "FAILED" in states:
        return 1
    return 130 if "CANCELLED" in states else 0
