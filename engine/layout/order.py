"""Order within each column: few crossings.

Two depth-first starts (from the sources, from the sinks), then barycentre sweeps with an exchange of
neighbours after each; the best order seen wins. Components are ordered apart and stacked, so lines of
different components never cross.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from engine.layout.layered import Layered

_PATIENCE = 8  # sweeps without improvement before a start is given up
_FINAL_ROUNDS = 8
_SWEEPS = 12
_SWEEPS_LARGE = 8  # most of the gain comes early, and beyond _LARGE vertices time matters more
_LARGE = 1200

Columns = list[list[int]]


def order(graph: Layered) -> Columns:
    """The vertices of each column from top to bottom."""
    columns: Columns = [[] for _ in range(graph.depth)]
    search = _Search(graph)
    for members in _components(graph):
        for column, part in zip(columns, search.run(members), strict=True):
            column.extend(part)
    return columns


def crossings(graph: Layered, columns: Columns) -> int:
    """Crossing pairs of hops in this order."""
    position = [0] * len(graph.rank)
    for column in columns:
        for i, v in enumerate(column):
            position[v] = i
    return _crossings(graph.succ, columns, position)


def _components(graph: Layered) -> list[list[int]]:
    """Weakly connected components, largest first; each in ascending order."""
    seen = bytearray(len(graph.rank))
    found: list[list[int]] = []
    for root in range(len(graph.rank)):
        if seen[root]:
            continue
        seen[root] = 1
        members = [root]
        for v in members:  # grows while it is read
            for w in (*graph.succ[v], *graph.pred[v]):
                if not seen[w]:
                    seen[w] = 1
                    members.append(w)
        found.append(sorted(members))
    found.sort(key=len, reverse=True)
    return found


def _crossings(succ: list[list[int]], columns: Columns, position: list[int]) -> int:
    total = 0
    for column in columns:
        ends: list[int] = []
        for u in column:
            targets = succ[u]
            if len(targets) == 1:
                p = position[targets[0]]
                i = bisect_right(ends, p)
                total += len(ends) - i
                ends.insert(i, p)
            elif targets:
                places = sorted([position[v] for v in targets])
                for p in places:
                    total += len(ends) - bisect_right(ends, p)
                for p in places:
                    ends.insert(bisect_right(ends, p), p)
    return total


class _Search:
    """The search for a good order of one component at a time; `position` is scratch shared by them all."""

    __slots__ = ("graph", "position", "sweeps")

    def __init__(self, graph: Layered) -> None:
        self.graph = graph
        self.position = [0] * len(graph.rank)
        self.sweeps = _SWEEPS if len(graph.rank) <= _LARGE else _SWEEPS_LARGE

    def run(self, members: list[int]) -> Columns:
        if len(members) == 1:
            return self._start(members, 0)
        best, fewest = self._descend(members, 0)
        if fewest:
            other, count = self._descend(members, 1)
            if count < fewest:
                best, fewest = other, count
        if fewest:
            self._place(best)
            for _ in range(_FINAL_ROUNDS):
                if not sum([self._exchange(column, rounds=3) for column in best]):
                    break
        return best

    def _descend(self, members: list[int], start: int) -> tuple[Columns, int]:
        """Sweep to and fro from one start; the best order and its crossings."""
        succ, position = self.graph.succ, self.position
        columns = self._start(members, start)
        self._place(columns)
        fewest = _crossings(succ, columns, position)
        best = [column[:] for column in columns]
        stale = 0
        for k in range(self.sweeps):
            if not fewest or stale >= _PATIENCE:
                break
            self._sweep(columns, rightwards=(k + start) % 2 == 0, reverse_ties=k % 4 >= 2)
            for column in columns:
                self._exchange(column, rounds=1)
            count = _crossings(succ, columns, position)
            if count < fewest:
                stale = stale if count > fewest * 0.995 else 0
                fewest, best = count, [column[:] for column in columns]
            else:
                stale += 1
        return best, fewest

    def _start(self, members: list[int], start: int) -> Columns:
        """Depth-first from the sources (start 0) or the sinks (start 1), which keeps subtrees together."""
        rank = self.graph.rank
        onward, back = (self.graph.succ, self.graph.pred) if start == 0 else (self.graph.pred, self.graph.succ)
        columns: Columns = [[] for _ in range(self.graph.depth)]
        seen = bytearray(len(rank))
        for root in sorted(members, key=lambda v: (len(back[v]) > 0, rank[v])):
            stack = [root]
            while stack:
                v = stack.pop()
                if seen[v]:
                    continue
                seen[v] = 1
                columns[rank[v]].append(v)
                stack.extend([w for w in reversed(onward[v]) if not seen[w]])
        return columns

    def _place(self, columns: Columns) -> None:
        for column in columns:
            for i, v in enumerate(column):
                self.position[v] = i

    def _sweep(self, columns: Columns, *, rightwards: bool, reverse_ties: bool) -> None:
        """Order each column by the barycentre of its neighbours in the column just done."""
        position = self.position
        adjacent = self.graph.pred if rightwards else self.graph.succ
        for column in columns[1:] if rightwards else reversed(columns[:-1]):
            key: dict[int, float] = {}
            for v in column:
                near = adjacent[v]
                if len(near) == 1:
                    key[v] = position[near[0]]
                elif near:
                    key[v] = sum([position[u] for u in near]) / len(near)
            ranked = iter(sorted(reversed(key) if reverse_ties else key, key=key.__getitem__))
            column[:] = [next(ranked) if v in key else v for v in column]  # the unconnected keep their slots
            for i, v in enumerate(column):
                position[v] = i

    def _exchange(self, column: list[int], rounds: int) -> int:
        """Swap neighbours wherever that removes crossings; answers how many it removed."""
        position, gain = self.position, 0
        if len(column) < 2:
            return 0
        succ, pred = self.graph.succ, self.graph.pred
        before = [sorted([position[u] for u in pred[v]]) for v in column]
        after = [sorted([position[u] for u in succ[v]]) for v in column]
        for _ in range(rounds):
            swapped = False
            for i in range(len(column) - 1):
                saved = _saved(before[i], before[i + 1]) + _saved(after[i], after[i + 1])
                if saved > 0:
                    column[i], column[i + 1] = column[i + 1], column[i]
                    before[i], before[i + 1] = before[i + 1], before[i]
                    after[i], after[i + 1] = after[i + 1], after[i]
                    gain += saved
                    swapped = True
            if not swapped:
                break
        for i, v in enumerate(column):
            position[v] = i
        return gain


def _saved(upper: list[int], lower: list[int]) -> int:
    """Crossings removed by swapping two neighbours, given where their hops lead."""
    if not upper or not lower:
        return 0
    saved = 0
    for x in upper:
        saved += bisect_left(lower, x)
    for x in lower:
        saved -= bisect_left(upper, x)
    return saved
