"""A process that asks a web service as fast as it may: `python -m tests.contract.rate_process ROOT URL RATE TIMES`.

It says `ready`, waits for a line, and says the moment of each request and of each wait before it begins.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from engine.connectors.rest import rate as rates
from engine.connectors.rest.rate import Rate
from engine.connectors.rest.service import connect
from engine.model.workspace import Connection

plain = Rate.wait


def told(rate: Rate, now: float) -> float:
    wait = plain(rate, now)
    print("wait" if wait else "request", repr(now), flush=True)
    return wait


def main() -> None:
    root, url, per_second, count = sys.argv[1:]
    Rate.wait = told  # type: ignore[method-assign]
    rates.LOCK_SECONDS = 60.0  # on a machine that is busy nobody is to go on by itself
    connection = Connection(id="api", type="rest", config={"base_url": url}, per_second=float(per_second), burst=2)
    with closing(connect(connection, Path(root))) as connector:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(count)):
            connector.request("GET", f"{url}/x", "the test")


if __name__ == "__main__":
    main()
