"""What a connection of type `s3`, `gcs` or `azure` says, as obstore's client of its store.

Law: what cannot be used is refused before the store is asked. A server whose certificate nobody vouches for is not
talked to; files of certificates and of logins are seen from the workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore import exceptions as trouble

from engine.connectors.files.names import parts_of
from engine.connectors.files.object_failures import first_line
from engine.connectors.files.objects import ObjectStore
from engine.connectors.trust import trusted
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection

SECONDS = 60
RETRIES = 3
_NO_END = timedelta(days=365)


def open_store(connection: Connection, root: Path) -> ObjectStore:
    """The store of an `s3`, `gcs` or `azure` connection of the workspace at `root`."""
    config = connection.config
    parts = urlsplit(str(config.get("url") or ""))
    bucket = str(config.get("bucket") or config.get("container") or parts.netloc)
    if not bucket:
        raise ConfigurationError(
            f"Connection '{connection.id}' of type '{connection.type}' needs a `bucket` (azure: `container`)."
        )
    prefix = str(config.get("prefix") or config.get("path") or parts.path)
    scheme, names, maker = _KINDS[connection.type]
    client = _client(connection, root)
    given = {theirs: config[ours] for ours, theirs in names.items() if config.get(ours) not in (None, "")}
    if "service_account" in given:
        given["service_account"] = str(root / Path(str(given["service_account"])).expanduser())
    try:
        made = maker(bucket, given, client)
    except (trouble.BaseError, ValueError, TypeError, OverflowError) as error:
        raise ConfigurationError(
            f"Connection '{connection.id}' cannot be opened as it is written: {first_line(error)}. Check its keys; "
            "docs/files.md says which there are."
        ) from None
    return ObjectStore(connection.id, made, f"{scheme}://{bucket}", "/".join(parts_of(prefix.strip("/"))))


def _client(connection: Connection, root: Path) -> dict[str, Any]:
    config = connection.config
    endpoint = str(config.get("endpoint") or "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ConfigurationError(f"Connection '{connection.id}': `endpoint` begins with https:// (or http://).")
    # Not a limit of the whole answer: a large object is read as slowly as its rows are taken.
    silence = timedelta(seconds=float(config.get("timeout_seconds", SECONDS)))
    return {
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "timeout": _NO_END,
            "read_timeout": silence,
            **_trust(connection.id, trusted(connection.id, config.get("verify", True), root)),
        },
        "retry_config": {"max_retries": int(config.get("retries", RETRIES))},
    }


def _trust(connection_id: str, verify: bool | str) -> dict[str, Any]:
    if isinstance(verify, bool):
        return {} if verify else {"allow_invalid_certificates": True}
    try:
        found = Path(verify).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"Connection '{connection_id}': `verify` cannot be read: {error.strerror}."
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise ConfigurationError(
            f"Connection '{connection_id}': the file of `verify` has no certificate in it; it takes PEM, as text."
        )
    return {"root_certificate": found}


def _s3(bucket: str, given: dict[str, Any], client: dict[str, Any]) -> Any:
    from obstore.store import S3Store

    return S3Store(bucket, **given, **client)


def _gcs(bucket: str, given: dict[str, Any], client: dict[str, Any]) -> Any:
    from obstore.store import GCSStore

    return GCSStore(bucket, **given, **client)


def _azure(container: str, given: dict[str, Any], client: dict[str, Any]) -> Any:
    from obstore.store import AzureStore

    return AzureStore(container, **given, **client)


_S3 = {
    "region": "region",
    "endpoint": "endpoint",
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "session_token": "session_token",
    "anonymous": "skip_signature",
    "virtual_hosted": "virtual_hosted_style_request",
}
_GCS = {
    "service_account": "service_account",
    "service_account_key": "service_account_key",
    "endpoint": "base_url",
    "anonymous": "skip_signature",
}
_AZURE = {
    "account": "account_name",
    "access_key": "account_key",
    "sas_token": "sas_key",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "tenant_id": "tenant_id",
    "endpoint": "endpoint",
    "anonymous": "skip_signature",
    "emulator": "use_emulator",
}
# type -> the scheme of its addresses, the connection's keys as the library names them, its client
_KINDS: Mapping[str, tuple[str, Mapping[str, str], Callable[[str, dict[str, Any], dict[str, Any]], Any]]] = {
    "s3": ("s3", _S3, _s3),
    "gcs": ("gs", _GCS, _gcs),
    "azure": ("az", _AZURE, _azure),
}
