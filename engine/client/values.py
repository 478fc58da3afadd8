"""The values that reads answer with, under one roof for consoles, which see neither ports nor rules.

Law: names only; nothing is defined here, and importing it loads nothing heavy.
"""

from __future__ import annotations

from engine.client.datasets import Dataset, Detail, Lineage, Write
from engine.client.samples import Found
from engine.ports.catalog import PipelineReport
from engine.ports.logs import LogLine, LogReader
from engine.ports.mailbox import Lease
from engine.ports.queries import Counts, LetterGroup, PipelineStatistics
from engine.ports.store import PipelineVersion, ScheduleState
from engine.rules.explain_facts import Action, Explanation
from engine.rules.lineage import Link, Reached, Touch

__all__ = [
    "Action",
    "Counts",
    "Dataset",
    "Detail",
    "Explanation",
    "Found",
    "Lease",
    "LetterGroup",
    "Lineage",
    "Link",
    "LogLine",
    "LogReader",
    "PipelineReport",
    "PipelineStatistics",
    "PipelineVersion",
    "Reached",
    "ScheduleState",
    "Touch",
    "Write",
]
