"""The live graph: a canvas, states laid over it, a cursor, heavy lines for what hangs together.

Law: the layout is made in a thread while the old drawing stays; a state change repaints the cells of one node.
The cursor is bound to a task, not to a place: it survives another layout and folding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from console.dag.canvas import Canvas, Direction, level_text, make
from console.theme import Look, state_tone, style
from console.unstarted import unstarted
from console.widgets.scrolled import Scrolled
from engine.layout.highlight import Highlight
from engine.layout.overlay import overlays
from engine.layout.spans import Span
from engine.layout.values import Graph, GraphError, Overlay


class DagView(Scrolled, can_focus=True):
    """One graph."""

    KIND = "@dag"
    DEFAULT_CSS = """
    DagView { height: 1fr; width: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    class Moved(Message):
        """The cursor is on another task."""

        def __init__(self, task: str | None) -> None:
            super().__init__()
            self.task = task

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._graph: Graph | None = None
        self._given: Mapping[str, Overlay] = {}
        self._canvas: Canvas | None = None
        self._over: dict[str, Overlay] = {}
        self._lit: Highlight | None = None
        self._way = "both"
        self._strips: dict[int, Strip] = {}
        self._back: dict[tuple[str, str], str] = {}
        self._on: str | None = None  # an original task's id
        self._fold: int | None = None
        self._levels: list[str] | None = None
        self._critical: Sequence[str] = ()
        self._trouble = ""
        self._laid_for = (0, 0)
        self._order = 0

    # ---- content

    @property
    def current(self) -> str | None:
        """The task under the cursor; of a bundle its first."""
        return self._on

    @property
    def tasks(self) -> list[str]:
        """The tasks under the cursor: one, or all of a bundle."""
        node = self._node
        if node is None or self._canvas is None:
            return [self._on] if self._on else []
        return [task for task, at in self._canvas.into.items() if at == node]

    @property
    def canvas(self) -> Canvas | None:
        """What is drawn now."""
        return self._canvas

    def show(self, graph: Graph, states: Mapping[str, Overlay], critical: Sequence[str] = ()) -> None:
        """Draw a graph; the one already drawn is only given its states."""
        self._critical = critical
        if graph is not self._graph and graph != self._graph:
            self._graph = graph
            self._given = states
            self._lay_out()
        else:
            self.set_states(states)

    def set_states(self, states: Mapping[str, Overlay]) -> None:
        """Repaint the nodes that look new, and nothing else."""
        self._given = states
        if self._canvas is None:
            return
        fresh = overlays(self._canvas.graph, states, self._look.chars)
        changed = [node for node, over in fresh.items() if self._over.get(node) != over]
        self._over = fresh
        if self._levels is not None:
            self._show_levels()
            return
        for node in changed:
            self._repaint(node)

    def select(self, task: str | None, *, scroll: bool = True) -> None:
        """Put the cursor on a task."""
        if task == self._on:
            return
        self._on = task
        self._relight()
        if scroll:
            self._scroll_to_cursor()
        self.post_message(self.Moved(task))

    # ---- layout, in a thread

    def _lay_out(self) -> None:
        if self._graph is None or not self.size.width:
            return
        self._order += 1
        work = unstarted(partial(self._make, self._order))
        self.run_worker(work, exit_on_error=False, group="layout", exclusive=True)

    async def _make(self, order: int) -> None:
        graph, width, chars = self._graph, self.size.width, self._look.chars
        assert graph is not None  # asked by _lay_out
        try:
            canvas = await asyncio.to_thread(make, graph, width, chars, self._given, fold=self._fold)
        except GraphError as error:
            self._trouble = str(error)
            self.refresh()
            return
        if order != self._order:
            return  # another one was asked for meanwhile
        self._canvas, self._trouble = canvas, ""
        self._laid_for = (width, 0)
        self._over = overlays(canvas.graph, self._given, chars)
        self._back.clear()
        if self._on not in canvas.into:
            self._on = graph.nodes[0].id if graph.nodes else None
            self.post_message(self.Moved(self._on))
        self._levels = None
        self.virtual_size = Size(canvas.width, canvas.height)
        self._relight()
        self._scroll_to_cursor()

    def on_resize(self, event: events.Resize) -> None:
        """Another width may want another form."""
        if self._laid_for[0] != self.size.width:
            self._lay_out()
        else:
            self._relight()

    # ---- painting

    @property
    def _node(self) -> str | None:
        if self._canvas is None or self._on is None:
            return None
        return self._canvas.into.get(self._on)

    def _repaint(self, node: str) -> None:
        canvas = self._canvas
        if canvas is None:
            return
        spot = canvas.spots[node]
        self._strips.pop(spot.y, None)
        left, top = self.scroll_offset
        drawing = canvas.drawing
        room = drawing.regions[node].room + 2 if drawing is not None else canvas.width
        region = Region(spot.x - left, spot.y - top, spot.width + room, 1)
        seen = region.intersection(Region(0, 0, *self.size))
        if seen.area:
            self.refresh(seen)

    def _relight(self) -> None:
        """The cone of the cursor's node, as far as it is on the screen."""
        self._strips.clear()
        node, canvas = self._node, self._canvas
        if node is None or canvas is None:
            self._lit = None
        else:
            left, top = self.scroll_offset
            width, height = self.size
            self._lit = canvas.light(node, left, top, left + width, top + height, self._way)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        left, top = self.scroll_offset
        if self._levels is not None:
            text = self._levels[y + top] if y + top < len(self._levels) else ""
            return Strip([Segment(text)]).adjust_cell_length(width)
        canvas = self._canvas
        if canvas is None:
            text = self._trouble or "drawing" + self._look.ellipsis
            return Strip([Segment(text if y == 0 else "", style("dim"))]).adjust_cell_length(width)
        if y + top >= canvas.height:
            return Strip.blank(width)
        strip = self._strips.get(y + top)
        if strip is None:
            spans = canvas.spans(y + top, self._over, self._lit)
            strip = Strip([self._segment(span) for span in spans])
            self._strips[y + top] = strip
        return strip.crop_extend(left, left + width, None)

    def _segment(self, span: Span) -> Segment:
        if span.part == "line":
            return Segment(span.text, style("lit" if span.lit else "dim"))
        state = self._over[span.node].state if span.node in self._over else "PENDING"
        if span.node == self._node and span.part != "suffix":
            return Segment(span.text, style("", cursor=True, focused=self.has_focus))
        look = style(state_tone(state))
        if span.lit and span.part == "label":
            look += style("strong")
        return Segment(span.text, look)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Heavy lines are made for what is on the screen."""
        super().watch_scroll_x(old_value, new_value)
        if round(old_value) != round(new_value):
            self._relight()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Heavy lines are made for what is on the screen."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._relight()

    def on_focus(self) -> None:
        """The cursor looks different."""
        if self._node is not None:
            self._repaint(self._node)

    def on_blur(self) -> None:
        """The cursor looks different."""
        if self._node is not None:
            self._repaint(self._node)

    def on_click(self, event: events.Click) -> None:
        """The cursor goes where the mouse is."""
        canvas = self._canvas
        if canvas is None or self._levels is not None:
            return
        x, y = event.x + self.scroll_offset.x, event.y + self.scroll_offset.y
        for node, spot in canvas.spots.items():
            if spot.y == y and spot.x <= x < spot.x + spot.width:
                self._to_node(node)

    # ---- actions of console.actions.dag

    def do_dag_left(self) -> None:
        self._step("left")

    def do_dag_right(self) -> None:
        self._step("right")

    def do_dag_up(self) -> None:
        self._step("up")

    def do_dag_down(self) -> None:
        self._step("down")

    def do_dag_sibling(self) -> None:
        if self._canvas is not None and self._node is not None:
            self._to_node(self._canvas.sibling(self._node))

    def do_dag_failed(self) -> None:
        self._to_next([node for node, over in self._over.items() if over.state == "FAILED"])

    def do_dag_critical(self) -> None:
        canvas = self._canvas
        if canvas is not None:
            self._to_next(list(dict.fromkeys(canvas.into[task] for task in self._critical if task in canvas.into)))

    def do_dag_upstream(self) -> None:
        self._way = "both" if self._way == "up" else "up"
        self._relight()

    def do_dag_downstream(self) -> None:
        self._way = "both" if self._way == "down" else "down"
        self._relight()

    def do_dag_fold(self) -> None:
        """Bundles open, or close again."""
        if self._fold is None and self._canvas is not None and not self._canvas.folded:
            return
        self._fold = 0 if self._fold is None else None
        self._lay_out()

    def do_dag_levels(self) -> None:
        """Levels, or the graph again."""
        if self._levels is None:
            self._show_levels()
        elif self._canvas is not None:
            self._levels = None
            self.virtual_size = Size(self._canvas.width, self._canvas.height)
            self._relight()
            self._scroll_to_cursor()

    def do_dag_page_down(self) -> None:
        self._pan(0, self.size.height // 2)

    def do_dag_page_up(self) -> None:
        self._pan(0, -self.size.height // 2)

    def do_dag_page_right(self) -> None:
        self._pan(self.size.width // 2, 0)

    def do_dag_page_left(self) -> None:
        self._pan(-self.size.width // 2, 0)

    def _pan(self, x: int, y: int) -> None:
        self.scroll_to(x=self.scroll_offset.x + x, y=self.scroll_offset.y + y, animate=False)

    def _show_levels(self) -> None:
        if self._graph is not None:
            self._levels = level_text(self._graph, self._given, self.size.width, self._look.chars)
            self.virtual_size = Size(self.size.width, len(self._levels))
            self.refresh()

    def _step(self, way: Direction) -> None:
        canvas, node = self._canvas, self._node
        if self._levels is not None:
            self._pan(0, {"up": -1, "down": 1}.get(way, 0))
            return
        if canvas is None or node is None:
            return
        to = canvas.step(node, way, self._back)
        if to is None:
            return
        opposite = {"left": "right", "right": "left"}.get(way)
        if opposite is not None:
            self._back[to, opposite] = node
        self._to_node(to)

    def _to_next(self, nodes: Sequence[str]) -> None:
        """The next of these after the cursor, by place."""
        canvas = self._canvas
        if canvas is None or not nodes:
            return
        ordered = sorted(nodes, key=lambda node: (canvas.spots[node].x, canvas.spots[node].y))
        here = canvas.spots[self._node] if self._node is not None else None
        after = [
            node for node in ordered if here is None or (canvas.spots[node].x, canvas.spots[node].y) > here[:2]
        ]
        self._to_node(after[0] if after else ordered[0])

    def _to_node(self, node: str | None) -> None:
        canvas = self._canvas
        if node is not None and canvas is not None:
            self.select(next(task for task, at in canvas.into.items() if at == node))

    def _scroll_to_cursor(self) -> None:
        """By half pages, when the cursor leaves the screen: panning costs bytes."""
        if self._canvas is None or self._node is None or not self.size.width:
            return
        spot = self._canvas.spots[self._node]
        left, top = self.scroll_offset
        width, height = self.size
        x = left if left <= spot.x and spot.x + spot.width <= left + width else spot.x - width // 2
        y = top if top <= spot.y < top + height else spot.y - height // 2
        if (x, y) != (left, top):
            self.scroll_to(x=max(0, x), y=max(0, y), animate=False, force=True)
