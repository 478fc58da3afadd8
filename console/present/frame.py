"""Breadcrumbs and footer as cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from console.actions import Action
from console.keymap import shown
from console.present.cells import Cell, cell, width_of
from console.theme import Look


def crumb_line(crumbs: Sequence[str], filtered: str, look: Look) -> list[Cell]:
    """`Runs › orders_daily › join_sales`, and the filter that hides something."""
    line = [Cell(" ")]
    for i, each in enumerate(crumbs):
        if i:
            line.append(Cell(f" {look.crumb} ", "dim"))
        line.append(cell(each, "strong" if i == len(crumbs) - 1 else ""))
    if filtered:
        line += [Cell("   /", "key"), cell(filtered, "warn")]
    return line


def footer_line(actions: Sequence[Action], look: Look, width: int) -> list[Cell]:
    """`r retry  c cancel`: as many as fit; help is always among them."""
    always = [each for each in actions if each.id == "help"]
    kept: list[Cell] = []
    tail = [part for each in always for part in _entry(each, look)]
    for each in actions:
        entry = _entry(each, look)
        if each not in always and each.keys and width_of([*kept, *entry, *tail]) <= width:
            kept += entry
    return [*kept, *tail]


def _entry(action: Action, look: Look) -> list[Cell]:
    return [Cell(f" {shown(action.keys[0], plain=look.plain)}", "key"), Cell(f" {action.label} ", "dim")]
