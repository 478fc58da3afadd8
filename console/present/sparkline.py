"""Numbers over time in one line of cells. Pure.

Law: what is zero looks like nothing and what is not never does, however small beside the rest; the same numbers
give the same line in every terminal, in ASCII where it can show no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.present.cells import Cell
from console.theme import Look

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = ".:-=+*#@"
_NOTHING = ("·", "_")  # Unicode, ASCII
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)  # dots of a braille cell from below: 7, 3, 2, 1
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)  # 8, 6, 5, 4


def gathered(values: Sequence[float], width: int) -> list[float]:
    """At most `width` sums of neighbours: nothing is dropped, the newest stays last."""
    if width <= 0 or not values:
        return []
    size = -(-len(values) // width)
    first = len(values) % size
    starts = [0, *range(first, len(values), size)] if first else list(range(0, len(values), size))
    return [sum(values[a:b]) for a, b in zip(starts, [*starts[1:], len(values)], strict=True)]


def spark(values: Sequence[float], look: Look, *, width: int, tone: str = "") -> list[Cell]:
    """One cell a value: blocks of eight heights, signs of eight weights in ASCII."""
    shown = gathered(values, width)
    most = max(shown, default=0)
    ramp, nothing = (_PLAIN, _NOTHING[1]) if look.plain else (_BLOCKS, _NOTHING[0])
    line: list[Cell] = []
    for value in shown:
        sign = ramp[_height(value, most, len(ramp)) - 1] if value > 0 else nothing
        _append(line, sign, tone if value > 0 else "dim")
    return line


def braille(values: Sequence[float], look: Look, *, width: int, tone: str = "") -> list[Cell]:
    """Two values a cell, four heights each; in ASCII as `spark`."""
    if look.plain:
        return spark(values, look, width=width, tone=tone)
    shown = gathered(values, 2 * width)
    if len(shown) % 2:
        shown.insert(0, 0)
    most = max(shown, default=0)
    heights = [_height(value, most, 4) for value in shown]
    line: list[Cell] = []
    for left, right in zip(heights[::2], heights[1::2], strict=True):
        some = left or right
        _append(line, chr(0x2800 + _LEFT[left] + _RIGHT[right]) if some else _NOTHING[0], tone if some else "dim")
    return line


def bar(share: float, look: Look, *, width: int, tone: str = "") -> list[Cell]:
    """How full something is: `████░░░░`."""
    full = round(max(0.0, min(1.0, share)) * width)
    some = max(1, full) if share > 0 else 0
    done, left = ("#", ".") if look.plain else ("█", "░")
    return [Cell(done * some, tone), Cell(left * (width - some), "dim")]


def _append(line: list[Cell], sign: str, tone: str) -> None:
    if line and line[-1].tone == tone:
        line[-1] = Cell(line[-1].text + sign, tone)
    else:
        line.append(Cell(sign, tone))


def _height(value: float, most: float, levels: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(levels, round(levels * value / most)))
