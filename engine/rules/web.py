"""What an HTTP status or a broken request means as a task failure (FAULTS, error kinds).

Law: the answer's kind decides retry and queue. Messages are built from what is safe to show: the caller's own
words for the place and the system's words for the error, never a URL with its query.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.errors import (
    ConfigurationError,
    NetworkError,
    PermissionFailure,
    RateLimited,
    TaskFailure,
    TimeoutFailure,
)

# By class name, so that judging an exception needs none of the libraries that raise it.
_KINDS: tuple[tuple[frozenset[str], type[TaskFailure], str], ...] = (
    (
        frozenset({"Timeout", "ReadTimeoutError", "ConnectTimeoutError", "TimeoutError"}),
        TimeoutFailure,
        "{where} did not answer in time{detail}.",
    ),
    (
        frozenset({"SSLError"}),  # before ValueError, which Python derives the one about certificates from
        NetworkError,
        "{where} could not be reached safely{detail}. A rest connection may name an authority: `verify: FILE`.",
    ),
    (
        frozenset({"InvalidURL", "MissingSchema", "InvalidSchema", "LocationParseError"}),
        ConfigurationError,
        "{where} is no address that can be asked{detail}. Write it as https://host/path.",
    ),
    (
        frozenset({"InvalidHeader", "ValueError"}),  # http.client has no name of its own for it
        ConfigurationError,
        "{where} was not asked: a header or token has characters that no header may have (a line end?).",
    ),
)

# urllib3 derives "could not connect" from its ConnectTimeoutError; it is none.
_MISNAMED = frozenset({"NewConnectionError", "NameResolutionError"})


def failure_of_status(
    status: int, where: str, *, retry_after: float | None = None, detail: str = ""
) -> TaskFailure | None:
    """The failure a status stands for; None for 2xx."""
    said = f"{where} answered {status}" + (f": {detail[:200]}" if detail else "")
    if 200 <= status < 300:
        return None
    if status == 429:
        wait = f" It asks for {retry_after:g} s of patience." if retry_after is not None else ""
        return RateLimited(f"{said}; too many requests.{wait}", retry_after=retry_after)
    if status in (401, 403):
        return PermissionFailure(f"{said}; the credentials are missing, wrong or may not do this.")
    if status in (408, 504):
        return TimeoutFailure(f"{said}; it ran out of time.")
    if 300 <= status < 400:
        return ConfigurationError(f"{said}, a redirect that is not followed. Use the final address.")
    if status >= 500:
        return NetworkError(f"{said}; trouble on its side.", retry_after=retry_after)
    return ConfigurationError(f"{said}; the request is not what it expects. Check address and content.")


def failure_of_error(error: BaseException, where: str) -> TaskFailure:
    """The failure a library's exception stands for."""
    links = [link for link in chain(error) if type(link).__name__ not in _MISNAMED]
    names = {base.__name__ for link in links for base in type(link).__mro__}
    detail = _system_words(error)
    for known, failure, sentence in _KINDS:
        if known & names:
            return failure(sentence.format(where=where, detail=detail))
    return NetworkError(f"{where} cannot be reached{detail}.")


def _system_words(error: BaseException) -> str:
    for link in chain(error):
        words = getattr(link, "strerror", None)
        if isinstance(link, OSError) and isinstance(words, str):
            return f" ({words})"
    return ""


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it wraps, and what it was raised from; each once."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
