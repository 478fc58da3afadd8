"""What a definition is checked against: settings, connections, task types and the size of the machine.

Law: a value; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.definitions.schema import Schema
from engine.model.pipeline import Resources
from engine.model.workspace import Connection, Settings
from engine.ports.tasktype import TaskType


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a definition is checked against."""

    root: Path
    settings: Settings
    task_types: Mapping[str, TaskType]
    connections: Mapping[str, Connection] = field(default_factory=dict)  # of all profiles
    capacity: Resources = Resources()  # of this machine, or of the limits; 0: not known
    schemas: dict[str, Schema] = field(default_factory=dict)  # compiled, by task type

    def schema_of(self, task_type: TaskType) -> Schema:
        if task_type.name not in self.schemas:
            self.schemas[task_type.name] = Schema(task_type.schema(), templated=True)
        return self.schemas[task_type.name]
