"""Fixtures every suite shares: a clean environment, and a PostgreSQL database of one's own.

Nothing of Penstock is imported here: a suite that needs a workspace or an engine builds it beside its tests.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

DEFAULT_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
NO_POSTGRES = "PostgreSQL does not answer"

# No deadline: a slow machine is no failure. Slow input generation is not one either.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("tests"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same environment whoever runs the tests: no PENSTOCK_* of theirs, no files in their home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PENSTOCK_") and not name.startswith("PENSTOCK_TEST_"):
                patch.delenv(name)
        home = tmp_path_factory.mktemp("home")
        for name in ("CONFIG", "STATE", "DATA", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        patch.delenv("NO_COLOR", raising=False)
        patch.delenv("FORCE_COLOR", raising=False)
        yield


def postgres_server() -> str:
    """The server the tests may make databases on."""
    return os.environ.get("PENSTOCK_TEST_POSTGRES") or DEFAULT_POSTGRES


@cache
def why_no_postgres() -> str | None:
    """None when the server answers, else the reason to skip; asked once per process."""
    try:
        psycopg.connect(postgres_server(), connect_timeout=20).close()
    except psycopg.OperationalError as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{NO_POSTGRES}: {first} (set PENSTOCK_TEST_POSTGRES to a server that may be used)"
    return None


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of a fresh, empty database (plain `postgresql://...`), dropped afterwards by force."""
    reason = why_no_postgres()
    if reason is not None:
        pytest.skip(reason)
    name = f"penstock_test_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    _on_server("CREATE DATABASE {} TEMPLATE template0", name)
    try:
        yield urlunsplit(urlsplit(postgres_server())._replace(path=f"/{name}"))
    finally:
        _on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _on_server(statement: str, name: str) -> None:
    with psycopg.connect(postgres_server(), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: three for two cores. A third of the time is spent waiting for processes and servers."""
    cores = len(os.sched_getaffinity(0))
    return cores + cores // 2


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """After pytest's own summary, as the very last line: how many tests PostgreSQL's absence cost."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(session.config, "workerinput"):
        skipped = reporter.stats.get("skipped", [])
        count = sum(NO_POSTGRES in str(report.longrepr) for report in skipped)
        reporter.write_line(f"{count} tests skipped because {NO_POSTGRES}")
    return result
