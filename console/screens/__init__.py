"""The views. Adding one is a file here and a line in this registry.

Law: a view is imported when it is first gone to, so that the first paint loads one of them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.screens.view import View

__all__ = ["HOME", "VIEWS", "Entry", "entry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One view."""

    name: str  # after `:` and in scopes of actions
    also: tuple[str, ...] = ()  # what hands used to another tool type after `:`
    title: str
    home: str  # module:class
    help: str = ""  # one sentence
    keys: tuple[str, ...] = ()  # keys that go there from everywhere
    takes: str = ""  # its argument: "" none, "filter", "run", "task", "pipeline", "dataset", "letter"

    def load(self) -> type[View]:
        """The view's class."""
        module, _, name = self.home.partition(":")
        found: type[View] = getattr(importlib.import_module(module), name)
        return found


_ENTRIES = (
    Entry(
        name="pulse",
        title="Pulse",
        home="console.screens.pulse:PulseView",
        help="What runs, what failed since you last looked, what is late and what comes.",
    ),
    Entry(
        name="pipelines",
        title="Pipelines",
        home="console.screens.pipelines:PipelinesView",
        help="What the workspace defines, how each fares, and what is wrong with a definition.",
        takes="filter",
    ),
    Entry(
        name="pipeline",
        title="Pipeline",
        home="console.screens.pipeline:PipelineView",
        help="One pipeline: its runs, its graph, its card; takes a pipeline.",
        takes="pipeline",
    ),
    Entry(
        name="runs",
        title="Runs",
        home="console.screens.runs:RunsView",
        help="Runs: live, filtered, sorted; takes a filter.",
        takes="filter",
    ),
    Entry(
        name="run",
        title="Run",
        home="console.screens.run:RunView",
        help="One run as graph, tree or events; takes RUN.",
        takes="run",
    ),
    Entry(
        name="logs",
        title="Logs",
        home="console.screens.logs:LogsView",
        help="Logs of a run or one of its tasks; takes RUN [TASK].",
        takes="task",
    ),
    Entry(
        name="schedules",
        title="Schedules",
        home="console.screens.schedules:SchedulesView",
        help="When pipelines run by themselves; takes a pipeline.",
        takes="pipeline",
    ),
    Entry(
        name="health",
        title="Health",
        home="console.screens.health:HealthView",
        help="Checks, processes, slots and connections.",
    ),
    Entry(
        name="audit",
        title="Audit",
        home="console.screens.audit:AuditView",
        help="Who did what, from where, and whether the trail holds; takes a filter.",
        takes="filter",
    ),
    Entry(
        name="why",
        title="Why",
        home="console.screens.why:WhyView",
        help="Why a run or task waits or failed, and what can be done; takes RUN [TASK].",
        takes="task",
    ),
    Entry(
        name="dlq",
        also=("letters", "dead"),
        title="Dead letters",
        home="console.screens.letters:LettersView",
        help="Dead letters of the four queues, grouped by what went wrong; takes a queue.",
        takes="queue",
    ),
    Entry(
        name="letter",
        title="Dead letter",
        home="console.screens.letter:LetterView",
        help="One dead letter; takes its id, without one the newest.",
        takes="letter",
    ),
    Entry(
        name="replay",
        title="Replay",
        home="console.screens.replay:ReplayView",
        help="A past run played back: states, slots and logs in step; takes RUN.",
        keys=("P",),
        takes="run",
    ),
    Entry(
        name="lineage",
        title="Lineage",
        home="console.screens.lineage:LineageView",
        help="Upstream and downstream of a dataset; takes DATASET, none lists them.",
        keys=("L",),
        takes="dataset",
    ),
    Entry(
        name="data",
        also=("datasets", "tables"),
        title="Data",
        home="console.screens.data:DataView",
        help="Who writes and reads a dataset, and what the last runs did to it; takes DATASET.",
        takes="dataset",
    ),
    Entry(
        name="diff",
        title="Diff",
        home="console.screens.diff:DiffView",
        help="Two runs compared; takes RUN [RUN], one alone is compared with its last success before.",
        takes="runs",
    ),
    Entry(
        name="help",
        title="Help",
        home="console.screens.help:HelpView",
        help="What can be done; Enter runs an entry. Takes a view.",
        takes="view",
    ),
)

VIEWS: dict[str, Entry] = {each.name: each for each in _ENTRIES}
HOME = "pulse"


def entry(name: str) -> Entry | None:
    """A view by its name, or by another it goes by."""
    return VIEWS.get(name) or next((each for each in _ENTRIES if name in each.also), None)
