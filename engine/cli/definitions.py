"""`penstock validate` and `penstock plan`: definitions before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.client.scalars import assignments
from engine.model.errors import NotFound, Problem
from engine.ports.catalog import PipelineReport

_SUFFIXES = (".yaml", ".yml", ".py")


@command("validate", "penstock validate", "penstock validate pipelines/orders.yaml --json")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
@pass_session
def validate(session: Session, paths: tuple[Path, ...]) -> int:
    """Check pipeline files, all of the workspace or those under PATH; every problem at once.

    Exit code 1 when there are errors; warnings and suggestions do not count.
    """
    files = _files(paths) if paths else None
    if paths and session.directory is None and not _inside_a_workspace(Path.cwd()):
        session.directory = paths[0].resolve().parent
    document, reports = session.client.validate(files)
    session.answer(document, lambda out: _print_reports(out, reports))
    return 0 if document["valid"] else 1


@command("plan", "penstock plan orders_daily -p region=eu")
@click.argument("pipeline")
@click.option("-p", "pairs", metavar="NAME=VALUE", multiple=True, help="A parameter; may be given again.")
@click.option("--logical-date", metavar="DATE", help="The time to plan for (ISO 8601, UTC if no zone).")
@pass_session
def plan(session: Session, pipeline: str, pairs: tuple[str, ...], logical_date: str | None) -> None:
    """Show what a run of PIPELINE would do: levels, critical path, estimate, rendered configs. Runs nothing."""
    from engine.cli.spans import moment

    given = assignments(pairs, "-p")
    found = session.client.plan(pipeline, given, moment(logical_date, "--logical-date"))
    session.answer(found, lambda out: _print_plan(out, found))


def problem_line(problem: Problem, file: str | None) -> str:
    """One problem for people: where, what, and what was likely meant."""
    where = ":".join(str(part) for part in (problem.file or file, problem.line) if part is not None)
    parts = [part for part in (where, problem.path) if part]
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{' '.join(parts)}: {problem.message}{hint}" if parts else f"{problem.message}{hint}"


def _files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the definitions below them."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
        elif path.exists():
            files.append(path)
        else:
            raise NotFound(f"There is no file {path}.")
    return [path.resolve() for path in files]


def _inside_a_workspace(folder: Path) -> bool:
    return any((each / "penstock.yaml").exists() for each in (folder, *folder.parents))


def _print_reports(out: Output, reports: Sequence[PipelineReport]) -> None:
    if not reports:
        out.remark("There are no pipelines here yet; they go into pipelines/*.yaml.")
    for report in reports:
        mark = "✗" if report.errors else "✓"
        out.line(f"{mark} {report.id or '?'}  {report.file}")
        for word, problems in (
            ("error", report.errors),
            ("warning", report.warnings),
            ("suggestion", report.suggestions),
        ):
            for problem in problems:
                out.line(f"    {word}: {problem_line(problem, report.file)}")
    bad = sum(bool(report.errors) for report in reports)
    if reports:
        out.line(f"{len(reports)} pipelines, {bad} with errors" if bad else f"{len(reports)} pipelines, all valid")


def _print_plan(out: Output, found: dict[str, Any]) -> None:
    seconds = found["estimated_seconds"]
    out.line(f"{found['pipeline_id']}: {len(found['tasks'])} tasks in {len(found['levels'])} levels")
    for number, row in enumerate(found["levels"], 1):
        out.line(f"  {number}. {', '.join(row)}")
    out.line(f"Critical path: {' → '.join(found['critical_path'])}")
    out.line(f"Estimate: {seconds:.1f} s" if seconds is not None else "Estimate: none before its first success")
    for task in found["tasks"]:
        if task["unresolved"]:
            out.line(f"  {task['id']}: only a run knows {', '.join(task['unresolved'])}")
