"""The Secrets port over the environment, `.env`, files and the keyring.

Law: a value is read at each use and kept only to be masked. Every reference without a value is named at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.model.errors import PenstockError
from engine.model.workspace import Connection
from engine.rules.masking import Mask
from engine.secrets.dotenv import DotEnv
from engine.secrets.problem import SecretProblem
from engine.secrets.references import PATTERN, SCHEMES, Reference, reference, references, strings, variables

_LARGEST_FILE = 64 * 1024


class WorkspaceSecrets:
    """Secrets of one workspace; implements engine.ports.secrets.Secrets. Thread-safe.

    `documents` gives what may hold references: the raw connections of every profile and penstock.yaml.
    `service` gives the address of a helper process; without it ${service:} is refused.
    """

    def __init__(
        self,
        root: Path,
        *,
        documents: Callable[[], Iterable[Any]] = tuple,
        environ: Mapping[str, str] | None = None,
        service: Callable[[str], str] | None = None,
    ) -> None:
        self._root = root
        self._documents = documents
        self._environ = os.environ if environ is None else environ
        self._service = service
        self._dotenv = DotEnv(root / ".env")
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._mask: tuple[frozenset[str], Mask] = (frozenset(), Mask(()))

    def resolve(self, connection: Connection) -> tuple[Connection, Sequence[str]]:
        """The connection with references replaced, and the secret values."""
        work = _Resolution(self, f"Connection '{connection.id}'")
        config = work.replaced(connection.config)
        values = work.finish()
        self._remember(values)
        return replace(connection, config=config), values

    def resolve_text(self, text: str) -> tuple[str, Sequence[str]]:
        """One string with references."""
        work = _Resolution(self, "A setting")
        resolved = work.replaced(text)
        values = work.finish()
        self._remember(values)
        return resolved, values

    def hidden_variables(self) -> frozenset[str]:
        """Environment variables that a ${env:} reference of the documents names."""
        return frozenset().union(*(variables(document) for document in self._documents()))

    def environment(self) -> Mapping[str, str]:
        """The engine's environment with .env laid under it."""
        return {**self._dotenv.variables(), **self._environ}

    def mask(self, value: Any) -> Any:
        """JSON with every known secret value replaced by ***."""
        return self.masker().value(value)

    def masker(self) -> Mask:
        """A mask for all values resolved so far and all that the documents refer to now.

        Values of the keyring only once they were used: asking it may open a dialogue.
        """
        with self._lock:
            known = frozenset(self._known)
        known |= self._referred()
        stamp, mask = self._mask
        if stamp != known:
            mask = Mask(known)
            self._mask = (known, mask)
        return mask

    def value(self, found: Reference) -> tuple[str, bool]:
        """The value of one reference, and whether it is secret (a default and an address are not)."""
        if found.scheme == "env":
            return self._variable(found)
        if found.scheme == "file":
            return self._file(found), True
        if found.scheme == "keyring":
            return _keyring(found), True
        if found.scheme == "service":
            return self._address(found), False
        raise SecretProblem(f"{found.written}: {_unknown(found)}")

    def _variable(self, found: Reference) -> tuple[str, bool]:
        value = self.environment().get(found.name)
        if value is not None and (value or found.default is None):
            return value, True
        if found.default is not None:
            return found.default, False
        raise SecretProblem(
            f"{found.written}: the variable {found.name} is not set. "
            f"Export it before the engine starts, or put it into {self._root / '.env'} (mode 0600)."
        )

    def _file(self, found: Reference) -> str:
        path = self._root / Path(found.name).expanduser()
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise SecretProblem(f"{found.written}: {path} cannot be read: {error.strerror}.") from error
        if len(content) > _LARGEST_FILE:
            raise SecretProblem(f"{found.written}: {path} is larger than 64 KiB; a secret is short.")
        try:
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise SecretProblem(f"{found.written}: {path} is not UTF-8 text.") from None

    def _address(self, found: Reference) -> str:
        if self._service is None:
            raise SecretProblem(
                f"{found.written}: services are started by an engine, and none gives its address here."
            )
        return self._service(found.name)

    def _referred(self) -> frozenset[str]:
        values: set[str] = set()
        try:
            documents = tuple(self._documents())
        except PenstockError:
            return frozenset()  # files that cannot be read refer to nothing; who needs them is told why
        for document in documents:
            for text in strings(document):
                for found in references(text):
                    if found.scheme in ("env", "file"):
                        values.update(self._if_any(found))
        return frozenset(values)

    def _if_any(self, found: Reference) -> Iterable[str]:
        try:
            value, secret = self.value(found)
        except SecretProblem:
            return ()  # no value, nothing to mask; whoever uses the reference is told
        return (value,) if secret else ()

    def _remember(self, values: Iterable[str]) -> None:
        with self._lock:
            self._known.update(values)


class _Resolution:
    """One pass over one value: gathers the secrets and every problem."""

    def __init__(self, secrets: WorkspaceSecrets, where: str) -> None:
        self._secrets = secrets
        self._where = where
        self._values: list[str] = []
        self._problems: list[str] = []

    def replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return PATTERN.sub(lambda match: self._one(reference(match)), value)
        if isinstance(value, Mapping):
            return {key: self.replaced(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.replaced(item) for item in value]
        return value

    def finish(self) -> Sequence[str]:
        if self._problems:
            raise SecretProblem(f"{self._where} is incomplete. " + " ".join(self._problems))
        return tuple(dict.fromkeys(value for value in self._values if value))

    def _one(self, found: Reference) -> str:
        try:
            value, secret = self._secrets.value(found)
        except SecretProblem as problem:
            if str(problem) not in self._problems:
                self._problems.append(str(problem))
            return ""
        if secret:
            self._values.append(value)
        return value


def _keyring(found: Reference) -> str:
    service, slash, name = found.name.partition("/")
    if not (service and slash and name):
        raise SecretProblem(f"{found.written}: write it as ${{keyring:SERVICE/NAME}}.")
    try:
        keyring = import_module("keyring")  # optional, and slow to import
        errors = import_module("keyring.errors")
    except ImportError:
        raise SecretProblem(
            f"{found.written}: the keyring package is not installed here. Install it (pip install keyring), "
            "or use ${env:} or ${file:}."
        ) from None
    try:
        value: str | None = keyring.get_password(service, name)
    except errors.NoKeyringError:
        raise SecretProblem(
            f"{found.written}: this machine has no keyring (machines without a desktop have none). "
            "Use ${env:} or ${file:}."
        ) from None
    except errors.KeyringError as error:
        raise SecretProblem(f"{found.written}: the keyring did not answer: {error}.") from error
    if value is None:
        raise SecretProblem(
            f"{found.written}: the keyring holds no '{name}' of '{service}'. "
            f"Put it there: keyring set {service} {name}"
        )
    return value


def _unknown(found: Reference) -> str:
    if not found.scheme:
        return f"say where the value comes from, e.g. ${{env:{found.name or 'NAME'}}}."
    near = get_close_matches(found.scheme, SCHEMES, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"there is no '{found.scheme}:'; {hint}It is one of env:, file:, keyring: and service:."
