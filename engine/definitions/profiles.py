"""The connections of every profile, read together and kept until one of their files changes.

Law: a profile's connections replace those of the same id and leave the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from engine.definitions.connections import FILE, read_connections
from engine.definitions.files import Stamp, stamp
from engine.definitions.problems import Findings, quote
from engine.definitions.workspace import check_dotenv
from engine.model.workspace import Connection, Settings
from engine.ports.catalog import PipelineReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """What the files said, and their stamps then."""

    stamps: Mapping[str, Stamp | None]
    by_profile: Mapping[str | None, Mapping[str, Connection]]
    reports: tuple[PipelineReport, ...]

    @property
    def everything(self) -> dict[str, Connection]:
        """A connection for every id that any profile has."""
        return {key: one for connections in self.by_profile.values() for key, one in connections.items()}


def read_profiles(settings: Settings, known: Profiles | None = None, plugins: Collection[str] = ()) -> Profiles:
    """All of them; `known` itself when no file has changed since."""
    files: dict[str | None, str | None] = {None: FILE}
    files.update({name: one.get("connections") for name, one in settings.profiles.items()})
    stamps = {file: stamp(settings.root / file) for file in (*files.values(), ".env") if file}
    if known is not None and known.stamps == stamps:
        return known
    base: dict[str, Connection] = {}
    by_profile: dict[str | None, Mapping[str, Connection]] = {}
    reports: list[PipelineReport] = []
    for profile, file in files.items():
        found, findings = read_connections(settings.root / file, settings, plugins) if file else ({}, Findings())
        if profile is None:
            base = found
        elif file and stamps[file] is None and not findings.failed:
            findings.error((), f"profile '{profile}' names {quote(file)}, which does not exist")
        by_profile[profile] = {**base, **found}
        reports.extend(_report(findings))
    return Profiles(stamps=stamps, by_profile=by_profile, reports=(*reports, *_dotenv(settings)))


def _report(findings: Findings) -> tuple[PipelineReport, ...]:
    errors, warnings = findings.problems("error"), findings.problems("warning")
    if not errors and not warnings:
        return ()
    return (PipelineReport(id=None, file=findings.file or FILE, pipeline=None, errors=errors, warnings=warnings),)


def _dotenv(settings: Settings) -> tuple[PipelineReport, ...]:
    exposed = check_dotenv(settings.root)
    return (PipelineReport(id=None, file=".env", pipeline=None, errors=(exposed,)),) if exposed else ()
