"""One row of the action table."""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row."""

    id: str
    label: str  # one or two words, for the footer
    help: str  # one sentence
    keys: tuple[str, ...] = ()  # of the default keymap
    scope: tuple[str, ...] = (EVERYWHERE,)
    name: str = ""  # after `:`; empty: its id
    sends: tuple[str, ...] = ()  # commands of the engine it may send; none: it changes nothing
    twin: str = ""  # the same on the command line
    destructive: bool = False  # opens a preview first
    undo: str = ""  # what takes it back, in words; empty: nothing does
    footer: int = 0  # rank in the footer, 1 first; 0: not there

    @property
    def method(self) -> str:
        """What carries it out."""
        return "do_" + self.id.replace(".", "_").replace("-", "_")

    @property
    def command(self) -> str:
        """How it is called after `:`."""
        return self.name or self.id.replace(".", "-")

    @property
    def changes(self) -> bool:
        """Whether a read-only console refuses it."""
        return bool(self.sends)
