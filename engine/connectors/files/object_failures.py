"""What a store's client says when something goes wrong, as a failure of the right kind.

Law: told are the status, the store's own word for it and which server it was. The rest stays here: an address
carries a signature, and the answer to a refused login repeats what was signed, and by whom.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from obstore import exceptions as trouble

from engine.connectors.files.names import shown
from engine.connectors.files.place import changed
from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure, TaskFailure

# A listing, and whatever a writer does, come as one kind of error with all the difference in its text.
_STATUS = re.compile(r"(?:status code: |\(code: )(\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_ADDRESS = re.compile(r"Error performing [A-Z]+ (https?://[^\s?]+)")
_UNTRUSTED = re.compile(r"InvalidCertificate\(\s*(\w+)")
_QUERY = re.compile(r"\?[^\s)\"']*")
_LIBRARY = re.compile(r"^Generic (\S+|HTTP client) error: ")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"})
_NO_LOGIN = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
# Where a machine of a cloud is given its login: AWS, Google, Azure.
_OF_THE_MACHINE = re.compile(
    r"https?://[^/\s?]+/(latest/(api/token|meta-data)|computeMetadata|metadata/identity)/?"
)


class Missing(ConfigurationError):
    """No such object."""


def failure_of(error: Exception, where: str, name: str) -> TaskFailure:
    """The failure that an error of the library stands for; `where` names connection and bucket."""
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    one = f"{where}, '{shown(name)}'" if name else where
    said = f" ({' '.join(filter(None, (status, code)))})" if status or code else ""
    if isinstance(error, trouble.PreconditionError):
        return changed(name)
    if _OF_THE_MACHINE.search(text):
        return NetworkError(
            f"{one}: there is no login in the connection, and this machine was given none{said}. Give it keys, or "
            "`anonymous: true` for what everybody may read."
        )
    absent = isinstance(error, FileNotFoundError | trouble.NotFoundError)
    if code in _NO_BUCKET or (status == "404" and not absent):
        return ConfigurationError(f"There is no such bucket or container: {where}. Check its name and `endpoint`.")
    if absent:
        return Missing(f"There is no such object: {one}.")
    refused = isinstance(error, trouble.PermissionDeniedError | trouble.UnauthenticatedError)
    if refused or status in ("401", "403") or code in _NO_LOGIN or (status == "400" and "token request" in text):
        return PermissionFailure(f"Access was refused{said}: {one}. Check the connection's keys and their rights.")
    if status.startswith("3") or (status == "400" and code and "Timeout" not in code):
        return ConfigurationError(
            f"The store does not take what it was asked{said}: {one}. Check names, `region` and `endpoint`."
        )
    if isinstance(error, ValueError | trouble.InvalidPathError | trouble.UnknownConfigurationKeyError):
        return ConfigurationError(f"{one}: {first_line(error)}")
    return NetworkError(_away(text, status, said, one) or f"The store did not answer: {one}: {first_line(error)}")


def _away(text: str, status: str, said: str, one: str) -> str:
    """Why a server could not be asked; empty when nothing is known but the library's words."""
    address = urlsplit(_found(_ADDRESS, text))
    server = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
    untrusted = _found(_UNTRUSTED, text)
    if untrusted:
        reason = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", untrusted).lower()
        return (
            f"{one}: {server} could not be reached safely ({reason}). An authority of your own is named by "
            "`verify: FILE`."
        )
    if "kind: Timeout" in text:
        return f"{one}: the store was silent for longer than `timeout_seconds`."
    if address.netloc and not status:
        return f"{one}: {server} cannot be reached, or the connection broke; is it the right `endpoint`?"
    return f"{one}: {server} did not answer as it should{said}." if address.netloc else ""


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def first_line(error: Exception) -> str:
    """Of what the library says; below it are its insides."""
    line = (str(error).splitlines() or [""])[0]
    return shown(_QUERY.sub("", _LIBRARY.sub("", line)) or type(error).__name__)
