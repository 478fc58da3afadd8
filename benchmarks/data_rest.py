"""What a walk through a troubled web service costs: `python -m benchmarks.data_rest`.

10,000 records on 100 pages from a local server that answers one request in twenty with 429 or 500. One JSON
line: records lost and doubled (both have to be 0), and requests per page beyond those that were refused.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.connectors.registry import Connectors
from engine.model.workspace import Connection
from engine.ports.source import Selection

RECORDS, PAGES, FAULTS, SEED = 10_000, 100, 0.05, 4
_SIZE = RECORDS // PAGES


class _Service:
    """Pages behind a cursor, with faults from a seeded die."""

    def __init__(self) -> None:
        self.asked = self.refused = 0
        die = random.Random(SEED)
        self._faults = {at: die.choice((429, 500)) for at in die.sample(range(PAGES), int(PAGES * FAULTS))}

    def answer(self, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if self.asked in self._faults:
            self.refused += 1
            return self._faults[self.asked], {}
        page = int(query.get("cursor", ["0"])[0])
        rows = [
            {"id": n, "name": f"name {n}", "amount": n / 8, "tags": {"page": page}}
            for n in range(page * _SIZE, (page + 1) * _SIZE)
        ]
        return 200, {"data": rows, "next_cursor": str(page + 1) if page + 1 < PAGES else None}


def main() -> int:
    """Measure and print; 1 when a record is lost or doubled, or too much is asked."""
    os.environ["PENSTOCK_TIME_SCALE"] = "0.01"  # waiting is not what is measured
    service = _Service()
    server = _serve(service)
    connection = Connection(
        id="api", type="rest", config={"base_url": f"http://127.0.0.1:{server.server_address[1]}"}
    )
    source = Connectors(Path.cwd()).source(connection)
    begun = time.perf_counter()
    ids = [row for batch in source.read(Selection(endpoint="/records")) for row in batch.column("id").to_pylist()]
    seconds = time.perf_counter() - begun
    source.close()
    server.shutdown()
    server.server_close()
    per_page = (service.asked - service.refused) / PAGES
    figures = {
        "benchmark": "data_rest",
        "records": len(ids),
        "lost": RECORDS - len(set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "requests": service.asked,
        "refused": service.refused,
        "requests_per_page_beyond_retries": round(per_page, 3),
        "records_per_second": round(len(ids) / seconds),
    }
    print(json.dumps(figures))
    return int(figures["lost"] != 0 or figures["doubled"] != 0 or per_page > 1.2)


def _serve(service: _Service) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body in one packet: two would wait for each other

        def do_GET(self) -> None:
            status, body = service.answer(parse_qs(urlsplit(self.path).query))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet: the figures are the output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


if __name__ == "__main__":
    sys.exit(main())
