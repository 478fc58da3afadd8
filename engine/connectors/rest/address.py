"""Addresses: what belongs to a connection, and what of an address may be shown.

Law: nothing but http and https is ever asked. Credentials belong to one origin: scheme, host and port. Messages
show the origin and the path below it that a definition names, never a query or a login.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from engine.model.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials belong to. ConfigurationError for anything but http and https."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("The address cannot be read; write it as https://host/path.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"Only http:// and https:// addresses can be asked, not '{parts.scheme[:20]}:'. Write https://host/path."
        )
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def place(url: str) -> str:
    """Scheme and host only: path and query may hold tokens."""
    try:
        scheme, host, port = origin(url)
    except ConfigurationError:
        return "The address"
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + ("" if port == _PORTS[scheme] else f":{port}")


def shown(url: str) -> str:
    """An address without login, query and fragment: what lineage keeps."""
    return place(url) + urlsplit(url).path


class Base:
    """The `base_url` of a connection; '' where any address may be asked without credentials."""

    def __init__(self, connection_id: str, url: str) -> None:
        self._id, self.url = connection_id, url

    def address(self, url: str) -> str:
        """The address of a path below the base, or of a URL of the same origin."""
        if not self.url:
            origin(url)
            return url
        if "://" not in url.partition("?")[0] and not url.startswith("//"):
            address = self.below(url)
        else:
            address = urljoin(self.url.rstrip("/") + "/", url)
        self._refuse_foreign(address, self.url)
        return address

    def following(self, current: str, link: str) -> str:
        """The address of a link that an answer from `current` holds."""
        address = urljoin(current, link)
        self._refuse_foreign(address, self.url or current)
        return address

    def below(self, path: str) -> str:
        """A path below the base; '' is the base itself."""
        return self.url if not path else self.url.rstrip("/") + "/" + path.lstrip("/")

    def _refuse_foreign(self, address: str, home: str) -> None:
        if origin(address) != origin(home):
            raise ConfigurationError(
                f"Connection '{self._id}' belongs to {place(home)}; its credentials are not sent "
                f"to {place(address)}. Leave the connection out, or make another one."
            )
