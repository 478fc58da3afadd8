"""The `penstock` command itself: its table of commands, and what becomes of errors.

Law: exit codes are CONTRACT's (0 done, 1 it ran and failed, 2 the request was wrong, 3 no such thing, 130
interrupted; a reader that closed the pipe is 0). Bad input gets sentences, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from engine.cli import ConsoleOpener
from engine.cli.session import Session
from engine.cli.syntax import Group, refuse_before_subcommand
from engine.model.errors import NotFound, PenstockError, RequestError, ValidationFailed

FAILED, WRONG, MISSING, INTERRUPTED = 1, 2, 3, 130

MEMBERS = {
    "init": ("engine.cli.init:init", "Make a workspace with one pipeline that runs."),
    "validate": ("engine.cli.definitions:validate", "Check pipeline files; every problem at once."),
    "plan": ("engine.cli.definitions:plan", "Show what a run would do; runs nothing."),
    "graph": ("engine.cli.graph:graph", "Draw a pipeline or a run."),
    "run": ("engine.cli.run:run", "Run a pipeline to its end, or hand it to the engine."),
    "runs": ("engine.cli.runs:runs", "List runs, newest first."),
    "show": ("engine.cli.runs:show", "Show a run and its tasks."),
    "why": ("engine.cli.why:why", "Say why it is not running or why it failed, and what can be done."),
    "logs": ("engine.cli.logs:logs", "Print or follow what tasks wrote."),
    "errors": ("engine.cli.errors:errors", "What failed, of a run or lately; one by one or by type."),
    "stats": ("engine.cli.stats:stats", "Failure rate by day; attempts by task."),
    "retry": ("engine.cli.operate:retry", "Run tasks again."),
    "cancel": ("engine.cli.operate:cancel", "Stop a run or some of its tasks."),
    "mark": ("engine.cli.operate:mark", "Declare a task successful or failed."),
    "dlq": ("engine.cli.dlq:dlq", "Dead letters: list, show, requeue, discard."),
    "schedule": ("engine.cli.schedule:schedule", "Schedules: list, pause, resume, next."),
    "data": ("engine.cli.data:data", "Datasets: who wrote them, their columns, some rows."),
    "lineage": ("engine.cli.lineage:lineage", "What a dataset is made from, and what from it."),
    "watermarks": ("engine.cli.watermarks:watermarks", "How far incremental reads have come; reset."),
    "connections": ("engine.cli.connections:connections", "List connections, or test one."),
    "health": ("engine.cli.health:health", "Check everything; exit 1 when unhealthy."),
    "audit": ("engine.cli.health:audit", "The audit trail; --verify checks its chain."),
    "engine": ("engine.cli.engine:engine", "A headless engine; status, stop."),
    "backup": ("engine.cli.state:backup", "Write a consistent copy of the state."),
    "restore": ("engine.cli.state:restore", "Put a copy of the state in place."),
    "samples": ("engine.cli.samples:samples", "Invented history for a workspace of samples."),
    "web": ("engine.cli.web:web", "The console in a browser, on this machine alone."),
}


@click.group(
    "penstock",
    cls=Group,
    members=MEMBERS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=("penstock init shop && cd shop", "penstock run hello", "penstock why last"),
)
@click.version_option(package_name="penstock", message="penstock %(version)s")
@click.option("--read-only", is_flag=True, help="A console that changes nothing and starts no engine.")
@click.option("--attach", is_flag=True, help="A console that starts no engine and works with the one that leads.")
@click.option("--no-engine", is_flag=True, help="A console that neither starts an engine nor keeps one alive.")
@click.pass_context
def penstock(ctx: click.Context, read_only: bool, attach: bool, no_engine: bool) -> int | None:
    """Data pipelines on this machine: define, run, watch, explain. Without a command: the console."""
    if refuse_before_subcommand(ctx, read_only=read_only, attach=attach, no_engine=no_engine):
        return None
    session = ctx.ensure_object(Session)
    if session.console is None:
        raise RequestError("There is no console here; `penstock --help` lists the commands.")
    return session.console(
        str(session.start), session.profile, read_only=read_only, attach=attach, no_engine=no_engine
    )


def run(arguments: Sequence[str] | None = None, console: ConsoleOpener | None = None) -> int:
    """Carry out one command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    session = Session(console=console, json="--json" in given)
    _tolerate_odd_bytes()
    try:
        code = _invoke(given, session)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return 0


def _invoke(given: list[str], session: Session) -> int:
    try:
        with penstock.make_context("penstock", given, obj=session) as ctx:
            answered = penstock.invoke(ctx)
        return answered if isinstance(answered, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except (BrokenPipeError, SystemExit):
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort is a sentence too
        return complain(error, session)
    finally:
        session.close()


def complain(error: BaseException, session: Session | None = None) -> int:
    """Tell of an error; the exit code it stands for. With PENSTOCK_DEBUG it is raised."""
    if os.environ.get("PENSTOCK_DEBUG"):
        raise error
    if session is None:  # it comes from elsewhere: nothing has been made ready for what it may say
        _tolerate_odd_bytes()
        session = Session()
    return _complain(session, *_judged(error))


def _judged(error: BaseException) -> tuple[int, str, Sequence[str]]:
    """Exit code, sentence and problems."""
    match error:
        case click.ClickException():
            return WRONG, _sentence(error), ()
        case ValidationFailed():
            return WRONG, _headline(error), _problems(error)
        case RequestError():
            return WRONG, _whole(str(error)), ()
        case NotFound():
            return MISSING, _whole(str(error)), ()
        case PenstockError():
            return FAILED, _whole(str(error)), ()
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED, "Interrupted.", ()
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            return FAILED, f"{error.strerror or error}{where}.", ()
        case _:
            what = f"{type(error).__name__}: {error}"
            return FAILED, f"This should not have happened: {what} (PENSTOCK_DEBUG=1 tells more).", ()


def _complain(session: Session, code: int, sentence: str, problems: Sequence[str] = ()) -> int:
    """The error on stderr; with --json the same as a document on stdout."""
    out = session.out
    out.remark(f"penstock: {sentence}")
    for problem in problems:
        out.remark(f"  {problem}")
    if session.json:
        error: dict[str, object] = {"code": code, "message": sentence}
        if problems:
            error["problems"] = list(problems)
        out.json_line({"error": error})
    return code


def _whole(message: str) -> str:
    """A message as a sentence."""
    message = message.strip()
    message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "?", "!", ")")) else message + "."


def _headline(error: ValidationFailed) -> str:
    """What has errors: a pipeline by its id, or a file of the workspace."""
    name = error.pipeline_id
    what = name if name.endswith((".yaml", ".yml", ".py")) else f"Pipeline '{name}'"
    count = sum(problem.severity == "error" for problem in error.problems)
    return f"{what} has {count} error{'' if count == 1 else 's'}; nothing was done."


def _problems(error: ValidationFailed) -> list[str]:
    from engine.cli.definitions import problem_line

    return [problem_line(problem, problem.file) for problem in error.problems if problem.severity == "error"]


def _sentence(error: click.ClickException) -> str:
    """Click's message, in one sentence, with the way to the help."""
    message = error.format_message().rstrip()
    message = message if message.endswith((".", "?", "!")) else message + "."
    ctx = getattr(error, "ctx", None)
    return f"{message} `{ctx.command_path} --help` shows how." if ctx is not None else message


def _tolerate_odd_bytes() -> None:
    """Names and logs may hold what the terminal's encoding cannot say; that is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            odd = "surrogateescape" if (stream.encoding or "").lower().replace("-", "") == "utf8" else "replace"
            reconfigure(errors="backslashreplace" if stream.isatty() else odd)


def _silence_stdout() -> None:
    """The reader went away: what Python still holds back must not fail at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
