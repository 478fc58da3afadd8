"""Google Cloud Storage as its XML API is written down, in front of an S3 server that holds the objects.

No emulator that can be had speaks the XML API, which object stores are read and written by: listing, uploads in
parts and conditions are missing. Its form is S3's with other headers, generations in the place of conditions on
ETags, and a login of its own; these are here, the rest is the other server's.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.contract.serving import serving

_KEPT = ("range", "if-match", "if-none-match", "content-type")
_BEHIND = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_PASSED = ("etag", "last-modified", "content-range", "content-type")


class ServiceAccount:
    """Who may log in; `key` is the file that Google hands out."""

    def __init__(self) -> None:
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = own.public_key()
        form = serialization.PrivateFormat.PKCS8
        pem = own.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        who = {"client_email": "etl@tests.example", "private_key_id": "1"}
        self.key = json.dumps({"type": "service_account", "private_key": pem, **who})

    def has_signed(self, authorization: str) -> bool:
        try:
            jwt.decode(authorization.removeprefix("Bearer "), self.public, ["RS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return False
        return True


@contextmanager
def google(behind: int, account: ServiceAccount) -> Iterator[int]:
    """The port of a server for who logs in with the account's key; objects are kept by the S3 server `behind`."""
    generations: dict[str, int] = {}
    numbers = itertools.count(1_700_000_000_000_001)
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one answer, one packet

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not account.has_signed(self.headers.get("Authorization", "")):
                return self.answer(401, {}, b"<Error><Code>AuthenticationRequired</Code></Error>")
            path, _, query = self.path.partition("?")
            name = unquote(path)
            with turn:  # what a condition is held against stays until its request is done
                wanted = self.headers.get("x-goog-if-generation-match")
                if wanted is not None and int(wanted) != generations.get(name, 0):
                    return self.answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
                status, headers, content = self.asked(quote(name) + (f"?{query}" if query else ""), body)
                if status < 300 and (
                    (self.command == "PUT" and "partNumber" not in query)
                    or (self.command == "POST" and "uploadId" in query)
                ):
                    generations[name] = next(numbers)
                if self.command == "DELETE" and status < 300:
                    generations.pop(name, None)
                if name in generations:
                    headers["x-goog-generation"] = str(generations[name])
            return self.answer(status, headers, content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def asked(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
            given = {key: value for key, value in self.headers.items() if key.lower() in _KEPT}
            given["Authorization"] = _BEHIND
            for key, value in self.headers.items():
                if key.lower().startswith(("x-goog-meta-", "x-goog-copy-source")):
                    given[key.lower().replace("x-goog-", "x-amz-")] = unquote(value)
            other = HTTPConnection("127.0.0.1", behind, timeout=60)
            try:
                other.request(self.command, path, body, given)
                answer = other.getresponse()
                content = answer.read()
            finally:
                other.close()
            found = {key: value for key, value in answer.getheaders() if key.lower() in _PASSED}
            for key, value in answer.getheaders():
                if key.lower().startswith("x-amz-meta-"):
                    found[key.lower().replace("x-amz-", "x-goog-")] = value
            if self.command == "HEAD":
                found["Content-Length"] = answer.getheader("Content-Length", "0")
            return answer.status, found, content

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server) as port:
        yield port
