"""A process that reads a queue, says how much it has, and waits to be killed: `python -m ... KIND NAME CONFIG`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from engine.connectors.registry import Connectors
from engine.model.workspace import Connection
from engine.ports.source import Selection


def main() -> None:
    kind, name, config = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    source = Connectors(Path.cwd()).source(Connection(id="broker", type=kind, config=config))
    opened = source.read(Selection(path=name, options={"max_messages": 20, "max_seconds": 20}))
    print(sum(batch.num_rows for batch in opened), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
