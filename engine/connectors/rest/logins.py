"""Logins: how a request says who asks (SRC-09).

Law: a login is put on requests to the connection's own origin only, which the caller sees to. Tokens live in
memory. No message carries a key, password or token. A further way to log in is one entry of `LOGINS`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import requests
from requests.auth import HTTPBasicAuth

from engine.connectors.rest.address import origin, place
from engine.model.errors import ConfigurationError, PermissionFailure
from engine.ports.connector import Fetched
from engine.rules.web import failure_of_status

_LEEWAY = 30.0  # seconds before its end that a token is renewed
_LIFETIME = 3600.0  # of a token whose server does not say
_ANSWER = 65_536  # bytes of a token's answer that are looked at

Post = Callable[[str, Mapping[str, str], bytes], Fetched]


class Login(Protocol):
    """Puts credentials on a request."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest: ...

    def renew(self) -> bool:
        """After a 401: whether asking again with new credentials may help."""


class Unchanging:
    """A login that stays what it is."""

    def __init__(self, put: Callable[[requests.PreparedRequest], requests.PreparedRequest]) -> None:
        self._put = put

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._put(request)

    def renew(self) -> bool:
        """There is no other."""
        return False


class ClientCredentials:
    """OAuth 2.0 for programs: a token, fetched when needed, renewed before its end and once after a 401."""

    def __init__(
        self,
        connection_id: str,
        auth: Mapping[str, Any],
        post: Post,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id, self._auth, self._post, self._monotonic = connection_id, auth, post, monotonic
        self._url = _needed(connection_id, auth, "token_url")
        origin(self._url)
        self._token = ""
        self._until = 0.0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if not self._token or self._monotonic() >= self._until:
            self._fetch()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def renew(self) -> bool:
        """Forget the token; the next request fetches another."""
        had, self._token = bool(self._token), ""
        return had

    def _fetch(self) -> None:
        fetched = self._post(self._url, *self._asked())
        where = f"The token server {place(self._url)} of connection '{self._id}'"
        if fetched.status == 400:  # invalid_client, invalid_grant: RFC 6749 says so with a 400
            raise PermissionFailure(f"{where} refuses client_id, client_secret or scope (400).")
        failure = failure_of_status(fetched.status, where, retry_after=fetched.retry_after)
        if failure is not None:
            raise failure
        try:
            answer = json.loads(fetched.body[:_ANSWER])
            self._token = str(answer["access_token"])
            lifetime = float(answer.get("expires_in") or _LIFETIME)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ConfigurationError(f"{where} gave no access_token; is token_url the right address?") from None
        # A token that lives shorter than twice the leeway is used for half its life.
        self._until = self._monotonic() + max(lifetime - _LEEWAY, lifetime / 2)

    def _asked(self) -> tuple[dict[str, str], bytes]:
        form = {"grant_type": "client_credentials"}
        form |= {key: str(self._auth[key]) for key in ("scope", "audience", "resource") if self._auth.get(key)}
        client = str(self._auth.get("client_id", ""))
        secret = str(self._auth.get("client_secret", ""))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._auth.get("client_auth") == "body":
            form |= {"client_id": client, "client_secret": secret}
        else:
            headers["Authorization"] = _basic(quote_plus(client), quote_plus(secret))
        return headers, urlencode(form).encode()


def login(connection_id: str, auth: Any, post: Post) -> Login | None:
    """The login that a connection's `auth` describes; None where there is none."""
    if not auth:
        return None
    kind = auth.get("type") if isinstance(auth, Mapping) else None
    make = LOGINS.get(str(kind))
    if make is None:
        raise ConfigurationError(
            f"Connection '{connection_id}': auth is {{type: basic, username, password}}, {{type: bearer, token}}, "
            "{type: api_key, key, header or query} or {type: oauth2, token_url, client_id, client_secret}."
        )
    return make(connection_id, auth, post)


def _basic_login(connection_id: str, auth: Mapping[str, Any], post: Post) -> Login:
    return Unchanging(HTTPBasicAuth(str(auth.get("username", "")), str(auth.get("password", ""))))


def _bearer_login(connection_id: str, auth: Mapping[str, Any], post: Post) -> Login:
    value = f"{auth.get('scheme', 'Bearer')} {auth.get('token', '')}"
    return Unchanging(_with_header("Authorization", value))


def _key_login(connection_id: str, auth: Mapping[str, Any], post: Post) -> Login:
    key = _needed(connection_id, auth, "key")
    if auth.get("query"):
        return Unchanging(_with_parameter(str(auth["query"]), key))
    return Unchanging(_with_header(str(auth.get("header", "X-API-Key")), key))


def _with_header(name: str, value: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def put(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Through the library's own check: a line end in a token would be another header.
        request.prepare_headers({**request.headers, name: value})
        return request

    return put


def _with_parameter(name: str, value: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def put(request: requests.PreparedRequest) -> requests.PreparedRequest:
        query = parse_qsl(urlsplit(request.url or "").query, keep_blank_values=True)
        if (name, value) not in query:
            request.prepare_url(request.url, {name: value})
        return request

    return put


def _basic(username: str, password: str) -> str:
    prepared = requests.Request("POST", "http://x/", auth=(username, password)).prepare()
    return str(prepared.headers["Authorization"])


def _needed(connection_id: str, auth: Mapping[str, Any], key: str) -> str:
    if not auth.get(key):
        raise ConfigurationError(f"Connection '{connection_id}': auth of type {auth.get('type')} needs `{key}`.")
    return str(auth[key])


LOGINS: dict[str, Callable[[str, Mapping[str, Any], Post], Login]] = {
    "basic": _basic_login,
    "bearer": _bearer_login,
    "jwt": _bearer_login,
    "api_key": _key_login,
    "oauth2": ClientCredentials,
}
