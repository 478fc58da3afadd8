"""kill -9 of a process that sends to a web service, at any byte of the wire: nothing is lost, and each row is there
once where the service honours the keys of the batches. The service lives in the process of the test.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.send_kill import SEED, Kill, Lives, Sink, kills, named, opened_lives, prove
from tests.contract.web_service import Answer, Asked, WebService, serving

TIMES, OFTEN = 5, 50


class Store:
    """What a service keeps of what it was sent. It takes a request that came whole, or nothing of it."""

    def __init__(self, *, honours: bool) -> None:
        self._honours = honours
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._rows: list[tuple[str, dict[str, Any]]] = []

    def answer(self, asked: Asked) -> Answer:
        if len(asked.body) != int(asked.headers["content-length"]):
            return Answer(400)
        key, given = asked.headers["idempotency-key"], asked.json()
        with self._lock:
            if not (self._honours and key in self._known):
                self._known.add(key)
                self._rows += [(key, each) for each in (given if isinstance(given, list) else [given])]
        return Answer(201, {})

    def look(self) -> list[tuple[str, dict[str, Any]]]:
        with self._lock:
            return list(self._rows)


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with opened_lives() as found:
        yield found


def sink(service: WebService, store: Store, **more: Any) -> Sink:
    return Sink(
        type="rest",
        config=lambda port: {"base_url": f"http://127.0.0.1:{port}"},
        port=urlsplit(service.url).port or 0,
        look=store.look,
        whole=True,
        **{"target": "/rows", **more},
    )


def prove_with(lives: Lives, kill: Kill, scratch: Path, *, honours: bool = True, **more: Any) -> None:
    store = Store(honours=honours)
    with serving(store.answer) as service:
        prove(lives, sink(service, store, once=honours, **more), kill, scratch)


@pytest.mark.parametrize("kill", kills(f"rest {SEED}", TIMES), ids=named(SEED))
def test_each_row_is_there_once_where_keys_are_honoured(lives: Lives, tmp_path: Path, kill: Kill) -> None:
    """DST-09; FAULTS 2: A and B."""
    prove_with(lives, kill, tmp_path)


@pytest.mark.parametrize("kill", kills(f"no keys {SEED}", TIMES), ids=named(SEED))
def test_elsewhere_what_is_there_twice_has_the_same_key(lives: Lives, tmp_path: Path, kill: Kill) -> None:
    """At least once: no more than what may have been sent before the kill comes again, under the key it had."""
    prove_with(lives, kill, tmp_path, honours=False)


@pytest.mark.parametrize("kill", kills(f"rows {SEED}", TIMES), ids=named(SEED))
def test_rows_that_go_one_by_one_are_each_there_once(lives: Lives, tmp_path: Path, kill: Kill) -> None:
    """DST-09: PUT to the address of each row."""
    options = {"method": "PUT", "batch_rows": 1}
    prove_with(lives, kill, tmp_path, target="/rows/{id}", options=options, batch=1)


@pytest.mark.soak
@pytest.mark.parametrize("honours", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("kill", kills(f"rest {SEED + 1}", OFTEN), ids=named(SEED + 1))
def test_killed_fifty_times(lives: Lives, tmp_path: Path, kill: Kill, honours: bool) -> None:
    prove_with(lives, kill, tmp_path, honours=honours)
