"""`penstock lineage`: what a dataset is made from and what from it, as text, JSON, DOT or OpenLineage events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.spans import moment as instant
from engine.cli.syntax import command, pass_session
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from engine.client import Client
    from engine.model.dataset import TouchRecord

_FORMATS = ("json", "openlineage", "dot")
_RUNS = 1_000  # exported at once
_SINCE = timedelta(days=30)  # of an export that names no dataset


@command("lineage", "penstock lineage dwh:orders", "penstock lineage dwh:orders --upstream --at 2026-03-01")
@click.argument("dataset", required=False)
@click.option("--upstream", is_flag=True, help="Only what it is made from.")
@click.option("--downstream", is_flag=True, help="Only what is made from it, and who would notice.")
@click.option("--depth", type=click.IntRange(1, 1000), help="At most so many steps; 1 is the direct ones.")
@click.option("--to", "target", metavar="OTHER", help="The way from DATASET into OTHER.")
@click.option("--at", metavar="TIME", help="As it stood then.")
@click.option("-f", "--format", "form", type=click.Choice(_FORMATS), help="Default: text.")
@pass_session
def lineage(
    session: Session,
    dataset: str | None,
    upstream: bool,
    downstream: bool,
    depth: int | None,
    target: str | None,
    at: str | None,
    form: str | None,
) -> None:
    """Show where DATASET comes from and where it goes, as declared and as recorded; without it, everything."""
    if session.json and form not in (None, "json"):
        raise RequestError(f"--json and -f {form} do not go together; give one of them.")
    moment = instant(at, "--at")
    if form == "openlineage":
        _export(session, dataset, moment)
        return
    if dataset is None and (upstream or downstream or depth or target):
        raise RequestError("Name a DATASET; `penstock data` lists them.")
    document = _document(session.client, dataset, upstream, downstream, depth, target, moment)
    if session.json or form == "json":
        session.out.document(document)
    elif form == "dot":
        session.out.block("\n".join(_dot(document)))
    else:
        _print(session.out, document)


def _document(
    client: Client,
    dataset: str | None,
    upstream: bool,
    downstream: bool,
    depth: int | None,
    target: str | None,
    at: datetime | None,
) -> dict[str, Any]:
    from engine.client import data_views

    if dataset is None:
        return data_views.whole(client.data.graph(at))
    if target is not None:
        links = client.data.path(dataset, target, at)
        names = dict.fromkeys(name for link in links for name in (link.source, link.target))
        nodes = [{"name": name} for name in names]
        return {
            "from": dataset,
            "to": target,
            "nodes": nodes,
            "edges": data_views.edges(links, client.data.graph(at)),
        }
    both = upstream == downstream
    found = client.data.lineage(dataset, depth=depth, at=at)
    return data_views.lineage(found, upstream=upstream or both, downstream=downstream or both)


def _print(out: Output, document: dict[str, Any]) -> None:
    if "dataset" not in document:
        if "to" in document and not document["edges"]:
            out.remark(f"Nothing that is known leads from {document['from']} to {document['to']}.")
            return
        _print_edges(out, document["edges"])
        return
    at = f", as of {document['at']}" if document["at"] else ""
    out.line(f"{document['dataset']}{at}")
    for title, mark in (("upstream", "<"), ("downstream", ">")):
        for each in document[title]:
            out.line(f"  {mark * each['hop']} {each['name']}")
    if document["sources"] and document["upstream"]:
        out.line(f"sources     {', '.join(document['sources'])}")
    if document["affected"]:
        out.line(f"affected    {', '.join(document['affected'])}")
    _print_edges(out, document["edges"])


def _print_edges(out: Output, edges: list[dict[str, Any]]) -> None:
    rows = [
        (
            each["source"],
            each["target"],
            f"{each['pipeline_id']}/{each['task_id']}",
            each["transformation"] or "",
            each["last_seen"] or "declared, not seen yet",
        )
        for each in edges
    ]
    out.table(("FROM", "TO", "BY", "HOW", "LAST"), rows, empty="Nothing is made from anything here.")


def _dot(document: dict[str, Any]) -> Iterator[str]:
    from engine.layout.dot import quote

    yield "digraph lineage {"
    yield "  rankdir=LR;"
    yield '  node [fontname="Helvetica", shape="box"];'
    for node in document["nodes"]:
        focus = ', style="bold"' if node["name"] == document.get("dataset") else ""
        yield f"  {quote(node['name'])} [label={quote(node['name'])}{focus}];"
    for each in document["edges"]:
        style = "solid" if each["recorded"] else "dashed"
        label = quote(f"{each['pipeline_id']}/{each['task_id']}")
        yield f'  {quote(each["source"])} -> {quote(each["target"])} [label={label}, style="{style}"];'
    yield "}"


def _export(session: Session, dataset: str | None, at: datetime | None) -> None:
    from engine.client.openlineage import events

    for each in events(_touches(session.client, dataset, at)):
        session.out.json_line(each)


def _touches(client: Client, dataset: str | None, at: datetime | None) -> Iterable[TouchRecord]:
    """Whole runs, the oldest first: those that touched the dataset, or any."""
    queries, until = client.queries, at or client.clock.now()
    if dataset is None:
        runs = list(queries.touching_runs(client.profile, until - _SINCE, _RUNS))
    else:
        client.data.lineage(dataset, depth=1)  # a name that is none is told so
        touched = queries.touches(client.profile, dataset, limit=_RUNS)
        runs = list(dict.fromkeys(each.run_id for each in reversed(touched)))
    for run_id in runs:
        yield from (each for each in queries.touches_of_run(run_id) if each.at <= until)
