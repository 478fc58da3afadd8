"""What a broker's `tls` says: encrypted, with the other side checked, and perhaps a certificate of our own.

Law: a broker whose certificate nobody vouches for is not talked to. Files are seen from the workspace; one that
cannot be read is told before the broker is asked.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection

KEYS = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class Tls:
    """Who may vouch for the broker (None: whom this machine trusts), and what we show."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, connection: Connection, root: Path) -> Tls | None:
        """`tls: true`, or `{ca, cert, key}`; None without."""
        given = connection.config.get("tls")
        if not given:
            return None
        if not isinstance(given, Mapping):
            return cls()
        made = cls(**{key: str(root / Path(str(given[key])).expanduser()) for key in KEYS if given.get(key)})
        try:
            made.context()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"Connection '{connection.id}': what `tls` names cannot be read: {error.strerror or error}."
            ) from error
        return made

    def context(self) -> ssl.SSLContext:
        """For libraries that take one."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert:
            context.load_cert_chain(self.cert, self.key, password="")
        return context
