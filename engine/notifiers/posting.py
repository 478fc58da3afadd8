"""One POST of one JSON document: what webhook and Slack have in common.

Law: time is bounded, no redirect is followed (a POST with credentials goes where it was sent or nowhere), at most
64 KiB of the answer are read, and no message carries more of the address than its host.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from engine.model.errors import ConfigurationError
from engine.rules.rates import retry_after
from engine.rules.web import failure_of_error, failure_of_status

TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 64 * 1024


def place(url: str) -> str:
    """Scheme, host and port, for messages: path and query may be the secret itself."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "The address"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else "The address"


def require_web(url: str, owner: str) -> str:
    """The URL, when it is http or https; ConfigurationError otherwise."""
    if place(url).startswith(("http://", "https://")):
        return url
    raise ConfigurationError(f"{owner} needs a `url` that starts with https:// or http://.")


def post(url: str, document: Mapping[str, Any], headers: Mapping[str, str], seconds: float) -> bytes:
    """Deliver; the answer's body. A TaskFailure of the right kind when the other side did not take it."""
    try:
        with (
            requests.Session() as session,
            session.post(
                url,
                json=document,
                headers=dict(headers),
                timeout=seconds,
                allow_redirects=False,
                stream=True,
                auth=_no_login,
            ) as response,
        ):
            body: bytes = next(response.iter_content(_MOST_BYTES), b"")
    except (requests.RequestException, OSError, ValueError) as error:
        # The library's own text has the path, which for a webhook is the secret.
        raise failure_of_error(error, place(url)) from None
    patience = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    failure = failure_of_status(response.status_code, place(url), retry_after=patience)
    if failure is not None:
        raise failure
    return body


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from looking into ~/.netrc."""
    return request
