"""Secrets: where they come from, what is said when one is missing, and that none of them gets out."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.errors import ConfigurationError, RequestError
from engine.model.workspace import Connection
from engine.ports.secrets import Secrets
from engine.rules.masking import Mask
from engine.secrets.resolver import WorkspaceSecrets


def dotenv(root: Path, content: str, mode: int = 0o600) -> None:
    path = root / ".env"
    path.write_text(content)
    path.chmod(mode)


def make(root: Path, environ: dict[str, str] | None = None, **more: object) -> WorkspaceSecrets:
    return WorkspaceSecrets(root, environ=environ or {}, **more)  # type: ignore[arg-type]  # per test


def test_it_is_the_port(tmp_path: Path) -> None:
    port: Secrets = make(tmp_path)
    assert port.hidden_variables() == frozenset()


def test_every_source_is_replaced_inside_nested_config(tmp_path: Path) -> None:
    """SEC-01: secrets come from the environment or a file at run time."""
    (tmp_path / "token.txt").write_text("from-the-file\n")
    secrets = make(tmp_path, {"DB_PASSWORD": "hunter22"})
    connection = Connection(
        id="db",
        type="postgresql",
        config={
            "url": "postgresql://me:${env:DB_PASSWORD}@${env:DB_HOST:-localhost}/x",
            "headers": {"Authorization": ["Bearer ${file:token.txt}"]},
            "port": 5432,
        },
    )
    resolved, values = secrets.resolve(connection)
    assert resolved.config == {
        "url": "postgresql://me:hunter22@localhost/x",
        "headers": {"Authorization": ["Bearer from-the-file"]},
        "port": 5432,
    }
    assert list(values) == ["hunter22", "from-the-file"]
    assert "${env:DB_PASSWORD}" in connection.config["url"]


def test_a_default_is_no_secret(tmp_path: Path) -> None:
    secrets = make(tmp_path)
    assert secrets.resolve_text("${env:HOST:-localhost}") == ("localhost", ())
    assert secrets.mask("localhost") == "localhost"


def test_a_rotated_token_is_read_at_the_next_use(tmp_path: Path) -> None:
    """SEC-01: tokens may rotate."""
    environ = {"TOKEN": "first-token"}
    secrets = make(tmp_path, environ)
    assert secrets.resolve_text("${env:TOKEN}")[0] == "first-token"
    environ["TOKEN"] = "second-token"
    assert secrets.resolve_text("${env:TOKEN}")[0] == "second-token"
    assert secrets.mask("first-token second-token") == "*** ***"


def test_all_missing_references_are_named_at_once_and_no_value(tmp_path: Path) -> None:
    secrets = make(tmp_path, {"GOOD": "canary-value"})
    connection = Connection(
        id="shop", type="rest", config={"a": "${env:NOPE}", "b": "${file:gone.txt}", "c": "${env:GOOD}"}
    )
    with pytest.raises(ConfigurationError) as caught:
        secrets.resolve(connection)
    assert isinstance(caught.value, RequestError)  # a command answers with exit 2, not a traceback
    text = str(caught.value)
    assert "'shop'" in text
    assert "${env:NOPE}: the variable NOPE is not set" in text
    assert "${file:gone.txt}" in text
    assert "canary-value" not in text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${HOME}", r"say where the value comes from, e\.g\. \$\{env:HOME\}"),
        ("${evn:TOKEN}", r"there is no 'evn:'; did you mean 'env'\?"),
        ("${keyring:justone}", r"write it as \$\{keyring:SERVICE/NAME\}"),
        ("${service:channels}", "services are started by an engine"),
    ],
)
def test_a_reference_that_means_nothing_is_explained(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(tmp_path).resolve_text(written)


def test_a_service_gives_its_address_which_is_no_secret(tmp_path: Path) -> None:
    secrets = make(tmp_path, service=lambda name: f"http://127.0.0.1:1/{name}")
    assert secrets.resolve_text("${service:channels}/x") == ("http://127.0.0.1:1/channels/x", ())


class TestDotEnv:
    def test_it_lies_under_the_environment(self, tmp_path: Path) -> None:
        dotenv(tmp_path, "A=from-file\nB=from-file\n")
        environment = make(tmp_path, {"A": "from-env"}).environment()
        assert environment == {"A": "from-env", "B": "from-file"}

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
    def test_one_that_others_may_open_is_refused(self, tmp_path: Path, mode: int) -> None:
        dotenv(tmp_path, "A=canary-value\n", mode)
        secrets = make(tmp_path)
        with pytest.raises(ConfigurationError, match=r"chmod 600") as caught:
            secrets.environment()
        assert "canary-value" not in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"chmod 600"):
            secrets.resolve_text("${env:A}")

    def test_closing_it_again_is_noticed(self, tmp_path: Path) -> None:
        dotenv(tmp_path, "A=value-a\n")
        secrets = make(tmp_path)
        assert secrets.environment()["A"] == "value-a"
        (tmp_path / ".env").chmod(0o644)
        with pytest.raises(ConfigurationError):
            secrets.environment()

    def test_an_edit_is_seen(self, tmp_path: Path) -> None:
        dotenv(tmp_path, "A=one\n")
        secrets = make(tmp_path)
        assert secrets.environment()["A"] == "one"
        dotenv(tmp_path, "A=three\n")
        assert secrets.environment()["A"] == "three"

    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("A=plain", "plain"),
            ("  A = spaced  # remark", "spaced"),
            ("export A=exported", "exported"),
            ("A=has#hash", "has#hash"),
            ("A='single # \\n quoted'", "single # \\n quoted"),
            ('A="double \\n \\" quoted" # remark', 'double \n " quoted'),
            ("A=", ""),
            ("A=x=y", "x=y"),
            ("A=$NOT_EXPANDED", "$NOT_EXPANDED"),
        ],
    )
    def test_lines_mean_what_a_shell_takes_them_for(self, tmp_path: Path, line: str, value: str) -> None:
        dotenv(tmp_path, f"# a comment\n\n{line}\n")
        assert make(tmp_path).environment()["A"] == value

    @pytest.mark.parametrize("line", ["canary value", "1A=canary", 'A="canary', "A='canary"])
    def test_a_wrong_line_is_named_by_its_number_and_not_quoted(self, tmp_path: Path, line: str) -> None:
        dotenv(tmp_path, f"OK=1\n{line}\n")
        with pytest.raises(ConfigurationError, match="line 2") as caught:
            make(tmp_path).environment()
        assert "canary" not in str(caught.value)

    def test_a_folder_of_that_name_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".env").mkdir(mode=0o700)
        with pytest.raises(ConfigurationError, match="not a file"):
            make(tmp_path).environment()


class TestHidden:
    def test_variables_named_by_a_document_are_hidden_from_attempts(self, tmp_path: Path) -> None:
        documents = [
            {"db": {"password": "${env:DB_PASSWORD}", "host": "${env:HOST:-localhost}"}},
            {"state": "postgresql://u:${env:STATE_PASSWORD}@h/db", "tags": ["${file:x}"]},
        ]
        secrets = make(tmp_path, documents=lambda: documents)
        assert secrets.hidden_variables() == {"DB_PASSWORD", "HOST", "STATE_PASSWORD"}

    def test_what_documents_refer_to_is_masked_before_anybody_resolved_it(self, tmp_path: Path) -> None:
        documents = [{"a": {"password": "${env:CANARY}", "b": "${env:UNSET}", "c": "${keyring:s/n}"}}]
        secrets = make(tmp_path, {"CANARY": "canary-value"}, documents=lambda: documents)
        assert secrets.mask({"line": "it is canary-value!"}) == {"line": "it is ***!"}

    def test_masking_goes_on_while_the_documents_are_broken(self, tmp_path: Path) -> None:
        def broken() -> list[object]:
            raise RequestError("connections.yaml, line 3: ...")

        secrets = make(tmp_path, {"CANARY": "canary-value"}, documents=broken)
        secrets.resolve_text("${env:CANARY}")
        assert secrets.mask("it is canary-value") == "it is ***"


class TestKeyring:
    @pytest.fixture
    def keyring(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        """Stands for the optional package, which a bare machine does not have."""
        module, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
        errors.KeyringError = type("KeyringError", (Exception,), {})
        errors.NoKeyringError = type("NoKeyringError", (errors.KeyringError,), {})
        module.errors = errors
        module.get_password = lambda service, name: {("shop", "me"): "from-keyring"}.get((service, name))
        monkeypatch.setitem(sys.modules, "keyring", module)
        monkeypatch.setitem(sys.modules, "keyring.errors", errors)
        return module

    def test_it_is_asked(self, tmp_path: Path, keyring: types.ModuleType) -> None:
        assert make(tmp_path).resolve_text("${keyring:shop/me}") == ("from-keyring", ("from-keyring",))

    def test_a_name_it_does_not_hold_says_how_to_add_it(self, tmp_path: Path, keyring: types.ModuleType) -> None:
        with pytest.raises(ConfigurationError, match="keyring set shop you"):
            make(tmp_path).resolve_text("${keyring:shop/you}")

    def test_a_machine_without_one_is_told_what_else_there_is(
        self, tmp_path: Path, keyring: types.ModuleType
    ) -> None:
        def nothing(service: str, name: str) -> str:
            raise keyring.errors.NoKeyringError

        keyring.get_password = nothing
        with pytest.raises(ConfigurationError, match=r"has no keyring.*\$\{env:\} or \$\{file:\}"):
            make(tmp_path).resolve_text("${keyring:shop/me}")

    def test_the_missing_package_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(ConfigurationError, match="pip install keyring"):
            make(tmp_path).resolve_text("${keyring:shop/me}")


# No "*": two masks side by side would look like a secret made of stars.
words = st.text(st.characters(exclude_characters="*"), min_size=4, max_size=12)


class TestMask:
    def test_the_longest_goes_first(self) -> None:
        mask = Mask(["pass", "password-long"])
        assert mask.text("password-long, pass") == "***, ***"

    def test_short_values_stay_readable(self) -> None:
        assert Mask(["abc", "", "1"]).text("abc 1") == "abc 1"

    def test_json_url_and_repr_forms_are_found(self) -> None:
        secret = 'p"a\\ss/wörd&é\n'
        mask = Mask([secret])
        for text in (
            json.dumps({"x": secret}),
            json.dumps({"x": secret}, ensure_ascii=False),
            f"http://u:{quote(secret, safe='')}@h",
            f"http://u:{quote(secret, safe='').lower()}@h",
            repr(secret),
        ):
            assert "ss" not in mask.text(text), text
            assert "***" in mask.text(text)

    def test_each_line_of_a_key_file_is_masked(self) -> None:
        key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----\n"
        mask = Mask([key])
        assert mask.text("read MIIEvQIBADANBg") == "read ***"
        assert mask.text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"

    def test_bytes_that_are_no_text_pass_through(self) -> None:
        assert Mask(["sécret"]).data(b"\xff " + "sécret".encode() + b"\x00") == b"\xff ***\x00"

    def test_keys_and_nested_values_are_masked_and_numbers_kept(self) -> None:
        masked = Mask(["hunter22"]).value({"hunter22": ["x hunter22", 5, None, {"k": True}]})
        assert masked == {"***": ["x ***", 5, None, {"k": True}]}

    @given(st.lists(words, min_size=1, max_size=5), st.text(max_size=20))
    def test_no_secret_survives(self, secrets: list[str], around: str) -> None:
        """FAULTS 42: no canary in what is written."""
        mask = Mask(secrets)
        for secret in secrets:
            masked = mask.text(f"{around}{secret}{around}")
            assert secret not in masked

    @given(st.text(max_size=60))
    def test_without_a_secret_nothing_changes(self, text: str) -> None:
        assert Mask([]).text(text) == text
