"""How object stores are reached: endpoints, logins, certificates, patience, and what is said when one is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.connectors.files.connector import FileConnector
from engine.connectors.files.object_failures import failure_of
from engine.connectors.registry import Connectors
from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure, TaskFailure
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.source import Selection
from tests.contract.certificates import Authority, in_front_of
from tests.contract.files_bench import ROWS, order, stream, table
from tests.contract.google_front import ServiceAccount
from tests.contract.object_rig import Bucket, Memory, Served, Servers, shared_access
from tests.contract.ports import nobody_listens
from tests.contract.web_service import Answer, Asked, serving

pytest.importorskip("obstore")
KEY = "Q0FOQVJZ"  # CANARY, as Azure writes keys
LOGINS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"bucket": "lake", "region": "x", "access_key_id": "CANARYKEY", "secret_access_key": "CANARYSECRET"},
    "gcs": {"bucket": "lake", "anonymous": True},
    "azure": {"container": "lake", "account": "acme", "access_key": KEY},
}
KINDS = sorted(LOGINS)
TRUSTED = b'<?xml version="1.0"?><ListBucketResult><Name>lake</Name></ListBucketResult>'


@pytest.fixture(params=["s3", "gcs", "azure"])
def served(request: pytest.FixtureRequest, object_servers: Servers) -> Served:
    """An empty bucket on a server."""
    return object_servers.bucket(request.param)


def opened(kind: str, root: Path = Path(), **config: Any) -> Any:
    told = {**LOGINS[kind], "retries": 0, **config}
    return Connectors(root).open(Connection(id="lake", type=kind, config=told))


def attempts(files: FileConnector) -> Iterator[str]:
    """What a look, a read and a write of a store that is not to be had say; each has to fail."""
    for attempt in (
        files.test,
        lambda: table(files, Selection(path="a.csv")),
        lambda: files.load(stream(), order("a.csv")),
        lambda: files.stage(stream(), order("a.csv")),
    ):
        with pytest.raises(TaskFailure) as caught:
            attempt()
        yield f"{type(caught.value).__name__}: {caught.value}"
        assert caught.value.__cause__ is None  # it has addresses in it, with signatures


class TestWhatIsSaid:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_server_that_is_away_is_a_network_error_that_names_it_and_no_secret(self, kind: str) -> None:
        """FAULTS 42"""
        with nobody_listens() as port:
            where = f"http://127.0.0.1:{port}"
            for said in attempts(opened(kind, endpoint=where)):
                assert said.startswith("NetworkError: connection 'lake', ") and "://lake" in said
                assert f"{where} cannot be reached" in said and "`endpoint`" in said
                assert "CANARY" not in said and KEY not in said

    @pytest.mark.soak
    def test_a_bucket_that_is_not_there_is_told(self, served: Served) -> None:
        name = "container" if served.type == "azure" else "bucket"
        for said in attempts(served.files(**{name: "nothere"})):
            assert said.startswith("ConfigurationError: There is no such bucket or container: connection 'lake', ")
            assert "://nothere" in said

    @pytest.mark.soak
    def test_a_wrong_login_is_a_matter_of_rights(self, served: Served) -> None:
        wrong = {"gcs": {"service_account_key": ServiceAccount().key}, "azure": {"access_key": KEY}}
        if served.type not in wrong:
            pytest.skip("the S3 server looks at no signature")
        for said in attempts(served.files(**wrong[served.type])):
            assert said.startswith("PermissionFailure: Access was refused (40") and "connection 'lake', " in said
            assert "Check the connection's keys" in said and KEY not in said

    @pytest.mark.soak
    @pytest.mark.parametrize("lead", ["", "?"])
    def test_a_token_of_azure_lets_do_what_it_says_and_is_never_shown(
        self, object_servers: Servers, lead: str
    ) -> None:
        served = object_servers.bucket("azure")
        served.files().load(stream(), order("a.csv"))
        for rights, refused in (("rl", "load"), ("rwl", "discard")):
            token = lead + shared_access(served.config["container"], rights)
            files = served.files(access_key="", sas_token=token)
            assert table(files, Selection(path="*.csv", columns=["id"])).num_rows == len(ROWS)
            one = order("b.csv", token=rights)
            with pytest.raises(PermissionFailure, match=r"Access was refused \(403") as caught:
                files.load(stream(), one) if refused == "load" else files.discard(files.stage(stream(), one))
            assert "sig" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (403, "SignatureDoesNotMatch", "PermissionFailure"),
            (400, "ExpiredToken", "PermissionFailure"),
            (404, "NoSuchBucket", "ConfigurationError"),
            (400, "AuthorizationHeaderMalformed", "ConfigurationError"),
            (400, "RequestTimeout", "NetworkError"),
            (503, "SlowDown", "NetworkError"),
        ],
    )
    def test_a_refusal_is_known_by_its_status_and_word(self, status: int, code: str, kind: str) -> None:
        """Each as the store sends it, with what was signed and by whom."""
        body = f"<Error><Code>{code}</Code><AWSAccessKeyId>CANARYKEY</AWSAccessKeyId></Error>".encode()
        with serving(lambda asked: Answer(status, b"" if asked.method == "HEAD" else body)) as service:
            files = opened("s3", endpoint=service.url)
            with pytest.raises(TaskFailure) as caught:
                files.test()
        said = f"{type(caught.value).__name__}: {caught.value}"
        assert said.startswith(kind) and "connection 'lake', s3://lake" in said and "CANARY" not in said
        assert code in said or code == "NoSuchBucket"

    def test_a_connection_without_a_login_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The library asks the machine then, as if it were one of a cloud."""
        with nobody_listens() as port:
            monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{port}")
            files = opened("s3", access_key_id="", secret_access_key="", endpoint="http://127.0.0.1:1")
            with pytest.raises(NetworkError, match=r"'lake', s3://lake: there is no login .*`anonymous: true`"):
                files.test()

    @pytest.mark.parametrize(
        ("address", "status", "kind", "words"),
        [
            ("http://169.254.169.254/metadata/identity/oauth2/token?resource=x", 403, NetworkError, "is no login"),
            ("http://169.254.169.254/computeMetadata/v1/instance/x?audience=y", 404, NetworkError, "is no login"),
            ("https://login.example/tenant/oauth2/v2.0/token?x=y", 400, PermissionFailure, "was refused (400)"),
            ("https://login.example/tenant/oauth2/v2.0/token?x=y", 401, PermissionFailure, "was refused (401)"),
            ("https://login.example/tenant/oauth2/v2.0/token?x=y", 500, NetworkError, "https://login.example did"),
        ],
    )
    def test_a_login_that_is_not_had_is_told_from_a_store_that_refuses(
        self, address: str, status: int, kind: type[TaskFailure], words: str
    ) -> None:
        """As the library puts it; their servers are not on this machine."""
        text = f"Generic X error: Error performing token request: Error performing POST {address} in 1ms - "
        error = OSError(f"{text}Server returned non-2xx status code: {status} Why: {{}}")
        found = failure_of(error, "connection 'lake', az://lake", "")
        assert type(found) is kind and words in str(found) and "?" not in str(found)

    @pytest.mark.parametrize(
        ("kind", "config", "said"),
        [
            ("gcs", {"bucket": ""}, "needs a `bucket`"),
            ("s3", {"endpoint": "CANARY"}, "`endpoint` begins with https://"),
            ("s3", {"secret_access_key": ""}, "Missing SecretAccessKey"),
            ("azure", {"account": ""}, "Account must be specified"),
            ("azure", {"access_key": "CANARY!"}, "Invalid Access Key"),
            ("gcs", {"service_account_key": "CANARY"}, "Unable to decode service account"),
            ("gcs", {"service_account": "nowhere.json"}, "nowhere.json: No such file"),
            ("s3", {"verify": "nowhere.crt"}, "`verify` names nowhere.crt, and there is no such file"),
            ("s3", {"verify": "notes.txt"}, "the file of `verify` has no certificate in it"),
            ("s3", {"verify": "broken.crt"}, "cannot be opened as it is written"),
        ],
    )
    def test_what_a_connection_cannot_mean_is_told_before_the_store_is_asked(
        self, kind: str, config: Mapping[str, Any], said: str, tmp_path: Path
    ) -> None:
        (tmp_path / "notes.txt").write_text("CANARY")
        (tmp_path / "broken.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        with pytest.raises(ConfigurationError, match="onnection 'lake'") as caught:
            opened(kind, tmp_path, **config)
        assert said in str(caught.value) and "CANARY" not in str(caught.value)


class TestCertificates:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_store_is_asked_where_its_certificate_is_vouched_for(
        self, kind: str, authority: Authority, another: Authority
    ) -> None:
        empty = b"<EnumerationResults><Blobs/></EnumerationResults>" if kind == "azure" else TRUSTED
        with serving(lambda asked: Answer(200, empty), authority.certify("store").context()) as service:
            for trust in ({}, {"verify": True}, {"verify": str(another.file)}):
                with pytest.raises(NetworkError, match=r"'lake'.* could not be reached safely .*`verify: FILE`"):
                    opened(kind, endpoint=service.url, **trust).test()
            assert service.asked == []
            root, name = authority.file.parent, authority.file.name
            assert "can be listed" in opened(kind, root, endpoint=service.url, verify=name).test()
            assert "can be listed" in opened(kind, endpoint=service.url, verify=False).test()

    @pytest.mark.soak
    def test_objects_travel_encrypted(self, served: Served, authority: Authority) -> None:
        port = int(served.config["endpoint"].split(":")[2].partition("/")[0])
        with in_front_of(port, authority.certify(served.type).context()) as front:
            plain = f"http://127.0.0.1:{port}"
            endpoint = served.config["endpoint"].replace(plain, f"https://localhost:{front}")
            files = served.files(endpoint=endpoint, verify=str(authority.file))
            files.load(stream(), order("a.parquet"))
            assert table(files, Selection(path="*.parquet")).to_pylist() == ROWS
            with pytest.raises(NetworkError, match="could not be reached safely"):
                served.files(endpoint=endpoint).load(stream(), order("b.parquet"))
        assert served.files().discover("*") == ["a.parquet"]


@contextmanager
def speaking(pieces: int, silence: float) -> Iterator[str]:
    """The address of a store with one object, `a.csv`, that it hands out in pieces."""
    headers = {
        "Content-Length": str(2 + 2 * pieces),
        "ETag": '"1"',
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        "Connection": "close",
    }

    def drip(handler: Any) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        for piece in (b"a\n", *([b"1\n"] * pieces)):
            handler.wfile.write(piece)
            handler.wfile.flush()
            if service.ended.wait(silence):
                return

    def answer(asked: Asked) -> Answer:
        return Answer(drip=drip)

    with serving(answer) as service:
        yield service.url


class TestPatience:
    def test_an_object_may_take_longer_than_the_store_may_be_silent(self) -> None:
        with speaking(pieces=6, silence=0.25) as url:
            place = opened("s3", endpoint=url, timeout_seconds=1)._place
            assert place.open(place.find("a.csv")).file.read() == b"a\n" + 6 * b"1\n"

    def test_a_store_that_falls_silent_is_left(self) -> None:
        with speaking(pieces=2, silence=60) as url:
            files = opened("s3", endpoint=url, timeout_seconds=0.3)
            with pytest.raises(
                NetworkError, match=r"'lake'.*'a\.csv': the store was silent for longer than `timeout_seconds`"
            ):
                table(files, Selection(path="a.csv"))


def test_the_key_file_of_google_is_seen_from_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "google.json").write_text(ServiceAccount().key)
    opened("gcs", tmp_path, service_account="google.json", anonymous=False).close()


@pytest.mark.soak
def test_google_takes_who_comes_with_a_key_file(object_servers: Servers, tmp_path: Path) -> None:
    served = object_servers.bucket("gcs")
    (tmp_path / "google.json").write_text(served.config["service_account_key"])
    config = {key: value for key, value in served.config.items() if key != "service_account_key"}
    files = opened("gcs", tmp_path, **{**config, "service_account": "google.json", "anonymous": False})
    assert files.load(stream(), order("a.csv")).rows == len(ROWS)


def test_an_object_is_the_same_in_a_listing_as_by_itself(bucket: Bucket) -> None:
    """Azure lists ETags without their quotes, and its own conditions are asked for with them."""
    files = bucket.files()
    files.load(stream(), order("a.csv"))
    place = files._place
    (listed,) = files._entries("*.csv")
    alone = place.find("a.csv")
    assert alone is not None and (listed.name, listed.size, listed.tag) == (alone.name, alone.size, alone.tag)
    assert listed.tag.startswith('"') or isinstance(bucket, Memory)


def test_what_an_earlier_version_wrote_is_known_as_its_own(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token's name as metadata was one that Azure does not take."""
    if isinstance(bucket, Served) and bucket.type == "azure":
        pytest.skip("nothing was ever written there")
    files = bucket.files()
    with monkeypatch.context() as before:
        before.setattr("engine.connectors.files.object_target.TOKEN", "penstock-token")
        before.setattr(failpoint, "hit", _dead_when_published)
        with pytest.raises(KeyboardInterrupt):
            files.load(stream(), order("a.csv", token="1"))
    assert files.ledger("1", "a.csv") is not None


def _dead_when_published(point: str) -> None:
    """The ledger says pending then: only the object itself knows."""
    if point == "files.published":
        raise KeyboardInterrupt
