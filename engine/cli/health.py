"""`penstock health` and `penstock audit`."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session


@command("health", "penstock health --json")
@pass_session
def health(session: Session) -> int:
    """Check the machine, the store, the engine, the sandbox. Exit code 1 when unhealthy."""
    found = session.client.health()
    session.answer(found, lambda out: _print_health(out, found))
    return 1 if found["status"] == "unhealthy" else 0


@command("audit", "penstock audit --limit 20", "penstock audit --verify")
@click.option("--verify", is_flag=True, help="Check the hash chain instead; exit code 1 when it is broken.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--before", type=int, metavar="SEQ", help="Go on where `next` of an earlier list ended.")
@pass_session
def audit(session: Session, verify: bool, limit: int, before: int | None) -> int:
    """Show who did what, newest first."""
    if verify:
        checked = session.client.verify_audit()
        session.answer(checked, lambda out: out.line(checked["message"]))
        return 0 if checked["valid"] else 1
    found = session.client.audit(limit=limit, before=before)
    session.answer(found, lambda out: _print_audit(out, found))
    return 0


def _print_health(out: Output, found: dict[str, Any]) -> None:
    rows = [(each["component"], each["status"], each["message"]) for each in found["checks"]]
    out.table(("COMPONENT", "STATUS", "MESSAGE"), rows, empty="Nothing was checked.")
    out.line(f"{found['status']} as a whole")


def _print_audit(out: Output, found: dict[str, Any]) -> None:
    rows = [
        (
            each["seq"],
            each["at"],
            each["actor"],
            each["action"],
            f"{each['resource_type'].lower()} {each['resource_id']}",
            "" if each["result"] == "SUCCESS" else each["result"],
            each["details"].get("message") or ", ".join(f"{k}={v}" for k, v in each["details"].items()),
        )
        for each in found["entries"]
    ]
    out.table(("SEQ", "AT", "WHO", "DID", "TO", "", "MESSAGE"), rows, empty="The trail is empty.")
    if found["next"]:
        out.remark(f"There are more: --before {found['next']}")
