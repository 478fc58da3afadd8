"""The Catalog port over a workspace's files.

Law: a definition that breaks keeps its last good version in use and is reported; nothing here knows of runs. A
file whose stamp has not changed is not read, one whose bytes have not changed is not checked again unless it
had problems.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.definitions.build import build, canonical
from engine.definitions.check import check_pipeline
from engine.definitions.files import BadFile, Stamp, definition_files, read_inside, shown, stamp
from engine.definitions.parameters import bind
from engine.definitions.problems import Findings, Speller, quote
from engine.definitions.profiles import Profiles, read_profiles
from engine.definitions.renderer import render_plan
from engine.definitions.schema import has_markup
from engine.definitions.sources import Contents, Document, read_source
from engine.definitions.surroundings import Surroundings
from engine.model.errors import NotFound, Problem, RequestError, ValidationFailed
from engine.model.pipeline import Pipeline, Resources
from engine.model.workspace import Connection, Settings
from engine.ports.catalog import PipelineReport, Planned, Renderer
from engine.ports.tasktype import TaskType

FOLDER = "pipelines"
SUBRUN = "pipeline"  # the task type whose config names another pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What is remembered of one file."""

    stamp: Stamp | None
    digest: str
    contents: Contents
    reports: tuple[PipelineReport, ...]
    around: Surroundings
    imports: Mapping[str, Stamp | None] = field(default_factory=dict)

    @property
    def flawless(self) -> bool:
        return not any(report.errors or report.warnings for report in self.reports)


class FileCatalog:
    """engine.ports.catalog.Catalog. Thread-safe: readers see whole snapshots, refreshes take turns."""

    def __init__(
        self,
        settings: Settings,
        task_types: Mapping[str, TaskType],
        *,
        renderer: Renderer | None = None,
        capacity: Resources | None = None,
        python_seconds: float = 10.0,
        connection_types: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._root = settings.root
        self._types = task_types
        self._renderer = renderer
        self._capacity = capacity or machine_capacity(settings)
        self._python_seconds = python_seconds
        self._connection_types = connection_types  # those that installed packages add
        self._lock = threading.RLock()
        self._files: dict[str, _File] = {}
        self._good: dict[str, tuple[Pipeline, str]] = {}  # id -> last good value, and the file it came from
        self._linked: Profiles | None = None
        self._around: Surroundings | None = None
        self._reports: tuple[PipelineReport, ...] = ()
        self._loaded = False

    # ------------------------------------------------------------------ the port

    def refresh(self, paths: Sequence[Path] | None = None) -> Sequence[PipelineReport]:
        """Read what changed; see the port. A path that definitions may depend on (a module, connections.yaml, SQL)
        makes it look at all of them."""
        with self._lock:
            around = self._surroundings()
            named = None if paths is None else self._named(paths)
            wanted = list(definition_files(self._root / FOLDER)) if named is None else named
            if named is None:
                for gone in self._files.keys() - set(wanted):
                    del self._files[gone]
            for path in wanted:
                self._look_at(path, around, again=named is None)
            self._loaded = self._loaded or named is None
            self._settle()
            if named is None:
                return self._reports
            chosen = {shown(path, self._root) for path in named}
            return tuple(report for report in self._reports if report.file in chosen)

    def reports(self) -> Sequence[PipelineReport]:
        """The newest report of every file."""
        self._ensure()
        return self._reports

    def ids(self) -> Sequence[str]:
        """Pipelines usable now, sorted."""
        self._ensure()
        return sorted(self._good)

    def get(self, pipeline_id: str) -> Pipeline:
        """The last good definition; see the port."""
        self._ensure()
        found = self._good.get(pipeline_id)
        if found is not None:
            return found[0]
        broken = [report for report in self._reports if report.id == pipeline_id and report.errors]
        if broken:
            raise ValidationFailed(pipeline_id, [problem for report in broken for problem in report.errors])
        near = Speller().near(pipeline_id, self._good)
        hint = f"; did you mean '{near}'?" if near else "; 'penstock validate' lists the pipelines there are"
        raise NotFound(f"no pipeline {quote(pipeline_id)}{hint}")

    def build(self, document: Mapping[str, Any], file: str | None = None) -> Pipeline:
        """A stored canonical document back into its value."""
        return build(document, file)

    def bind_parameters(
        self, pipeline: Pipeline, given: Mapping[str, Any], *, schedule: bool = False
    ) -> Mapping[str, Any]:
        """Defaults, schedule and given values, type-checked; see the port."""
        scheduled = pipeline.schedule_parameters if schedule else None
        return bind(pipeline.parameters, given, scheduled=scheduled, renderer=self._renderer)

    def connections(self, profile: str | None = None) -> Mapping[str, Connection]:
        """connections.yaml overlaid with the profile's."""
        with self._lock:
            self._surroundings()
            linked = self._linked
        assert linked is not None  # _surroundings has just read them
        if profile not in linked.by_profile:
            near = Speller().near(profile, self._settings.profiles)
            hint = f"; did you mean '{near}'?" if near else "; penstock.yaml lists them under 'profiles'"
            raise RequestError(f"no profile {quote(profile)}{hint}")
        return linked.by_profile[profile]

    def settings(self) -> Settings:
        """penstock.yaml, as it was when the catalog was made: settings hold for the life of an engine."""
        return self._settings

    def render_plan(self, renderer: Renderer, value: Any, context: Mapping[str, Any]) -> Planned:
        """See the port."""
        return render_plan(renderer, value, context)

    # ------------------------------------------------------------------ reading

    def _ensure(self) -> None:
        if not self._loaded:
            self.refresh()

    def _named(self, paths: Sequence[Path]) -> list[str] | None:
        """The definitions among these paths (or below them); None when all may be concerned."""
        base = os.path.abspath(self._root / FOLDER)
        wanted: list[str] = []
        for path in paths:
            full = os.path.abspath(self._root / path)
            if full.endswith((".yaml", ".yml")) and full.startswith(base + os.sep) and not os.path.isdir(full):
                wanted.append(full)
            elif full.startswith(base + os.sep) and not full.endswith(".py"):
                wanted.extend(definition_files(full))
                wanted.extend(known for known in self._files if known.startswith(full + os.sep))
            else:
                return None
        return list(dict.fromkeys(wanted))

    def _look_at(self, path: str, around: Surroundings, *, again: bool) -> None:
        known = self._files.get(path)
        seen = stamp(path)
        if known is not None and seen is not None and known.stamp == seen and not self._imports_changed(known):
            if known.around is around and (known.flawless or not again):
                return
            # The file is the same, what it is checked against may not be: a missing script, a connection.
            self._files[path] = replace(known, reports=self._check(path, known.contents, around), around=around)
            return
        fresh = self._read(path, seen, known, around)
        if fresh is None:
            self._files.pop(path, None)
        else:
            self._files[path] = fresh

    def _read(self, path: str, seen: Stamp | None, known: _File | None, around: Surroundings) -> _File | None:
        name = shown(path, self._root)
        if seen is None and not os.path.lexists(path):
            return None
        try:
            data = read_inside(path, self._root)
        except BadFile as error:
            contents = Contents(problems=(Problem(severity="error", message=f"{name}: {error}", file=name),))
            return _File(
                stamp=None, digest="", contents=contents, reports=self._check(path, contents, around), around=around
            )
        digest = hashlib.sha256(data).hexdigest()
        if (
            known is not None
            and known.digest == digest
            and known.around is around
            and not self._imports_changed(known)
        ):
            return replace(known, stamp=seen)
        contents = read_source(path, name, data, self._root, seconds=self._python_seconds)
        return _File(
            stamp=seen,
            digest=digest,
            contents=contents,
            reports=self._check(path, contents, around),
            around=around,
            imports={other: stamp(other) for other in contents.imports},
        )

    @staticmethod
    def _imports_changed(known: _File) -> bool:
        return any(stamp(other) != before for other, before in known.imports.items())

    def _check(self, path: str, contents: Contents, around: Surroundings) -> tuple[PipelineReport, ...]:
        name = shown(path, self._root)
        reports = [report_on(document, name, around) for document in contents.documents]
        if contents.problems:
            reports.append(PipelineReport(id=None, file=name, pipeline=None, errors=contents.problems))
        return tuple(reports)

    # ------------------------------------------------------------------ the whole

    def _settle(self) -> None:
        """What the files say together: ids used twice, pipelines that are usable, one list of reports."""
        owners: dict[str, set[str]] = defaultdict(set)
        counted: dict[str, int] = defaultdict(int)
        for path, known in self._files.items():
            for report in known.reports:
                if report.id is not None:
                    owners[report.id].add(path)
                    counted[report.id] += 1
        twice = {name: owners[name] for name, count in counted.items() if count > 1}
        reports = [
            _told_twice(report, twice[report.id], self._root) if report.id in twice else report
            for path in sorted(self._files)
            for report in self._files[path].reports
        ]
        reports = [_told_of_calls(report, owners) for report in reports]
        self._good = self._usable(reports, owners)
        assert self._linked is not None  # refresh has read the connections
        self._reports = (*reports, *self._linked.reports)

    def _usable(
        self, reports: Sequence[PipelineReport], owners: Mapping[str, set[str]]
    ) -> dict[str, tuple[Pipeline, str]]:
        broken = {report.file for report in reports if report.id is None}
        # Kept while its file is there and either does not say what it holds or still holds this id.
        good = {
            name: (pipeline, path)
            for name, (pipeline, path) in self._good.items()
            if path in self._files and (name in owners or shown(path, self._root) in broken)
        }
        places = {shown(path, self._root): path for path in self._files}
        for report in reports:
            if report.pipeline is not None:
                good[report.pipeline.id] = (report.pipeline, places[report.file])
        return good

    def _surroundings(self) -> Surroundings:
        """What definitions are checked against now; the same object as long as nothing of it changed."""
        linked = read_profiles(self._settings, self._linked, self._connection_types)
        if linked is self._linked and self._around is not None:
            return self._around
        self._linked = linked
        self._around = Surroundings(
            root=self._root,
            settings=self._settings,
            task_types=self._types,
            connections=linked.everything,
            capacity=self._capacity,
            schemas=self._around.schemas if self._around is not None else {},
        )
        return self._around


def report_on(document: Document, file: str, around: Surroundings) -> PipelineReport:
    """Check one document and build it if nothing is wrong."""
    findings = Findings(file, document.line)
    check_pipeline(document.value, findings, around)
    written = document.value
    name = written.get("id") if isinstance(written, Mapping) else None
    pipeline = None if findings.failed else build(canonical(written, around.settings.defaults), file)
    return PipelineReport(
        id=name if isinstance(name, str) and len(name) <= 200 else None,
        file=file,
        pipeline=pipeline,
        errors=findings.problems("error"),
        warnings=findings.problems("warning"),
        suggestions=findings.problems("suggestion"),
    )


def _told_of_calls(report: PipelineReport, known: Mapping[str, object]) -> PipelineReport:
    """Sub-pipelines that no file holds. A warning: the file may be on its way, and the others run without it."""
    if report.pipeline is None:
        return report
    told: list[Problem] = []
    for at, task in enumerate(report.pipeline.tasks):
        wanted = task.config.get("pipeline") if task.type == SUBRUN else None
        if isinstance(wanted, str) and not has_markup(wanted) and wanted not in known:
            near = Speller().near(wanted, known)
            message = f"no pipeline {quote(wanted)} in this workspace" + (
                f"; did you mean '{near}'?" if near else ""
            )
            path = f"tasks[{at}].config.pipeline"
            told.append(Problem(severity="warning", message=message, path=path, file=report.file, suggestion=near))
    return replace(report, warnings=(*report.warnings, *told)) if told else report


def _told_twice(report: PipelineReport, paths: set[str], root: Path) -> PipelineReport:
    others = sorted(shown(path, root) for path in paths if shown(path, root) != report.file)
    where = f"in {', '.join(others[:5])} too" if others else "twice in this file"
    message = f"pipeline id {quote(report.id)} is used {where}; ids have to be unique in a workspace"
    problem = Problem(severity="error", message=message, path="id", file=report.file)
    return replace(report, pipeline=None, errors=(*report.errors, problem))


def machine_capacity(settings: Settings) -> Resources:
    """What one engine here can hand out: the limits of penstock.yaml, or what they stand for when they are null."""
    cpus = settings.limits.workers or max(2, os.cpu_count() or 2)
    memory = settings.limits.memory_mb
    if memory is None:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = int(total * 0.75) >> 20
    return Resources(cpu=float(cpus), memory_mb=memory)
