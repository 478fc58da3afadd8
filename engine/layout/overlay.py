"""States laid over nodes: bare state names made whole, and one state for a node that stands for many."""

from __future__ import annotations

from engine.layout.cells import clean
from engine.layout.glyphs import STATES, CharSet, state_style
from engine.layout.values import Graph, Overlay, States

ENDED = ("SUCCESS", "SKIPPED", "FAILED", "CANCELLED")


def overlays(graph: Graph, states: States, chars: CharSet) -> dict[str, Overlay]:
    """One overlay per node, PENDING where nothing is known; a bundle sums up what it stands for."""
    return {
        node.id: _bundle(node.members, states, chars)
        if node.members and node.id not in states
        else overlay_of(states.get(node.id, "PENDING"), chars)
        for node in graph.nodes
    }


def overlay_of(given: Overlay | str, chars: CharSet) -> Overlay:
    """An overlay with its texts cleaned."""
    whole = given if isinstance(given, Overlay) else Overlay(state=given)
    return Overlay(state=whole.state.upper(), suffix=clean(whole.suffix, chars).rstrip())


def state_name(given: Overlay | str) -> str:
    """The state alone."""
    return (given.state if isinstance(given, Overlay) else given).upper()


def tally(names: list[str]) -> list[tuple[str, int]]:
    """How many of each state, most urgent first."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items(), key=lambda entry: (state_style(entry[0]).rank, entry[0]))


def tally_text(counts: list[tuple[str, int]], chars: CharSet) -> str:
    """`✗2 ◉1 ✓197`."""
    return " ".join(f"{chars.state(name)}{count}" for name, count in counts)


def _bundle(members: tuple[str, ...], states: States, chars: CharSet) -> Overlay:
    counts = tally([state_name(states.get(member, "PENDING")) for member in members])
    shown = counts[0][0]
    if shown in ("SUCCESS", "SKIPPED", "CANCELLED", "PENDING") or shown not in STATES:
        shown = max(counts, key=lambda entry: entry[1])[0]  # nothing urgent: what most of them are
    return Overlay(state=shown, suffix=tally_text(counts, chars) if len(counts) > 1 else "")
