"""Why, from anywhere: to the view, or its words in a pane of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.present.why import told

if TYPE_CHECKING:
    from console.present.cells import Line
    from console.screens.view import View
    from engine.client.values import Explanation


def explain(view: View, run_id: str, task: str | None) -> None:
    """Say why."""
    view.go("why", f"{run_id} {task}" if task else run_id)


def explained(found: Explanation, view: View) -> list[Line]:
    """An explanation as lines."""
    return told(found, view.now(), view.looks)
