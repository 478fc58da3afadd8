"""What scrolls: Textual's own view, but for a bar that comes late.

Law: the bar stands where the lines are. Textual moves it while it is shown; one that appears after something was
scrolled, as when a log opens at its end, would stand at the top. It also stands over the last column of what it
scrolls: lines that are wrapped to the width leave it `BAR`.
"""

from __future__ import annotations

from textual.scroll_view import ScrollView

BAR = 1  # columns of a vertical bar


class Scrolled(ScrollView, can_focus=True):
    """A view that draws its own lines."""

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """It appears."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def watch_show_horizontal_scrollbar(self, shown: bool) -> None:
        """The same across."""
        if shown:
            self.horizontal_scrollbar.position = self.scroll_x
