"""`penstock dlq`: dead letters, looked at, run again, discarded."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.deliver import deliver, report, together
from engine.cli.operate import outcome, reason_of
from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import group, pass_session, refuse_before_subcommand
from engine.client.letters import retry_policy as checked_policy
from engine.client.names import label
from engine.client.text import shorten
from engine.model.errors import Queue
from engine.model.run import LetterStatus

_QUEUES = [queue.value for queue in Queue]
_STATUSES = [status.value for status in LetterStatus]


@group("dlq", "penstock dlq --queue transient", "penstock dlq requeue 01k9 --set config.command='exit 0'")
@click.option("--queue", type=click.Choice(_QUEUES, case_sensitive=False), help="Only this queue.")
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Default: the open ones.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Go on where `next` of an earlier list ended.")
@click.pass_context
def dlq(ctx: click.Context, queue: str | None, status: str | None, limit: int, before: str | None) -> None:
    """List dead letters, newest first: what no retry will help."""
    if refuse_before_subcommand(ctx, queue=queue, status=status, before=before):
        return
    session = ctx.ensure_object(Session)
    found = session.client.letters(
        queue=Queue(queue.lower()) if queue else None,
        status=LetterStatus(status.lower()) if status else None,
        limit=limit,
        before=before,
    )
    session.answer(found, lambda out: _print_letters(out, found))


@dlq.command("show", examples=("penstock dlq show 01k9",))
@click.argument("letter")
@pass_session
def show(session: Session, letter: str) -> None:
    """Show LETTER (its id or a unique prefix): parameters, config, policy, the errors of every attempt."""
    found = session.client.letter(letter)
    session.answer(found, lambda out: _print_letter(out, found["letter"]))


@dlq.command("requeue", examples=("penstock dlq requeue 01k9 --set config.command='exit 0' --wait",))
@click.argument("letters", nargs=-1, required=True)
@click.option("--set", "pairs", metavar="PATH=VALUE", multiple=True, help="Change a parameter or config key.")
@click.option("--retry-policy", metavar="JSON", help="Another retry policy for the new execution.")
@click.option("--wait", is_flag=True, help="Carry it out here if no engine runs, and wait for the end.")
@pass_session
def requeue(
    session: Session, letters: tuple[str, ...], pairs: tuple[str, ...], retry_policy: str | None, wait: bool
) -> int:
    """Run the tasks of LETTERS again, changed or not. The edits hold for the new executions only."""
    client = session.client
    ids = list(dict.fromkeys(client.queries.letter(name).id for name in letters))
    policy = checked_policy(retry_policy) if retry_policy is not None else None
    orders: list[dict[str, Any]] = []  # letters whose edits come to the same travel together
    for each in ids:
        edits = client.letter_edits(each, pairs)
        same = next((order for order in orders if order["set"] == edits), None)
        if same is None:
            orders.append({"letter_ids": [each], "set": edits, "retry_policy": policy})
        else:
            same["letter_ids"].append(each)
    answers = [deliver(session, "letter.requeue", order, wait=wait) for order in orders]
    report(session, together(answers), waited=wait)
    return outcome(session, [run_id for answer in answers for run_id in answer.run_ids]) if wait else 0


@dlq.command("discard", examples=("penstock dlq discard 01k9 --reason 'the order was withdrawn'",))
@click.argument("letters", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; goes into the audit trail.")
@pass_session
def discard(session: Session, letters: tuple[str, ...], reason: str) -> None:
    """Close LETTERS without running anything."""
    ids = list(dict.fromkeys(session.client.queries.letter(name).id for name in letters))
    report(session, deliver(session, "letter.discard", {"letter_ids": ids, "reason": reason_of(reason)}))


@dlq.command("restore", examples=("penstock dlq restore 01k9",))
@click.argument("letters", nargs=-1, required=True)
@pass_session
def restore(session: Session, letters: tuple[str, ...]) -> None:
    """Open discarded LETTERS again."""
    ids = list(dict.fromkeys(session.client.queries.letter(name).id for name in letters))
    report(session, deliver(session, "letter.restore", {"letter_ids": ids}))


def _print_letters(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (
            each["id"],
            each["queue"],
            each["status"],
            f"{each['pipeline_id']}/{label(each['task_id'], each['map_index'])}",
            each["failed_at"],
            each["kind"],
            shorten((each["message"].splitlines() or [""])[0], 100),
        )
        for each in found["letters"]
    ]
    out.table(("LETTER", "QUEUE", "STATUS", "TASK", "FAILED", "KIND", "MESSAGE"), rows, empty="No dead letters.")
    if found["next"]:
        out.remark(f"There are more: --before {found['next']}")


def _print_letter(out: Output, letter: dict[str, Any]) -> None:
    name = label(letter["task_id"], letter["map_index"])
    out.line(f"{letter['id']}  {letter['queue']}  {letter['status']}")
    out.line(f"{letter['pipeline_id']}/{name} of run {letter['run_id']}, failed {letter['failed_at']}")
    out.line(f"{letter['kind']} ({letter['type']}): {(letter['message'].splitlines() or [''])[0]}")
    for root in ("parameters", "config", "retry_policy"):
        for path, value in _leaves(letter[root], root):
            out.line(f"  {path} = {value}")
    for each in letter["errors"]:
        out.line(
            f"  attempt {each.get('attempt')}, {each.get('failed_at')}: {each.get('kind')}: {each.get('message')}"
        )
    for each in letter["history"]:
        out.line("  " + ", ".join(f"{key} {value}" for key, value in each.items() if value is not None))


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for key, inner in enumerate(value) for leaf in _leaves(inner, f"{path}.{key}")]
    return [(path, value)]
