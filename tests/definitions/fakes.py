"""Task types that do nothing, and a workspace on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from engine.definitions.catalog import FileCatalog
from engine.definitions.problems import Findings
from engine.definitions.read import read_yaml
from engine.definitions.surroundings import Surroundings
from engine.definitions.workspace import load_settings
from engine.model.errors import Problem
from engine.model.pipeline import Resources
from engine.model.workspace import Connection, Settings


def closed(properties: Mapping[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


class FakeType:
    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self.name = name
        self.category = "control"
        self._schema = schema

    def schema(self) -> Mapping[str, Any]:
        return self._schema

    def mode(self, config: Mapping[str, Any]) -> Any:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        return [config["connection"]] if "connection" in config else []

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        found = []
        script = config.get("script")
        if script and not (root / script).exists():
            found.append(Problem(severity="error", message=f"no file {script}", path="script"))
        if ":" not in config.get("callable", ":"):
            found.append(Problem(severity="error", message="expected module:function", path="callable"))
        return found

    def run(self, ctx: Any) -> Any:
        raise AssertionError("validation runs nothing")


TEXT = {"type": "string"}
TYPES = {
    one.name: one
    for one in (
        FakeType(
            "shell",
            closed(
                {
                    "command": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
                    "script": TEXT,
                    "table": TEXT,
                    "env": {"type": "object"},
                }
            ),
        ),
        FakeType("python", closed({"callable": TEXT, "args": {"type": "object"}}, "callable")),
        FakeType("pipeline", closed({"pipeline": TEXT}, "pipeline")),
        FakeType("notify", closed({"connection": TEXT, "message": TEXT})),
        FakeType(
            "sensor",
            closed(
                {"file": TEXT, "http": TEXT, "interval_seconds": {"type": "number", "minimum": 0}},
                oneOf=[{"required": ["file"]}, {"required": ["http"]}],
            ),
        ),
    )
}


def around(root: Path, **settings: Any) -> Surroundings:
    return Surroundings(
        root=root,
        settings=Settings(root=root, **settings),
        task_types=TYPES,
        connections={"ops_slack": Connection(id="ops_slack", type="slack")},
        capacity=Resources(cpu=2, memory_mb=1000),
    )


def check(text: str | Mapping[str, Any], root: Path = Path("/nowhere"), **settings: Any) -> Findings:
    """The findings about one YAML text (or document)."""
    from engine.definitions.check import check_pipeline

    if not isinstance(text, str):
        text = yaml.safe_dump(dict(text), sort_keys=False)
    source = read_yaml(text)
    findings = Findings("pipelines/x.yaml", source.line)
    check_pipeline(source.value, findings, around(root, **settings))
    return findings


def errors(text: str | Mapping[str, Any], **more: Any) -> list[Problem]:
    return list(check(text, **more).problems("error"))


class Workspace:
    """A folder that is one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pipelines").mkdir(parents=True)
        self.write("penstock.yaml", "version: 1\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, name: str, command: str = "true", file: str | None = None) -> Path:
        return self.write(
            file or f"pipelines/{name}.yaml",
            f"id: {name}\ntasks:\n  - {{id: a, type: shell, config: {{command: '{command}'}}}}\n",
        )

    def catalog(self, **more: Any) -> FileCatalog:
        return FileCatalog(load_settings(self.root), TYPES, **more)
