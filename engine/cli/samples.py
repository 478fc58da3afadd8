"""`penstock samples`: an invented history and invented data for the samples' workspace.

Law: only a workspace that says `samples: true` is filled; its history only while no engine leads.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from engine.cli.session import Session
from engine.cli.syntax import Group, command, pass_session
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bootstrap.sample_data import Made
    from engine.bootstrap.samples import Written
    from engine.cli.output import Output


@click.group("samples", cls=Group, examples=("penstock samples history", "penstock samples generate --rows 100000"))
def samples() -> None:
    """Fill a workspace that is marked `samples: true`."""


@command("history", "penstock samples history", "penstock samples history --runs 100000 --no-logs")
@click.option("--days", type=click.IntRange(1, 3650), default=42, show_default=True, help="How far back.")
@click.option(
    "--runs",
    type=click.IntRange(1, 1_000_000),
    help="How many, beside those that runs start; without it, what the schedules give.",
)
@click.option("--seed", default="1", metavar="S", show_default=True, help="Another seed, another history.")
@click.option("--until", metavar="TIME", help="When it ends (ISO 8601); without it, now.")
@click.option("--no-logs", is_flag=True, help="Write no log files.")
@pass_session
def history(session: Session, days: int, runs: int | None, seed: str, until: str | None, no_logs: bool) -> None:
    """Write weeks of invented runs, failures, dead letters and what people did about them into the state."""
    from engine.bootstrap.samples import Wanted, write_history

    out = session.out
    end = _moment(until) if until else session.workspace.clock.now().replace(microsecond=0)
    wanted = Wanted(days=days, runs=runs, seed=seed, until=end, logs=not no_logs)
    told = [0]

    def progress(count: int) -> None:
        if sys.stderr.isatty() and count - told[0] >= 1000:
            told[0] = count
            out.remark(f"{count:,} runs")

    written = write_history(session.workspace, wanted, progress)
    session.answer(_document(written, wanted.seed, end), lambda out: _tell(out, written))


samples.add_command(history)


@command("generate", "penstock samples generate", "penstock samples generate --rows 1000000 --seed winter")
@click.option(
    "--rows", type=click.IntRange(1, 1_000_000_000), default=10_000, show_default=True, help="How many orders."
)
@click.option("--seed", default="1", metavar="S", show_default=True, help="Another seed, other data.")
@click.option(
    "--bad",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="Orders with a wrong value, in per cent.",
)
@pass_session
def generate(session: Session, rows: int, seed: str, bad: float) -> None:
    """Write customers, segments and orders as CSV into data/generated: nulls, unicode, duplicates and bad rows."""
    from engine.bootstrap.sample_data import Wanted, generate

    out = session.out

    def progress(count: int) -> None:
        if sys.stderr.isatty():
            out.remark(f"{count:,} rows")

    made = generate(session.workspace, Wanted(rows=rows, seed=seed, bad=bad / 100), progress)
    document = {
        "files": [
            {"path": str(one.path), "rows": one.rows, "bytes": one.bytes, "sha256": one.sha256} for one in made
        ],
        "seed": seed,
    }
    session.answer(document, lambda out: _list(out, made))


samples.add_command(generate)


def _list(out: Output, made: Sequence[Made]) -> None:
    for one in made:
        out.line(f"{one.path}: {one.rows:,} rows, {one.bytes:,} bytes")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"--until {text[:80]!r} is no ISO 8601 time, such as 2026-11-19T05:30Z.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _document(written: Written, seed: str, until: datetime) -> dict[str, object]:
    return {
        "runs": written.runs,
        "states": dict(sorted(written.states.items())),
        "letters": written.letters,
        "attempts": written.attempts,
        "log_files": written.log_files,
        "seed": seed,
        "until": until.isoformat().replace("+00:00", "Z"),
    }


def _tell(out: Output, written: Written) -> None:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(written.states.items()))
    out.line(
        f"Wrote {written.runs:,} runs ({states}), {written.attempts:,} attempts, {written.letters:,} dead letters."
    )
    if written.log_files:
        out.line(f"The last nights have logs: {written.log_files:,} files.")
