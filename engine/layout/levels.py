"""Levels: one row per level with counts and progress, for graphs no drawing does justice to (VIS-12)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.layout.cells import cell_width, clean, clip
from engine.layout.glyphs import CharSet
from engine.layout.overlay import ENDED, state_name, tally, tally_text
from engine.layout.topology import longest_path, topology
from engine.layout.values import Graph, Node, States

_BAR = 20
_LEAST_BAR = 60  # narrower texts go without a bar


def levels(graph: Graph) -> list[list[Node]]:
    """Nodes by the length of the longest way to them from any source, in definition order."""
    top = topology(graph)
    found: list[list[Node]] = []
    for v, level in enumerate(longest_path(top)):
        while len(found) <= level:
            found.append([])
        found[level].append(graph.nodes[v])
    return found


def percent_ended(names: Sequence[str]) -> int:
    """How much of it has ended, whole percent rounded down, so that 100 means all."""
    return 100 * sum(name in ENDED for name in names) // len(names) if names else 100


def level_rows(graph: Graph, states: States | None, width: int | None, chars: CharSet) -> list[str]:
    """One line per level: number, count, then names, or with states percentage, bar and counts."""
    rows = []
    for number, nodes in enumerate(levels(graph)):
        head = f"{number:>3} {len(nodes):>5}  "
        if states is None:
            room = None if width is None else width - cell_width(head)
            rows.append(head + _names(nodes, room, chars))
            continue
        names = [state_name(states.get(node.id, "PENDING")) for node in nodes]
        counts = tally(names)
        head += f"{percent_ended(names):>3} %  "
        if width is None or width >= _LEAST_BAR:
            head += _bar(counts, len(nodes), chars) + "  "
        rows.append(head + tally_text(counts, chars))
    return [row if width is None else clip(row, width, chars) for row in rows]


def _names(nodes: list[Node], room: int | None, chars: CharSet) -> str:
    """As many names as fit, and how many more there are."""
    out = ""
    for i, node in enumerate(nodes):
        more = f" +{len(nodes) - i}"
        label = f"{', ' if out else ''}{chars.kind(node.kind)} {clean(node.label, chars)}"
        rest = len(f" +{len(nodes) - i - 1}") if i + 1 < len(nodes) else 0
        if room is not None and out and cell_width(out) + cell_width(label) + rest > room:
            return out + more
        out += label
    return out


def _bar(counts: list[tuple[str, int]], total: int, chars: CharSet) -> str:
    """State glyphs in proportion; least urgent first, so what is done grows from the left."""
    out, done = "", 0
    for name, count in reversed(counts):
        done += count
        out += chars.state(name) * (round(_BAR * done / total) - len(out))
    return out
