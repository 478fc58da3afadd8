"""`penstock data`: datasets, and one of them with its columns, writes and some rows."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.client.text import shorten
from engine.model.errors import NotFound

_WRITES = 10  # shown of one dataset


@command("data", "penstock data", "penstock data dwh:orders --rows 5")
@click.argument("dataset", required=False)
@click.option("--rows", type=click.IntRange(0, 1000), default=5, show_default=True, help="Rows of the sample.")
@pass_session
def data(session: Session, dataset: str | None, rows: int) -> None:
    """List datasets, or show DATASET: columns, versions, last writes, watermarks, and rows that lie staged."""
    from engine.client import data_views

    client = session.client
    if dataset is None:
        found = {"datasets": [data_views.dataset_row(each) for each in client.datasets()]}
        session.answer(found, lambda out: _print_list(out, found["datasets"]))
        return
    shown = data_views.dataset(client.data.detail(dataset), client.writes(dataset)[:_WRITES])
    sample, why = _sample(session, dataset, rows)
    document = {"dataset": shown, "sample": sample, "no_sample": why}
    session.answer(document, lambda out: _print(out, document))


def _sample(session: Session, dataset: str, rows: int) -> tuple[dict[str, Any] | None, str | None]:
    from engine.client import data_views

    if not rows:
        return None, None
    try:
        return data_views.sample(session.client.sample(dataset, rows)), None
    except NotFound as error:
        return None, str(error)


def _print_list(out: Output, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            each["name"],
            each["last_written"] or "",
            number(each["rows"]),
            number(each["bytes"]),
            _by(each["written_by"]),
            str(len(each["readers"])),
            each["newest_state"] or "",
        )
        for each in found
    ]
    head = ("DATASET", "WRITTEN", "ROWS", "BYTES", "BY", "READERS", "LAST TRY")
    out.table(head, rows, empty="No datasets: no definition declares one and no run has touched one.")


def _print(out: Output, document: dict[str, Any]) -> None:
    shown = document["dataset"]
    out.line(shown["name"] + (f"  {shown['uri']}" if shown["uri"] else ""))
    _print_facts(out, shown)
    _print_columns(out, shown)
    for mark in shown["watermarks"]:
        value = "from the beginning" if mark["value"] is None else shorten(mark["value"], 60)
        out.line(f"watermark   {mark['pipeline_id']}/{mark['consumer']}: {value} ({mark['strategy']})")
    if shown["writes"]:
        out.line()
        rows = [
            (
                each["completed_at"] or each["started_at"] or "",
                each["state"],
                number(each["rows"]),
                number(each["bytes"]),
                f"{each['pipeline_id']}/{each['task_id']}",
                each["run_id"],
            )
            for each in shown["writes"]
        ]
        out.table(("WRITTEN", "STATE", "ROWS", "BYTES", "TASK", "RUN"), rows, empty="")
    _print_sample(out, document)


def _print_facts(out: Output, shown: dict[str, Any]) -> None:
    if shown["last_written"]:
        out.line(f"written     {shown['last_written']} by {_by(shown['written_by'])}, {_size(shown)}")
    if shown["last_read"]:
        out.line(f"read        {shown['last_read']}")
    for title, names in (("writers", shown["writers"]), ("readers", shown["readers"])):
        if names:
            out.line(f"{title:<11} {', '.join(names)}")


def _print_columns(out: Output, shown: dict[str, Any]) -> None:
    if not shown["columns"]:
        return
    since = shown["versions"][0] if shown["versions"] else None
    told = f", since {since['at']} (run {since['run_id']})" if since and shown["schema_version"] > 1 else ""
    out.line(f"columns     version {shown['schema_version']}{told}")
    for each in shown["columns"]:
        null = "" if each["nullable"] else ", not null"
        out.line(f"  {each['name']}: {each['type']}{null}")


def _print_sample(out: Output, document: dict[str, Any]) -> None:
    sample = document["sample"]
    if sample is None:
        if document["no_sample"]:
            out.remark(document["no_sample"])
        return
    out.line()
    out.line(
        f"{len(sample['rows'])} of {sample['total']:,} rows that {sample['task_id']} of {sample['run_id']} staged:"
    )
    head = [each["name"] for each in sample["columns"]]
    rows = [["NULL" if cell is None else shorten(str(cell), 40) for cell in row] for row in sample["rows"]]
    out.table(head, rows, empty="No rows.")


def _size(shown: dict[str, Any]) -> str:
    count = shown["rows"]
    rows = "rows unknown" if count is None else f"{count:,} row{'' if count == 1 else 's'}"
    return rows if shown["bytes"] is None else f"{rows}, {shown['bytes']:,} bytes"


def _by(by: dict[str, str] | None) -> str:
    return "" if by is None else f"{by['pipeline_id']}/{by['task_id']}"


def number(value: int | None) -> str:
    """A count, blank where nobody told it."""
    return "" if value is None else f"{value:,}"
