"""A workspace opened by a process: settings, and a client over its ports. Nothing is created by opening."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.bootstrap.actor import current_actor
from engine.bootstrap.clock import SystemClock, new_id
from engine.model.errors import NotFound, TaskFailure
from engine.model.event import Actor
from engine.model.workspace import Connection, Settings
from engine.ports.mailbox import Lease

if TYPE_CHECKING:
    from engine.client.client import Client
    from engine.connectors.plugins import Plugin
    from engine.definitions.catalog import FileCatalog
    from engine.executors.services import Services
    from engine.observe.logs import LogFiles
    from engine.ports.catalog import Catalog, Renderer
    from engine.ports.health import HealthChecks
    from engine.secrets.resolver import WorkspaceSecrets
    from engine.stores.mailbox import SqlMailbox
    from engine.stores.queries import SqlQueries
    from engine.tasks.registry import TaskTypes

_log = logging.getLogger(__name__)


def _renderer() -> Renderer:
    from engine.definitions.renderer import ChildRenderer

    return ChildRenderer()


class Workspace:
    """Everything a process may need of one workspace, each made when first asked for."""

    def __init__(self, settings: Settings, profile: str | None, actor: Actor) -> None:
        self.settings = settings
        self.profile = profile
        self.actor = actor
        self.clock = SystemClock()
        self.new_id: Callable[[], str] = new_id
        self._closers: list[Callable[[], None]] = []

    @cached_property
    def types(self) -> TaskTypes:
        """Task types of this installation."""
        from engine.bootstrap.tasktypes import task_types

        return task_types(self.settings.root)

    @cached_property
    def catalog(self) -> FileCatalog:
        """Definitions as the files have them now."""
        from engine.connectors.plugins import types as added_types
        from engine.connectors.registry import TYPES
        from engine.definitions.catalog import FileCatalog
        from engine.definitions.renderer import ChildRenderer
        from engine.notifiers.registry import TYPES as NOTIFIERS

        renderer = ChildRenderer()
        self._closers.append(renderer.close)
        return FileCatalog(
            self.settings, self.types.types, renderer=renderer, connection_types=added_types(TYPES | NOTIFIERS)
        )

    @cached_property
    def secrets(self) -> WorkspaceSecrets:
        """References resolved at the last moment."""
        from engine.secrets.resolver import WorkspaceSecrets

        return WorkspaceSecrets(
            self.settings.root, documents=self._documents, service=lambda name: self.services.address(name)
        )

    @cached_property
    def services(self) -> Services:
        """Helper processes, started when an address is asked for."""
        from engine.executors.local import attempt_variables
        from engine.executors.services import Services

        services = Services(
            self.settings.services,
            root=self.settings.root,
            logs=self.settings.home / "services",
            environment=lambda: attempt_variables(self.secrets),
        )
        self._closers.append(services.close)
        return services

    def _documents(self) -> Iterable[Any]:
        """What may hold references: the state's URL and the connections of every profile."""
        yield self.settings.state
        for profile in (None, *self.settings.profiles):
            for connection in self.catalog.connections(profile).values():
                yield dict(connection.config)

    @cached_property
    def state(self) -> str:
        """`state:` with its secrets in place."""
        if "${" not in self.settings.state:
            return self.settings.state
        return self.secrets.resolve_text(self.settings.state)[0]

    @cached_property
    def queries(self) -> SqlQueries:
        """Reads."""
        from engine.stores.open import open_queries

        queries = open_queries(self.settings, state=self.state, now=self.clock.now)
        self._closers.append(queries.close)
        return queries

    @cached_property
    def mailbox(self) -> SqlMailbox:
        """Commands and the lease."""
        from engine.stores.open import open_mailbox

        mailbox = open_mailbox(self.settings, state=self.state)
        self._closers.append(mailbox.close)
        return mailbox

    @cached_property
    def logs(self) -> LogFiles:
        """Attempt logs."""
        from engine.observe.logs import LogFiles

        return LogFiles(self.settings.home / "logs")

    @cached_property
    def client(self) -> Client:
        """The facade."""
        from engine.bootstrap.checks import LazyChecks
        from engine.bootstrap.definitions import LazyCatalog
        from engine.bootstrap.staged_rows import StagedRows
        from engine.client.client import Client

        checks: HealthChecks = LazyChecks(self)
        return Client(
            queries=self.queries,
            mailbox=self.mailbox,
            catalog=cast("Catalog", LazyCatalog(self)),
            renderer_factory=_renderer,
            logs=self.logs,
            health=checks,
            clock=self.clock,
            new_id=self.new_id,
            actor=self.actor,
            profile=self.profile,
            environment=self.visible_environment,
            tester=self.test_connection,
            samples=StagedRows(self.settings.home / "staging"),
        )

    def visible_environment(self) -> Mapping[str, str]:
        """What env.* shows: the environment less what a secret names."""
        hidden = self.secrets.hidden_variables()
        return {name: value for name, value in self.secrets.environment().items() if name not in hidden}

    def connection(self, connection_id: str, profile: str | None) -> Connection:
        """A connection as written, references and all."""
        known = self.catalog.connections(profile)
        if connection_id not in known:
            listed = ", ".join(sorted(known)[:20]) or "none"
            raise NotFound(f"There is no connection '{connection_id[:80]}'. connections.yaml has: {listed}")
        return known[connection_id]

    def test_connection(self, connection: Connection) -> tuple[bool, str]:
        """Try it; the sentence never carries a secret."""
        from engine.connectors.registry import Connectors
        from engine.notifiers.registry import Notifiers

        try:
            resolved, _ = self.secrets.resolve(connection)
            notifiers = Notifiers()
            tested = notifiers if notifiers.accepts(resolved) else Connectors(self.settings.root)
            return True, str(self.secrets.mask(tested.test(resolved)))
        except TaskFailure as error:
            return False, str(self.secrets.mask(str(error)))

    def connector_plugins(self) -> Sequence[Plugin]:
        """Connectors that installed packages add, with what is wrong with them."""
        from engine.connectors.plugins import looked_at
        from engine.connectors.registry import TYPES

        return looked_at(TYPES)

    def close(self) -> None:
        """Let go of everything that was opened."""
        for close in reversed(self._closers):
            close()
        self._closers.clear()


def open_workspace(start: Path, profile: str | None = None) -> Workspace:
    """The workspace at or above `start`; RequestError and NotFound say what is wrong."""
    from engine.definitions.workspace import find_workspace, load_settings
    from engine.model.errors import RequestError

    settings = load_settings(find_workspace(start))
    chosen = profile if profile is not None else settings.profile
    if chosen is not None and chosen not in settings.profiles:
        known = ", ".join(sorted(settings.profiles)) or "none"
        raise RequestError(f"There is no profile '{chosen[:80]}'. penstock.yaml has: {known}")
    return Workspace(replace(settings, profile=settings.profile), chosen, current_actor())


def engine_leads(workspace: Workspace) -> Lease | None:
    """The lease of an engine that lives, else None."""
    from engine.runtime.lease import leads

    lease = workspace.mailbox.lease()
    return lease if leads(lease, workspace.clock.now()) else None
