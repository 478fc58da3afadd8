"""The wire: one exchange of a request and its answer, with every bound that a stranger's server needs.

Law: connect, read and total time are limited, so are the bytes after decompression. A server that drips its header
or body byte by byte is cut off at the deadline by a watch that shuts the socket. Cookies are not kept, ~/.netrc is
not consulted, redirects are the caller's business. Messages show the origin only.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from engine.connectors.rest.address import place
from engine.model.errors import ResourceExhaustion, TaskFailure, TimeoutFailure
from engine.ports.connector import Fetched
from engine.rules.rates import retry_after
from engine.rules.web import failure_of_error

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 60.0
MOST_BYTES = 10 * 1024 * 1024
_CHUNK = 64 * 1024

Login = Callable[[requests.PreparedRequest], requests.PreparedRequest]


def no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Set in place of a login, it keeps requests from looking into ~/.netrc."""
    return request


class Wire:
    """Connections to web servers, kept open between exchanges. For one thread at a time."""

    def __init__(
        self,
        *,
        verify: bool | str = True,
        total_seconds: float = TOTAL_SECONDS,
        most_bytes: int = MOST_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
        named: str = "",
    ) -> None:
        """`named`: the connection, as messages begin with it."""
        self._named = f"{named}: " if named else ""
        self.total_seconds = total_seconds
        self.monotonic = monotonic
        self.verify, self._most = verify, most_bytes
        self._watch = _Watch()
        self._session: requests.Session | None = None

    def deadline(self) -> float:
        """When an exchange that begins now has to be over, its redirects included."""
        return self.monotonic() + self.total_seconds

    def exchange(
        self,
        method: str,
        address: str,
        *,
        login: Login = no_login,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: float | None = None,
    ) -> Fetched:
        """One request, one answer, whatever its status."""
        until = self.deadline() if deadline is None else deadline
        left = until - self.monotonic()
        if left <= 0:
            raise self._late(address)
        timeout = (min(CONNECT_SECONDS, left), min(READ_SECONDS, left))
        begun = False
        with self._watch.over(left):
            try:
                with self._opened().request(
                    method,
                    address,
                    headers=dict(headers or {}),
                    data=body,
                    auth=login,
                    timeout=timeout,
                    verify=self.verify,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    begun = True
                    return self._read(response, address, until)
            except TaskFailure:
                raise
            except (requests.RequestException, OSError, ValueError, RuntimeError, _wire_errors()) as error:
                if self._watch.struck:
                    raise self._late(address, begun) from None
                # The library's own text has the path and query, which may be a token no mask knows.
                raise failure_of_error(error, self._place(address)) from None

    def _place(self, address: str) -> str:
        return f"{self._named}{place(address)}"

    def close(self) -> None:
        """Let go of every connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _opened(self) -> requests.Session:
        if self._session is None:
            self._session = requests.Session()
            self._session.auth = no_login
            self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            for scheme in ("http://", "https://"):
                self._session.mount(scheme, _Watched(self._watch))
        return self._session

    def _read(self, response: requests.Response, address: str, until: float) -> Fetched:
        body = bytearray()
        while True:
            # read1 gives what has come; read would sit on a drip until the whole chunk is there.
            chunk = response.raw.read1(_CHUNK, decode_content=True)
            body += chunk or b""
            if len(body) > self._most:
                raise ResourceExhaustion(
                    f"{self._place(address)} sent more than {self._most} bytes; stopped reading."
                )
            if self.monotonic() > until or self._watch.struck:
                raise self._late(address)
            if not chunk:
                break
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Fetched(
            url=address,
            status=response.status_code,
            headers=headers,
            body=bytes(body),
            retry_after=retry_after(headers.get("retry-after"), datetime.now(UTC)),
        )

    def _late(self, address: str, begun: bool = True) -> TimeoutFailure:
        if not begun:
            return TimeoutFailure(
                f"{self._place(address)} did not answer in time (within {self.total_seconds:g} s)."
            )
        return TimeoutFailure(f"{self._place(address)} did not finish its answer within {self.total_seconds:g} s.")


class _Watch:
    """Shuts the sockets of one exchange when its time is over."""

    def __init__(self) -> None:
        self.struck = False
        self._sockets: list[socket.socket] = []

    def hold(self, one: socket.socket) -> None:
        """A socket that is in use from now on."""
        self._sockets = [each for each in self._sockets if each.fileno() >= 0]
        self._sockets.append(one)

    @contextmanager
    def over(self, seconds: float) -> Iterator[None]:
        """Watch over one exchange."""
        self.struck = False
        timer = threading.Timer(seconds, self._strike)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # an exchange that is over is not struck late

    def _strike(self) -> None:
        self.struck = True
        for one in self._sockets:
            try:
                # Not SSLSocket.shutdown: that takes the TLS state away from under a thread that is reading.
                socket.socket.shutdown(one, socket.SHUT_RDWR)
            except OSError:
                continue  # closed already


class _Watched(HTTPAdapter):
    """Tells the watch of every socket that is opened."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not getattr(pool, "watched", False):
            pool.ConnectionCls = _watched(pool.ConnectionCls, self._watch)
            pool.watched = True
        return pool


def _watched(connection: type[Any], watch: _Watch) -> type[Any]:
    """The pool's kind of connection, which tells the watch of its socket."""

    def connect(self: Any) -> None:
        connection.connect(self)
        watch.hold(self.sock)

    return type("Watched", (connection,), {"connect": connect})


def _wire_errors() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError
