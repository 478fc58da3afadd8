"""What starting up may cost, as lists of modules that must not be loaded.

Each budget is one fresh interpreter: it runs a few lines and tells which modules they loaded. Forbidden
modules are named instead of milliseconds, so the answer is the same on a slow and on a fast machine. The
static half of the floor plan is import-linter's; this file watches what really happens, lazy imports and
libraries included.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEAVY = frozenset({
    "alembic", "apprise", "croniter", "jinja2", "jsonschema", "networkx", "psutil", "psycopg", "requests",
    "rich", "sqlalchemy", "textual", "watchfiles",
})  # fmt: skip
DATA = frozenset({"adbc_driver_manager", "duckdb", "pandas", "polars", "pyarrow"})

# What only attempts that touch data load; the registry and the small looks of a sensor stay light.
DATA_ROOMS = (
    "engine.dataflow", "engine.connectors.databases", "engine.connectors.files", "engine.connectors.queues",
    "engine.connectors.rest",
)  # fmt: skip
BEFORE_THE_FRAME = DATA | {  # the console paints its frame before it needs any of these
    "click", "engine.client.client", "engine.client.values", "engine.layout.arrange", "engine.ports", "jinja2",
    "psycopg", "sqlalchemy", "yaml",
}  # fmt: skip

REPORT = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)), file=sys.stderr)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One way to start, and what it may not load."""

    name: str
    code: str
    forbidden: frozenset[str] = frozenset()
    own_code_only: bool = False  # nothing from site-packages at all


def main() -> int:
    """Check every budget; print the broken ones and answer 1 if there are any."""
    budgets = list(_budgets())
    with ThreadPoolExecutor(max_workers=2) as pool:
        problems = [problem for found in pool.map(_check, budgets) for problem in found]
    for problem in problems:
        print(problem)
    print(f"Import budgets: {len(budgets)} checked, {len(problems)} problems")
    return 1 if problems else 0


def _budgets() -> Iterator[Budget]:
    yield Budget(name="penstock --help", code=_command("--help"), forbidden=HEAVY | DATA)
    yield Budget(name="penstock --version", code=_command("--version"), forbidden=HEAVY | DATA)
    yield Budget(name="penstock run --help", code=_command("run", "--help"), forbidden=HEAVY | DATA)
    for room in ("model", "ports", "rules"):
        modules = _modules(f"engine.{room}")
        yield Budget(name=f"import engine.{room}.*", code=_imports(modules), own_code_only=True)
    for room in ("client", "cli"):
        yield Budget(name=f"import engine.{room}", code=_imports([f"engine.{room}"]), forbidden=HEAVY | DATA)
    yield Budget(name="import console.app", code=_imports(["console.app"]), forbidden=BEFORE_THE_FRAME)
    everything = [one for one in _modules("engine") if not one.startswith(DATA_ROOMS)]
    yield Budget(name="import engine.**", code=_imports(everything), forbidden=frozenset({"textual"}) | DATA)
    data = [one for one in _modules("engine") if one.startswith(DATA_ROOMS)]
    yield Budget(name="import data rooms", code=_imports(data), forbidden=frozenset({"textual", "rich", "alembic"}))


def _command(*arguments: str) -> str:
    return (
        f"import sys\nsys.argv = {['penstock', *arguments]!r}\n"
        "from console.__main__ import main\n"
        "try:\n    code = main()\nexcept SystemExit as exit:\n    code = exit.code\n"
        "assert code in (0, None), f'exit code {code}'"
    )


def _imports(modules: list[str]) -> str:
    return "\n".join(f"import {module}" for module in modules)


def _modules(package: str) -> list[str]:
    """The package and every module below it, found by looking and not by importing."""
    folder = ROOT.joinpath(*package.split("."))
    found = [package]
    for module in sorted(pkgutil.iter_modules([str(folder)]), key=lambda each: each.name):
        name = f"{package}.{module.name}"
        if module.name in {"__main__", "env"} or name == "engine.stores.migrations.versions":
            continue  # these run when imported
        found += _modules(name) if module.ispkg else [name]
    return found


def _check(budget: Budget) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", budget.code + REPORT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        return [f"{budget.name}: does not start: {reason}"]
    modules = json.loads(done.stderr.splitlines()[-1])
    loaded = _top_level(modules)
    refused = (loaded | set(modules)) & budget.forbidden
    if budget.own_code_only:
        strangers = loaded - _at_start() - set(sys.stdlib_module_names) - {"engine", "console"}
        refused |= {name for name in strangers if not name.startswith("_sysconfigdata_")}  # zoneinfo's own
    return [f"{budget.name}: loads {name}; import it where it is used" for name in sorted(refused)]


def _at_start() -> set[str]:
    """What site-packages puts into every interpreter before our first line (.pth files)."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return _top_level(json.loads(done.stderr.splitlines()[-1]))


def _top_level(modules: list[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


if __name__ == "__main__":
    sys.exit(main())
