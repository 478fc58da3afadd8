"""Inside an attempt: ctx, the shell and python types, outputs, limits, and how failures are told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.errors import ErrorKind, LogicError
from engine.model.run import Reason
from engine.ports.executor import Finished, Measured, Progressed
from engine.sdk.outputs import load_staged
from engine.tasks.python import PythonTask
from engine.tasks.shell import ShellTask
from tests.runtime.attempt_bench import SECRET, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def failure(finished: Finished) -> tuple[str, ErrorKind, str]:
    assert finished.outcome.result == "failed"
    error = finished.outcome.error
    assert error is not None
    return error.type, error.kind, error.message


@pytest.mark.parametrize(
    ("command", "type_", "kind"),
    [
        ("exit 3", "exit 3", ErrorKind.LOGIC),
        ("exit 75", "exit 75", ErrorKind.RESOURCE),
        ("exit 124", "exit 124", ErrorKind.TIMEOUT),
        ("/no/such/command", "exit 127", ErrorKind.CONFIGURATION),
        ("kill -9 $$", "signal 9", ErrorKind.RESOURCE),
        ("kill -SEGV $$", "signal 11", ErrorKind.LOGIC),
        ("false; echo went on", "exit 1", ErrorKind.LOGIC),
        (["/no/such/program"], "ConfigurationError", ErrorKind.CONFIGURATION),
    ],
)
def test_a_shell_failure_is_told_by_its_exit(bench: Bench, command: object, type_: str, kind: ErrorKind) -> None:
    """RTY-06"""
    finished = bench.end(bench.shell(command))
    assert failure(finished)[:2] == (type_, kind)
    if type_.startswith("exit"):
        assert finished.exit_code == int(type_.split()[1])
    if type_.startswith("signal"):
        assert (finished.exit_code, finished.signal) == (None, int(type_.split()[1]))


def test_a_failure_carries_the_last_line_of_stderr(bench: Bench) -> None:
    finished = bench.end(bench.shell("echo progress >&2; echo 'table orders is gone' >&2; exit 4"))
    assert failure(finished)[2].endswith("Last line of stderr: table orders is gone")


def test_exit_codes_mean_what_the_task_says(bench: Bench) -> None:
    codes = {"99": "skip", "3": "retry", "4": "success", "0": "fail"}
    ends = {
        code: bench.end(bench.submit("shell", {"command": f"exit {code}", "exit_codes": codes})) for code in codes
    }
    assert (ends["99"].outcome.result, ends["99"].outcome.reason) == ("skipped", Reason.EXIT_CODE)
    assert failure(ends["3"])[1] is ErrorKind.RESOURCE
    assert ends["4"].outcome.result == "success"
    assert failure(ends["0"])[1] is ErrorKind.LOGIC


def test_a_command_gives_outputs_takes_env_and_works_in_its_folder(bench: Bench) -> None:
    (bench.root / "sub").mkdir()
    command = """
        echo "where=$(pwd)" >> "$PENSTOCK_OUTPUT"
        echo '{"rows": 3, "flag": null}' >> "$PENSTOCK_OUTPUT"
        echo "word=$WORD=$NUMBER" >> "$PENSTOCK_OUTPUT"
    """
    config = {"command": command, "env": {"WORD": "a b", "NUMBER": 7, "HOME": None}, "cwd": "sub"}
    outputs = bench.end(bench.submit("shell", config)).outcome.outputs
    assert outputs == {"where": str(bench.root / "sub"), "rows": 3, "flag": None, "word": "a b=7"}


def test_a_line_of_the_output_file_that_is_neither_is_a_mistake_with_its_number(bench: Bench) -> None:
    finished = bench.end(bench.shell('echo a=1 >> "$PENSTOCK_OUTPUT"; echo oops >> "$PENSTOCK_OUTPUT"'))
    assert failure(finished)[1] is ErrorKind.LOGIC
    assert "Line 2" in failure(finished)[2]


def test_no_command_leaves_the_workspace_by_its_folder(bench: Bench) -> None:
    (bench.root / "way_out").symlink_to("/")
    for cwd in ("..", "/etc", "way_out/etc"):
        finished = bench.end(bench.submit("shell", {"command": "pwd", "cwd": cwd}))
        assert failure(finished)[1] is ErrorKind.CONFIGURATION
        assert [one.path for one in ShellTask().check({"cwd": cwd}, bench.root)] == ["cwd"]


FUNCTIONS = """
import asyncio, logging, os, sys, time
from engine.sdk import SkipTask, NetworkError
def returns(ctx, value): ctx.output("own", 1); return value
async def later(ctx, n): await asyncio.sleep(0); return n + 1
def raises(ctx, **more): return inner(more["x"])
def inner(x): raise ValueError(f"bad {x}")
def network(ctx): raise NetworkError("no answer", retry_after=3)
def skips(ctx): raise SkipTask("nothing new")
def set_(ctx): return {1, 2}
def nan(ctx): ctx.output("n", float("nan"))
def big(ctx): return {"big": "x" * 100_000, "small": 1}
def memory(ctx): return len(bytearray(2_000_000_000))
def type_error(ctx): return len(5)
def exits(ctx): sys.exit(3)
def dies(ctx): os._exit(0)
def scratch(ctx):
    (ctx.scratch / "deep").mkdir(); (ctx.scratch / "deep" / "file").write_text("x"); return str(ctx.scratch)
def told(ctx):
    ctx.metric("rows", 3); ctx.metric("rows", 4)
    for n in range(1000): ctx.progress(n, 1000)
    ctx.log.warning("careful: %s", "x"); logging.getLogger("lib").debug("never")
    try: 1 / 0
    except ZeroDivisionError: ctx.log.exception("odd")
    print("to stdout"); print("to stderr", file=sys.stderr)
def seen(ctx):
    return {"date": ctx.logical_date.isoformat(), "params": ctx.parameters, "up": ctx.upstream, "item": ctx.item,
            "ids": [ctx.run_id, ctx.pipeline_id, ctx.task_id, ctx.attempt],
            "cwd": os.getcwd(), "path": sys.path[:2],
            "random": __import__("random").random(), "env": os.environ["PENSTOCK_TASK_ID"]}
def polite(ctx):
    (ctx.root / "up").touch()
    while not ctx.cancelled: time.sleep(0.01)
    return {"tidied": True}
def rude(ctx):
    try:
        (ctx.root / "up").touch(); time.sleep(1000)
    finally:
        (ctx.root / "cleaned").touch()
def connects(ctx, name):
    found = ctx.connection(name); secret = found.config["password"]
    print("the password is", secret); sys.stdout.flush()
    os.write(1, secret[:6].encode()); time.sleep(0.05); os.write(1, secret[6:].encode() + b"\\n")
    os.write(1, b"x" * (64 * 1024 - 5) + secret.encode() + b"\\n")
    ctx.log.info("again %s", secret); ctx.output("leak", [secret]); raise RuntimeError(f"login {secret} failed")
"""


@pytest.fixture
def functions(bench: Bench) -> Bench:
    bench.module("functions", FUNCTIONS)
    return bench


@pytest.mark.parametrize(
    ("call", "args", "outputs"),
    [
        ("returns", {"value": {"own": 2, "b": [1]}}, {"own": 2, "b": [1]}),
        ("returns", {"value": None}, {"own": 1}),
        ("returns", {"value": [1, "x"]}, {"own": 1, "result": [1, "x"]}),
        ("later", {"n": 4}, {"result": 5}),
    ],
)
def test_what_a_function_returns_becomes_outputs(functions: Bench, call: str, args: dict, outputs: dict) -> None:
    finished = functions.end(functions.python(f"functions:{call}", args))
    assert finished.outcome.result == "success", finished.outcome.error
    assert finished.outcome.outputs == outputs


@pytest.mark.parametrize(
    ("call", "type_", "kind", "words"),
    [
        ("functions:raises", "TypeError|KeyError", ErrorKind.LOGIC, "x"),
        ("functions:network", "NetworkError", ErrorKind.NETWORK, "no answer"),
        ("functions:set_", "LogicError", ErrorKind.LOGIC, "set"),
        ("functions:nan", "LogicError", ErrorKind.LOGIC, "NaN"),
        ("functions:type_error", "TypeError", ErrorKind.LOGIC, "len"),
        ("functions:exits", "exit 3", ErrorKind.LOGIC, "sys.exit"),
        ("functions:dies", "exit 0", ErrorKind.LOGIC, "without an outcome"),
        ("functions:later", "ConfigurationError", ErrorKind.CONFIGURATION, "missing 1 required"),
        ("functions:nothing", "ConfigurationError", ErrorKind.CONFIGURATION, "has no 'nothing'"),
        ("nowhere:f", "ConfigurationError", ErrorKind.CONFIGURATION, "There is no module 'nowhere'"),
        ("needs:f", "ConfigurationError", ErrorKind.CONFIGURATION, "needs 'pandas_not_here'"),
        ("broken:f", "ConfigurationError", ErrorKind.CONFIGURATION, "does not parse"),
    ],
)
def test_a_failure_is_named_and_classified(
    functions: Bench, call: str, type_: str, kind: ErrorKind, words: str
) -> None:
    """RTY-05, RTY-06"""
    functions.module("needs", "import pandas_not_here\n")
    functions.module("broken", "def f(:\n")
    got = failure(functions.end(functions.python(call)))
    assert got[0] in type_.split("|")
    assert got[1] is kind
    assert words in got[2]


def test_a_traceback_shows_the_authors_frames_and_is_logged(functions: Bench) -> None:
    """LOG-01: every failure keeps its stack trace."""
    finished = functions.end(functions.python("functions:raises", {"x": 9}))
    error = finished.outcome.error
    assert error is not None
    assert error.traceback is not None
    assert error.traceback.count("File ") == 2
    assert error.traceback.rstrip().endswith("ValueError: bad 9")
    assert "in inner" in functions.text()


def test_skip_and_retry_after(functions: Bench) -> None:
    skipped = functions.end(functions.python("functions:skips")).outcome
    assert (skipped.result, skipped.reason) == ("skipped", Reason.SKIP_RAISED)
    error = functions.end(functions.python("functions:network")).outcome.error
    assert error is not None
    assert error.retry_after == 3


def test_what_ctx_shows(functions: Bench) -> None:
    """EXE-06"""
    context = {
        "logical_date": "2024-03-01T00:00:00+00:00",
        "params": {"region": "eu"},
        "upstream": {"list": {"files": ["a"]}},
        "item": 5,
    }
    outputs = [
        functions.end(functions.python("functions:seen", context=context, attempt=2)).outcome.outputs for _ in "12"
    ]
    first = dict(outputs[0])
    assert first.pop("random") != outputs[1]["random"], "two attempts draw different dice"
    assert first == {
        "date": "2024-03-01T00:00:00+00:00",
        "params": {"region": "eu"},
        "up": {"list": {"files": ["a"]}},
        "item": 5,
        "ids": ["run_1", "orders", "load", 2],
        "cwd": str(functions.root),
        "path": [str(functions.root), str(functions.root / "udfs")],
        "env": "load",
    }


def test_progress_and_metrics_are_throttled_and_the_last_is_told(functions: Bench) -> None:
    """EXE-10"""
    token = functions.python("functions:told")
    finished = functions.end(token)
    progressed = [one for one in functions.reports if isinstance(one, Progressed)]
    assert len(progressed) < 20
    assert progressed[-1] == Progressed(token, 999.0, 1000.0, "rows")
    measured = [one for one in functions.reports if isinstance(one, Measured)]
    assert measured[-1] == Measured(token, "rows", 4.0)
    assert finished.outcome.metrics == {"rows": 4.0}


def test_streams_and_logging_land_in_the_log_with_levels(functions: Bench) -> None:
    """LOG-10"""
    functions.end(functions.python("functions:told"))
    lines = functions.lines()
    assert sorted(line["seq"] for line in lines) == list(range(1, len(lines) + 1))
    found = {(line["stream"], line["level"], line["text"].splitlines()[0]) for line in lines}
    assert ("log", "WARNING", "careful: x") in found
    assert ("stdout", "INFO", "to stdout") in found
    assert ("stderr", "WARNING", "to stderr") in found
    assert "never" not in functions.text()
    assert any("ZeroDivisionError" in line["text"] for line in lines if line["level"] == "ERROR")


def test_no_output_no_file(functions: Bench) -> None:
    functions.end(functions.python("functions:returns", {"value": 1}))
    assert not (functions.logs / "attempt.jsonl").exists()


def test_large_outputs_are_staged_with_their_hash_and_read_back_downstream(functions: Bench) -> None:
    outputs = functions.end(functions.python("functions:big")).outcome.outputs
    assert outputs["small"] == 1
    staged = functions.staging / outputs["big"]["$file"]
    assert staged.parent == functions.staging / "run_1" / "load" / "-" / "1"
    data = staged.read_bytes()
    assert outputs["big"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert outputs["big"]["bytes"] == len(data)
    assert json.loads(data) == "x" * 100_000
    seen = functions.end(
        functions.python(
            "functions:seen", context={"upstream": {"a": outputs}, "logical_date": "2024-01-01T00:00:00+00:00"}
        )
    )
    assert load_staged(seen.outcome.outputs["up"], functions.staging)["a"]["big"] == "x" * 100_000
    staged.write_bytes(b'"forged"')
    finished = functions.end(functions.python("functions:seen", context={"upstream": {"a": outputs}}))
    assert failure(finished)[1] is ErrorKind.CONFIGURATION


def test_a_staged_reference_never_leads_outside(tmp_path: Path) -> None:
    """Fault 39"""
    secret = tmp_path / "secret.json"
    secret.write_text("1")
    digest = hashlib.sha256(b"1").hexdigest()
    staging = tmp_path / "staging"
    staging.mkdir()
    for name in ("../secret.json", str(secret)):
        with pytest.raises(Exception, match="not a staged output"):
            load_staged({"$file": name, "sha256": digest}, staging)


def test_an_author_cannot_forge_a_staged_reference(functions: Bench) -> None:
    finished = functions.end(functions.python("functions:returns", {"value": {"x": {"$file": "a"}}}))
    assert failure(finished)[1] is ErrorKind.LOGIC


def test_a_memory_limit_ends_in_resource_exhaustion(functions: Bench) -> None:
    """Fault 33"""
    finished = functions.end(functions.python("functions:memory", memory_mb=256))
    assert failure(finished)[:2] == ("MemoryError", ErrorKind.RESOURCE)


def test_the_scratch_folder_goes_with_the_attempt_also_after_a_kill(functions: Bench) -> None:
    """EXE-15"""
    folder = Path(functions.end(functions.python("functions:scratch")).outcome.outputs["result"])
    killed = functions.shell('mkdir -p "$(dirname $PENSTOCK_OUTPUT)/d"; kill -9 $PPID')
    assert functions.end(killed).signal == 9
    functions.executor.stop(0.1)
    assert not folder.exists()
    assert list(functions.scratch.iterdir()) == []


def test_a_task_that_looks_may_tidy_up_within_the_grace(functions: Bench) -> None:
    token = functions.python("functions:polite")
    functions.marked("up")
    functions.executor.kill(token, "cancel", 20.0)
    finished = functions.end(token)
    assert finished.killed_for == "cancel"
    assert finished.outcome.outputs == {"tidied": True}


def test_a_task_that_never_looks_is_interrupted_and_its_finally_runs(functions: Bench) -> None:
    token = functions.python("functions:rude")
    functions.marked("up")
    functions.executor.kill(token, "cancel", 20.0)
    assert failure(functions.end(token))[0] == "Cancelled"
    assert (functions.root / "cleaned").exists()


def test_a_secret_is_masked_in_logs_outputs_and_errors(functions: Bench) -> None:
    """SEC-01, fault 42: whole, split over two writes, and across the cut of a long line."""
    finished = functions.end(functions.python("functions:connects", {"name": "shop_db"}))
    assert failure(finished)[2] == "login *** failed"
    stored = b"".join(path.read_bytes() for path in functions.logs.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored
    assert SECRET[:10].encode() not in stored
    assert functions.text().count("***") >= 4
    assert SECRET not in repr(finished)


def test_a_connection_that_is_not_there_is_a_configuration_error(functions: Bench) -> None:
    finished = functions.end(functions.python("functions:connects", {"name": "shop"}))
    assert failure(finished) == ("ConfigurationError", ErrorKind.CONFIGURATION, "There is no connection 'shop'.")


def test_checks_speak_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    check = PythonTask().check
    assert check({"callable": "mine:f"}, tmp_path) == []
    assert [one.severity for one in check({"callable": "other:f"}, tmp_path)] == ["warning"]
    spelled = check({"callable": "mine.f"}, tmp_path)
    assert (spelled[0].severity, spelled[0].suggestion) == ("error", "mine:f")


def test_run_task_needs_no_engine() -> None:
    from engine.sdk import run_task

    async def task(ctx, n):
        ctx.checkpoint.save(ctx.checkpoint.load() + n)
        ctx.metric("m", 2)
        ctx.progress(1, 2)
        return {"region": ctx.parameters["region"]}

    result = run_task(task, {"parameters": {"region": "eu"}, "checkpoint": 1}, n=4)
    assert result.outputs == {"region": "eu"}
    assert result.checkpoints == (5,)
    assert result.metrics == {"m": 2.0}
    assert result.progress == ((1.0, 2.0, "rows"),)
    with pytest.raises(LogicError, match="set"):
        run_task(lambda _ctx: {1})
