"""Characters: line pieces by direction bits, task states and task kinds, in a Unicode and an ASCII set.

A state is a glyph and a letter before it is a colour, so it survives monochrome and SSH (C-45). The glyphs
are those that DejaVu Sans Mono has and that no terminal draws as wide emoji.
"""

from __future__ import annotations

from dataclasses import dataclass

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8
JUNCTION = 16  # the arms of this cell are joined; without it a vertical passes over a horizontal
ARROW = 32  # the cell before a node that an edge enters
HORIZONTAL, VERTICAL, ARMS = LEFT | RIGHT, UP | DOWN, 15

_LIGHT = " ───│╯╰┴│╮╭┬│┤├┼"
_PLAIN = " ---|+++|+++|+++"
# Index: one base-3 digit per arm (left, right, up, down), 0 none, 1 light, 2 heavy.
_MIXED = " ╴╸╶─╾╺╼━╵┘┙└┴┵┕┶┷╹┚┛┖┸┹┗┺┻╷┐┑┌┬┭┍┮┯│┤┥├┼┽┝┾┿╿┦┩┞╀╃┡╄╇╻┒┓┎┰┱┏┲┳╽┧┪┟╁╅┢╆╈┃┨┫┠╂╉┣╊╋"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateStyle:
    """How a task state looks. `rank` is how urgently it wants to be seen, 0 most."""

    letter: str
    glyph: str
    ascii: str
    colour: str
    rank: int


STATES: dict[str, StateStyle] = {
    "FAILED": StateStyle(letter="F", glyph="✗", ascii="X", colour="red", rank=0),
    "RETRYING": StateStyle(letter="Y", glyph="↻", ascii="~", colour="orange", rank=1),
    "RUNNING": StateStyle(letter="R", glyph="◉", ascii="@", colour="blue", rank=2),
    "QUEUED": StateStyle(letter="Q", glyph="◔", ascii="o", colour="cyan", rank=3),
    "WAITING": StateStyle(letter="W", glyph="◌", ascii=",", colour="gray", rank=4),
    "PENDING": StateStyle(letter="P", glyph="·", ascii=".", colour="gray", rank=5),
    "CANCELLED": StateStyle(letter="C", glyph="■", ascii="%", colour="magenta", rank=6),
    "SKIPPED": StateStyle(letter="K", glyph="⊘", ascii="/", colour="gray", rank=7),
    "SUCCESS": StateStyle(letter="S", glyph="✓", ascii="v", colour="green", rank=8),
}
# States that only attempts have: nodes are drawn by those of tasks.
_OF_ATTEMPTS: dict[str, StateStyle] = {
    "LOST": StateStyle(letter="L", glyph="!", ascii="!", colour="orange", rank=1),
    "SUBMITTED": StateStyle(letter="Q", glyph="◔", ascii="o", colour="cyan", rank=3),
}
_NO_STATE = StateStyle(letter="?", glyph="¿", ascii="?", colour="gray", rank=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindStyle:
    """How a kind of task looks; `shape` is one of rectangle, diamond, hexagon, circle."""

    category: str
    glyph: str
    ascii: str
    colour: str
    shape: str


_EXTRACT = KindStyle(category="extract", glyph="□", ascii="E", colour="blue", shape="rectangle")
_TRANSFORM = KindStyle(category="transform", glyph="◇", ascii="T", colour="green", shape="diamond")
_LOAD = KindStyle(category="load", glyph="▣", ascii="L", colour="orange", shape="rectangle")
_VALIDATION = KindStyle(category="validation", glyph="△", ascii="V", colour="purple", shape="hexagon")
_NOTIFICATION = KindStyle(category="notification", glyph="♪", ascii="N", colour="yellow", shape="circle")
_TASK = KindStyle(category="task", glyph="•", ascii="*", colour="gray", shape="rectangle")

KINDS: dict[str, KindStyle] = {
    "extract": _EXTRACT,
    "transform": _TRANSFORM,
    "load": _LOAD,
    "validation": _VALIDATION,
    "validate": _VALIDATION,
    "notification": _NOTIFICATION,
    "notify": _NOTIFICATION,
    "shell": KindStyle(category="shell", glyph="$", ascii="$", colour="slate", shape="rectangle"),
    "python": KindStyle(category="python", glyph="λ", ascii="P", colour="slate", shape="rectangle"),
    "sensor": KindStyle(category="sensor", glyph="◷", ascii="S", colour="teal", shape="circle"),
    "branch": KindStyle(category="branch", glyph="?", ascii="?", colour="teal", shape="diamond"),
    "pipeline": KindStyle(category="pipeline", glyph="≡", ascii="U", colour="teal", shape="rectangle"),
    "group": KindStyle(category="group", glyph="◫", ascii="G", colour="gray", shape="rectangle"),
    "task": _TASK,
}


def state_style(state: str) -> StateStyle:
    """The look of a state by its name, in any case; an unknown state shows as a question mark."""
    name = state.upper()
    return STATES.get(name) or _OF_ATTEMPTS.get(name, _NO_STATE)


def kind_style(kind: str) -> KindStyle:
    """The look of a kind: itself, else the category it ends or begins with (`sql_transform`, `load_s3`)."""
    name = kind.lower()
    if name in KINDS:
        return KINDS[name]
    words = name.replace("-", "_").split("_")
    return KINDS.get(words[-1]) or KINDS.get(words[0]) or _TASK


def _piece(mask: int, table: str, arrow: str) -> str:
    if mask & ARROW:
        return arrow
    if mask & HORIZONTAL and mask & VERTICAL and not mask & JUNCTION:
        return table[VERTICAL]
    return table[mask & ARMS]


@dataclass(frozen=True, slots=True, kw_only=True)
class CharSet:
    """One way of writing a drawing. `pieces` holds the character of each of the 64 masks."""

    ascii: bool
    arrow: str
    ellipsis: str
    blocked: str
    times: str
    pieces: str

    def state(self, state: str) -> str:
        style = state_style(state)
        return style.ascii if self.ascii else style.glyph

    def kind(self, kind: str) -> str:
        style = kind_style(kind)
        return style.ascii if self.ascii else style.glyph

    def line(self, mask: int) -> str:
        return self.pieces[mask]

    def heavy(self, mask: int, lit: int) -> str:
        """The piece of a cell whose arms `lit` are highlighted."""
        if mask & ARROW:
            return self.arrow
        crossing = mask & HORIZONTAL and mask & VERTICAL and not mask & JUNCTION
        if crossing and not (lit & HORIZONTAL and lit & VERTICAL):
            mask = lit = lit & VERTICAL or HORIZONTAL  # of two lines that cross, the lit one passes over
        elif crossing:
            mask = lit = VERTICAL
        if self.ascii:
            return "=" if not lit & VERTICAL else "#"
        return _MIXED[sum(3**i * _weight(mask, lit, 1 << i) for i in range(4))]


def _weight(mask: int, lit: int, arm: int) -> int:
    return 2 if lit & arm else 1 if mask & arm else 0


UNICODE = CharSet(
    ascii=False,
    arrow="▸",
    ellipsis="…",
    blocked="·",
    times="×",
    pieces="".join(_piece(mask, _LIGHT, "▸") for mask in range(64)),
)
ASCII = CharSet(
    ascii=True,
    arrow=">",
    ellipsis="~",
    blocked="?",
    times="x",
    pieces="".join(_piece(mask, _PLAIN, ">") for mask in range(64)),
)


def charset(*, plain: bool) -> CharSet:
    """The set to write with; plain is ASCII."""
    return ASCII if plain else UNICODE
