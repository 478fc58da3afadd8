"""Ranks: which column each node stands in, so that edges point right and are short in total.

Longest path, a cheap tightening, then network simplex (Gansner et al. 1993), capped in pivots and not in
milliseconds: a layout must not differ between a fast and a slow machine.
"""

from __future__ import annotations

from heapq import heappop, heappush

from engine.layout.topology import Topology, longest_path

_TIGHTEN_ROUNDS = 4
PIVOTS_PER_NODE = 1
MIN_PIVOTS = 200


def rank(top: Topology, max_pivots: int | None = None) -> list[int]:
    """The column of each node; every component begins in column 0."""
    ranks = longest_path(top)
    _tighten(top, ranks)
    if max_pivots is None:
        max_pivots = max(MIN_PIVOTS, PIVOTS_PER_NODE * top.size)
    simplex = _Simplex(top, ranks)
    done = bytearray(top.size)
    for root in range(top.size):
        if not done[root]:
            tree = simplex.grow(root, done)
            max_pivots -= simplex.optimise(tree, max_pivots)
            low = min(ranks[v] for v in tree)
            for v in tree:
                ranks[v] -= low
    return ranks


def _tighten(top: Topology, ranks: list[int]) -> None:
    """Pull each node towards the side where it has more edges."""
    for _ in range(_TIGHTEN_ROUNDS):
        moved = False
        for v in reversed(top.order):
            if top.succ[v] and len(top.succ[v]) > len(top.pred[v]):
                best = min([ranks[w] for w in top.succ[v]]) - 1
                moved |= best != ranks[v]
                ranks[v] = best
        for v in top.order:
            if top.pred[v] and len(top.pred[v]) > len(top.succ[v]):
                best = max([ranks[u] for u in top.pred[v]]) + 1
                moved |= best != ranks[v]
                ranks[v] = best
        if not moved:
            return


class _Simplex:
    """A spanning tree of tight edges per component, improved by exchanging edges with negative cut value.

    With unit weights the cut value of the tree edge above v is `weight[v]`, the sum over v's subtree of
    out-degree minus in-degree, up to sign; so a pivot needs no search for cut values.
    """

    __slots__ = ("above", "children", "pred", "ranks", "succ", "upward", "weight")

    def __init__(self, top: Topology, ranks: list[int]) -> None:
        self.succ, self.pred, self.ranks = top.succ, top.pred, ranks
        self.above = [-1] * top.size  # parent in the tree
        self.upward = bytearray(top.size)  # 1: the tree edge points from v to its parent
        self.children: list[list[int]] = [[] for _ in range(top.size)]
        self.weight = [len(s) - len(p) for s, p in zip(top.succ, top.pred, strict=True)]

    def grow(self, root: int, done: bytearray) -> list[int]:
        """Grow a tight tree from root; when no tight edge leaves it, shift it to the nearest node outside.

        `shift` is the shift of the whole tree so far; ranks of nodes in the tree are kept relative to it, so
        the keys in both heaps stay valid while the tree moves.
        """
        ranks, shift, tree = self.ranks, 0, [root]
        leaving: list[tuple[int, int, int]] = []
        entering: list[tuple[int, int, int]] = []
        done[root] = 1
        self._frontier(root, done, leaving, entering)
        while True:
            while leaving and done[leaving[0][2]]:
                heappop(leaving)
            while entering and done[entering[0][2]]:
                heappop(entering)
            if not leaving and not entering:
                break
            outward = not entering or bool(leaving and leaving[0][0] - shift <= entering[0][0] + shift)
            key, v, w = heappop(leaving if outward else entering)
            shift = key if outward else -key  # now the edge v-w is tight
            done[w] = 1
            tree.append(w)
            ranks[w] -= shift
            self.above[w], self.upward[w] = v, not outward
            self.children[v].append(w)
            self._frontier(w, done, leaving, entering)
        for v in tree:
            ranks[v] += shift
        for v in reversed(tree[1:]):
            self.weight[self.above[v]] += self.weight[v]
        return tree

    def _frontier(
        self,
        v: int,
        done: bytearray,
        leaving: list[tuple[int, int, int]],
        entering: list[tuple[int, int, int]],
    ) -> None:
        base = self.ranks[v]
        for w in self.succ[v]:
            if not done[w]:
                heappush(leaving, (self.ranks[w] - base - 1, v, w))
        for w in self.pred[v]:
            if not done[w]:
                heappush(entering, (base - self.ranks[w] - 1, v, w))

    def optimise(self, tree: list[int], max_pivots: int) -> int:
        """Exchange edges until none helps or the cap is reached; answers how many pivots it took."""
        pivots, again = 0, True
        inside = bytearray(len(self.ranks))
        while again:
            again = False
            for v in tree:
                if self.above[v] < 0 or (self.weight[v] >= 0) == bool(self.upward[v]) or not self.weight[v]:
                    continue
                if pivots >= max_pivots:
                    return pivots
                pivots += 1
                again |= self._pivot(v, inside)
        return pivots

    def _pivot(self, v: int, inside: bytearray) -> bool:
        sub = self._subtree(v)
        for u in sub:
            inside[u] = 1
        found = self._entering_edge(v, sub, inside)
        for u in sub:
            inside[u] = 0
        if found is None:
            return False
        slack, inner, outer = found
        if slack:
            move = -slack if self.upward[v] else slack
            for u in sub:
                self.ranks[u] += move
        self._rehang(v, inner, outer, upward=not self.upward[v])
        return True

    def _subtree(self, v: int) -> list[int]:
        sub = [v]
        for u in sub:  # grows while it is read
            sub.extend(self.children[u])
        return sub

    def _entering_edge(self, v: int, sub: list[int], inside: bytearray) -> tuple[int, int, int] | None:
        """The shortest edge across the cut, against the direction of v's tree edge: (slack, inner, outer)."""
        ranks, best, inner, outer = self.ranks, -1, -1, -1
        sign, adjacent = (1, self.pred) if self.upward[v] else (-1, self.succ)
        for u in sub:
            here = sign * ranks[u] - 1
            for w in adjacent[u]:
                if not inside[w]:
                    slack = here - sign * ranks[w]
                    if best < 0 or slack < best:
                        best, inner, outer = slack, u, w
        return None if best < 0 else (best, inner, outer)

    def _rehang(self, v: int, inner: int, outer: int, *, upward: bool) -> None:
        """Cut v's subtree off its parent and hang it below `outer`, with `inner` as its new root."""
        above, weight, total = self.above, self.weight, self.weight[v]
        self.children[above[v]].remove(v)
        node = above[v]
        while node >= 0:
            weight[node] -= total
            node = above[node]
        path = [inner]
        while path[-1] != v:
            path.append(above[path[-1]])
        before = [(weight[u], self.upward[u]) for u in path]
        for i in range(len(path) - 1, 0, -1):
            node, below = path[i], path[i - 1]
            self.children[node].remove(below)
            self.children[below].append(node)
            above[node] = below
            self.upward[node] = not before[i - 1][1]
            weight[node] = total - before[i - 1][0]
        weight[inner], above[inner], self.upward[inner] = total, outer, upward
        self.children[outer].append(inner)
        node = outer
        while node >= 0:
            weight[node] += total
            node = above[node]
