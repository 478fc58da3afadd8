"""What is done with dead letters, wherever they are shown: in their list, or one alone.

Law: a view says which letters are meant and what follows when it was done; how it is done is redrive's business.
"""

from __future__ import annotations

from console.screens import redrive
from console.screens.redrive import Chosen
from console.screens.view import View


class LetterDeeds(View):
    """The actions of console.actions.letters."""

    def chosen(self) -> Chosen:
        """What actions work on."""
        return Chosen()

    def done(self) -> None:
        """Something was done with them."""
        self.look()

    def do_letter_edit(self) -> None:
        redrive.edit(self, self.chosen(), self.done)

    def do_letter_requeue(self) -> None:
        redrive.requeue(self, self.chosen(), self.done)

    def do_letter_policy(self) -> None:
        redrive.policy(self, self.chosen(), self.done)

    def do_letter_discard(self) -> None:
        redrive.discard(self, self.chosen(), self.done)

    def do_letter_export(self) -> None:
        redrive.export(self, self.chosen())

    def do_letter_why(self) -> None:
        self._go_along("why")

    def do_letter_logs(self) -> None:
        self._go_along("logs")

    def do_letter_run(self) -> None:
        self._go_along("run")

    def _go_along(self, view: str) -> None:
        if self.run_argument:
            self.go(view, self.run_argument)
