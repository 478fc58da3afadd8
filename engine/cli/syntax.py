"""How commands are written: the options every command takes at every level, examples, near spellings.

Law: -w, --profile and --json mean the same wherever they stand; the innermost one given counts. Commands of a
group are modules that are imported when they are called, so that `--help` stays quick.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from engine.cli import later
from engine.cli.session import Session
from engine.model.errors import NotInThisVersion, RequestError

Function = Callable[..., Any]
pass_session = click.make_pass_decorator(Session)


class Command(click.Command):
    """A command with the common options and an example."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = examples
        self.params.extend(_common_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _no_such_option(error, ctx) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(self.examples, formatter)


class Group(click.Group):
    """A group whose members are named in a table and imported when called, or defined beside it."""

    command_class = Command

    def __init__(
        self,
        *arguments: Any,
        members: Mapping[str, tuple[str, str]] | None = None,
        examples: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.members = members or {}  # name -> "module:attribute", one line of help
        self.examples = examples
        self.params.extend(_common_options())

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.members, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.members:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.members[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known:
            if ctx.parent is None and args[0] in later.COMMANDS:
                what = f"`penstock {args[0]}`"
                raise NotInThisVersion(later.sentence(what, later.COMMANDS[args[0]]))
            raise RequestError(
                f"There is no command `{ctx.command_path} {args[0]}`.{_near(args[0], known)}"
                f" `{ctx.command_path} --help` lists them."
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _no_such_option(error, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, told) for name, (_, told) in self.members.items()]
        rows += [(name, each.get_short_help_str()) for name, each in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(self.examples, formatter)


def command(name: str, *examples: str) -> Callable[[Function], Command]:
    """A command; its docstring is its help."""

    def made(function: Function) -> Command:
        return click.command(name, cls=Command, examples=examples)(function)

    return made


def group(name: str, *examples: str) -> Callable[[Function], Group]:
    """A group that does something of its own when no subcommand is given."""

    def made(function: Function) -> Group:
        return click.group(name, cls=Group, invoke_without_command=True, examples=examples)(function)

    return made


def refuse_before_subcommand(ctx: click.Context, **options: object) -> bool:
    """Whether a subcommand follows; an option of the group itself before it is an error, not ignored."""
    if ctx.invoked_subcommand is None:
        return False
    for name, value in options.items():
        if value:
            raise RequestError(
                f"--{name.replace('_', '-')} belongs to `{ctx.command_path}` itself, "
                f"not to `{ctx.command_path} {ctx.invoked_subcommand}`."
            )
    return True


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-w", "--workspace"],
            metavar="DIR",
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_take_workspace,
            help="The workspace; without it, the one above the current folder.",
        ),
        click.Option(
            ["--profile"],
            metavar="NAME",
            expose_value=False,
            callback=_take_profile,
            help="The profile whose connections count.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_take_json,
            help="One JSON document on stdout, and nothing else there.",
        ),
    ]


def _take_workspace(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).directory = value


def _take_profile(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).profile = value


def _take_json(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True


def _no_such_option(error: click.NoSuchOption, ctx: click.Context) -> RequestError:
    name = error.option_name
    command = ctx.command.name or "penstock"
    if (command, name) in later.OPTIONS:
        what = f"`{ctx.command_path} {name}`"
        return NotInThisVersion(later.sentence(what, later.OPTIONS[(command, name)]))
    known = [each for option in ctx.command.get_params(ctx) for each in option.opts]
    return RequestError(
        f"`{ctx.command_path}` has no option {name}.{_near(name, known)} `{ctx.command_path} --help` lists them."
    )


def _near(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {found[0]}?" if found else ""


def _write_examples(examples: tuple[str, ...], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples" if len(examples) > 1 else "Example"):
            for example in examples:
                formatter.write(f"  {example}\n")
