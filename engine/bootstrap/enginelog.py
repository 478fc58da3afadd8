"""The engine's own log: JSON lines in .penstock/engine.log, bounded by rotation."""

from __future__ import annotations

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

_MOST_BYTES, _OLD_FILES = 5_000_000, 3


class JsonLines(logging.Formatter):
    """One JSON object a record (LOG-01)."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "component": record.name,
            "message": record.getMessage(),
        }
        for name in ("pipeline_id", "run_id", "task_id", "attempt"):
            if hasattr(record, name):
                fields[name] = getattr(record, name)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


def to_file(home: Path) -> None:
    """Send the engine's log there from now on."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        home / "engine.log", maxBytes=_MOST_BYTES, backupCount=_OLD_FILES, delay=True
    )
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
