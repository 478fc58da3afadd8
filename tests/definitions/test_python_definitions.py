"""Definitions in Python: the same shape, another process, mistakes with their line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.sdk.definition import MARK, pipeline, task
from tests.definitions.fakes import Workspace

LOOP = """\
import helper
from engine.sdk.definition import pipeline, task

print("noise on stdout")

@pipeline(id="tables", schedule="@daily", parameters={"region": "eu"})
def tables():
    first = task("first", "shell", command="true")
    yield first
    for table in helper.TABLES:
        yield task(f"copy_{table}", "shell", command=f"copy {table}", dependencies=[first], retries=1)

@pipeline
def mapping():
    return {"name": "From a mapping", "tasks": [{"id": "a", "type": "shell", "config": {"command": "true"}}]}
"""


def test_decorated_functions_become_pipelines(workspace: Workspace):
    """DEF-01, DEF-12: dynamic tasks, the same checks, one representation."""
    workspace.write("helper.py", "TABLES = ['a', 'b']\n")
    workspace.write("pipelines/tables.py", LOOP)
    catalog = workspace.catalog()
    assert [problem for report in catalog.refresh() for problem in report.errors] == []
    assert catalog.ids() == ["mapping", "tables"]
    made = catalog.get("tables")
    assert [one.id for one in made.tasks] == ["first", "copy_a", "copy_b"]
    assert made.tasks[1].dependencies == ("first",)
    assert made.tasks[1].config == {"command": "copy a"}
    assert made.tasks[1].retry_policy.max_attempts == 2
    assert catalog.get("mapping").name == "From a mapping"


def test_yaml_and_python_of_the_same_pipeline_are_the_same_version(workspace: Workspace):
    workspace.pipeline("same")
    workspace.write(
        "other/same.py",
        "from engine.sdk.definition import pipeline, task\n\n"
        "@pipeline\ndef same():\n    return [task('a', 'shell', command='true')]\n",
    )
    catalog = workspace.catalog()
    catalog.refresh()
    by_yaml = catalog.get("same")
    (workspace.root / "pipelines/same.yaml").unlink()
    (workspace.root / "other/same.py").rename(workspace.root / "pipelines/same.py")
    catalog.refresh()
    assert catalog.get("same").hash == by_yaml.hash


def test_a_change_of_an_imported_module_reloads_the_definition(workspace: Workspace):
    workspace.write("helper.py", "TABLES = ['a']\n")
    workspace.write("pipelines/tables.py", LOOP)
    catalog = workspace.catalog()
    catalog.refresh()
    workspace.write("helper.py", "TABLES = ['a', 'b', 'c']\n")
    catalog.refresh()
    assert len(catalog.get("tables").tasks) == 4


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("    return 1 / 0\n", 5, "ZeroDivisionError"),
        ("    return 5\n", 3, "returns int"),
        ("    return [task('a', 'python', callable=print)]\n", 3, "tasks[0].config.callable is a builtin"),
        ("    return [task('a', 'python', args={'x': float('nan')})]\n", 3, "nan"),
        ("    import sys; sys.exit(3)\n", 5, "SystemExit"),
        ("    return (\n", None, "SyntaxError"),
        ("    import nowhere_to_be_found\n", 5, "ModuleNotFoundError"),
        ("    import os; os._exit(9)\n", None, "exit 9"),
        ("    return [task('a', 'shell', colour='red')]\n", 5, "'colour'"),
    ],
)
def test_mistakes_become_problems_with_their_line(workspace: Workspace, body, line, words):
    source = "from engine.sdk.definition import pipeline, task\n\n@pipeline\ndef broken():\n" + body
    workspace.write("pipelines/broken.py", source)
    (problem,) = [problem for report in workspace.catalog().refresh() for problem in report.errors]
    assert problem.file == "pipelines/broken.py"
    assert words in problem.message
    assert line is None or problem.line == line


def test_one_broken_function_leaves_the_others_of_its_file(workspace: Workspace):
    workspace.write(
        "pipelines/two.py",
        "from engine.sdk.definition import pipeline, task\n\n"
        "@pipeline\ndef good():\n    return [task('a', 'shell', command='true')]\n\n"
        "@pipeline\ndef bad():\n    raise ValueError('no')\n",
    )
    catalog = workspace.catalog()
    (report,) = [report for report in catalog.refresh() if report.errors]
    assert report.errors[0].line == 9
    assert catalog.ids() == ["good"]


def test_user_code_runs_elsewhere_without_secrets(workspace: Workspace, monkeypatch):
    """User code never runs in the engine; it sees a handful of harmless variables, the workspace and no secret."""
    monkeypatch.setenv("DB_PASSWORD", "canary-11")
    workspace.write(
        "pipelines/look.py",
        "import os\nfrom engine.sdk.definition import pipeline, task\n\n@pipeline\ndef look():\n"
        "    return [task('a', 'shell', env={'pid': os.getpid(), 'cwd': os.getcwd(), 'names': sorted(os.environ),"
        " 'values': list(os.environ.values())})]\n",
    )
    catalog = workspace.catalog()
    catalog.refresh()
    seen = catalog.get("look").tasks[0].config["env"]
    assert seen["pid"] != os.getpid()
    assert seen["cwd"] == str(workspace.root)
    assert "DB_PASSWORD" not in seen["names"]
    assert "canary-11" not in str(seen["values"])


@pytest.mark.parametrize(
    "statement",
    [
        "while True: pass",
        "import time; time.sleep(3600)",
        "import subprocess; subprocess.run(['sleep', '3600.{pid}'])",
    ],
)
def test_a_definition_that_does_not_end_is_stopped_with_all_it_started(workspace: Workspace, statement):
    workspace.write("pipelines/slow.py", f"# pipeline\n{statement}\n".replace("{pid}", str(os.getpid())))
    (report,) = workspace.catalog(python_seconds=0.5).refresh()
    assert "took longer than 0.5 s" in report.errors[0].message
    mark = f"sleep\x003600.{os.getpid()}".encode()
    deadline = time.monotonic() + 60
    while any(mark in _bytes(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "its children have to be gone too"
        time.sleep(0.01)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("ending", ["", "import os; os._exit(4)"])
def test_what_a_definition_leaves_running_is_ended_with_it(workspace: Workspace, ending):
    mark = f"7200.{os.getpid()}{len(ending)}"
    workspace.write(
        "pipelines/leaves.py", f"# pipeline\nimport subprocess\nsubprocess.Popen(['sleep', '{mark}'])\n{ending}\n"
    )
    workspace.catalog().refresh()
    deadline = time.monotonic() + 60
    while any(mark.encode() in _bytes(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_memory_is_limited(workspace: Workspace):
    workspace.write("pipelines/big.py", "# pipeline\nx = bytearray(8 << 30)\n")
    (report,) = workspace.catalog().refresh()
    assert "MemoryError" in report.errors[0].message


def test_modules_without_pipelines_are_no_definitions(workspace: Workspace):
    workspace.write("pipelines/shared.py", "raise RuntimeError('imported only by those who need it')\n")
    assert list(workspace.catalog().refresh()) == []


def test_a_workspace_module_cannot_take_the_place_of_ours(workspace: Workspace):
    workspace.write("engine/__init__.py", "raise RuntimeError('shadowed')\n")
    workspace.write("json.py", "raise RuntimeError('shadowed')\n")
    workspace.write("pipelines/tables.py", LOOP.replace("import helper", "class helper: TABLES = ['a']"))
    catalog = workspace.catalog()
    assert [problem for report in catalog.refresh() for problem in report.errors] == []


def test_values_of_the_sdk():
    one = task("a", "sensor", config={"timeout_seconds": 5}, file="x", timeout_seconds=60)
    assert one.keys == {
        "id": "a",
        "type": "sensor",
        "timeout_seconds": 60,
        "config": {"timeout_seconds": 5, "file": "x"},
    }
    assert task("b", "shell", dependencies=one).keys["dependencies"] == ["a"]

    @pipeline(id="x", retries=1)
    def function() -> list[object]:
        return [one]

    assert function() == [one], "the function itself stays callable"
    assert getattr(function, MARK).keys == {"retries": 1}
