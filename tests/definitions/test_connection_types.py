"""What a connection of each type may say: unknown types and keys are refused with the near spelling (VAL)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from engine.connectors.registry import LATER, TYPES
from engine.definitions.connections import _LATER, _TYPES
from engine.model.errors import Problem
from engine.notifiers.registry import TYPES as NOTIFIERS
from tests.definitions.fakes import Workspace


def problems(workspace: Workspace, line: str, **more: object) -> list[Problem]:
    workspace.write("connections.yaml", f"shop: {line}\n")
    return [each for report in workspace.catalog(**more).refresh() for each in report.errors]


def test_every_type_that_something_serves_is_described_and_no_other() -> None:
    assert set(_TYPES) == TYPES | NOTIFIERS
    assert set(_LATER) == LATER


@pytest.mark.parametrize(
    ("line", "said", "suggestion"),
    [
        ("{type: postgres, host: db}", "type 'postgres'", "postgresql"),
        ("{type: postgresql, hots: db, database: d}", "key 'hots'", "host"),
        ("{type: sqlite}", "give one of: path, database", None),
        ("{type: oracle, url: x}", "not in this version", None),
        ("{type: s3, bucket: 3}", "expected a string", None),
        ("{type: sqlite, path: x.db, breaker: {failure_treshold: 2}}", "failure_treshold", "failure_threshold"),
        ("{type: sqlite, path: x.db, breaker: yes}", "breaker", None),
    ],
)
def test_what_is_wrong_is_said_with_the_near_spelling(
    workspace: Workspace, line: str, said: str, suggestion: str | None
) -> None:
    found = problems(workspace, line)
    assert any(said in f"{each.path} {each.message}" for each in found), found
    if suggestion is not None:
        assert suggestion in [each.suggestion for each in found]


def test_a_type_of_an_installed_package_takes_what_it_likes(workspace: Workspace) -> None:
    assert problems(workspace, "{type: mainframe, whatever: 1}", connection_types=("mainframe",)) == []


def test_a_reference_may_stand_for_a_port(workspace: Workspace) -> None:
    assert problems(workspace, "{type: postgresql, host: db, port: '${env:PORT:-5432}'}") == []


def test_the_order_of_rows_may_be_given_up_in_duckdb(workspace: Workspace) -> None:
    assert problems(workspace, "{type: duckdb, path: d.duckdb, row_order: any}") == []
    assert "kept, any" in problems(workspace, "{type: duckdb, path: d.duckdb, row_order: desc}")[0].message


EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "connections.md").read_text(encoding="utf-8"), re.S
)


def test_every_connection_in_the_documentation_is_one(workspace: Workspace) -> None:
    """What is shown as an example can be copied."""
    shown = {}
    for text in EXAMPLES:
        written = yaml.safe_load(text)
        found = written.items() if isinstance(written, dict) else ()
        shown.update({name: one for name, one in found if isinstance(one, dict) and one.get("type") in _TYPES})
    assert len(shown) >= 5
    workspace.write("connections.yaml", yaml.safe_dump(shown))
    assert [each for report in workspace.catalog().refresh() for each in report.errors] == []


def test_connections_below_a_key_of_their_own_are_told_so_once(workspace: Workspace) -> None:
    """As many tools write them; "key 'type' is missing" would say nothing."""
    workspace.write("connections.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n")
    (found,) = (each for report in workspace.catalog().refresh() for each in report.errors)
    assert (found.line, found.suggestion) == (1, "take this line out, and move what is below it to the left")


def test_a_connection_may_be_called_connections(workspace: Workspace) -> None:
    workspace.write(
        "connections.yaml", "connections: {type: sqlite, path: shop.db, breaker: {failure_threshold: 2}}\n"
    )
    assert [each for report in workspace.catalog().refresh() for each in report.errors] == []
