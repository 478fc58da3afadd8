"""`watermark.reset`: the next run reads again from another point, or from where it first began.

Law: refused while a run of the pipeline is at work, for it reads by the old watermark: its rows would be loaded and
then read once more. A read that began earlier and is loaded later (a retry) carries the old number of resets and
moves nothing. The answer and the trail hold what the watermark was, so that a reset to it undoes this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.model.dataset import Watermark
from engine.model.errors import NotFound, Refused, RequestError
from engine.model.event import Command
from engine.model.run import RunState
from engine.rules.watermarks import shown, typed
from engine.runtime.desk import Desk
from engine.runtime.provenance import standing


class Watermarks:
    """The command on watermarks."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def reset(self, command: Command) -> dict[str, Any]:
        """Every watermark that the arguments name; all or none."""
        arguments = command.arguments
        pipeline_id, profile = str(arguments["pipeline_id"]), arguments.get("profile")
        if not str(arguments.get("reason") or "").strip():
            raise RequestError("Say why with --reason; it goes into the audit trail")
        self._refuse_active(pipeline_id, profile)
        chosen = self._chosen(pipeline_id, profile, arguments.get("task"), arguments.get("source"))
        to = arguments.get("to")
        reset = [self._reset(each, to) for each in chosen]
        self.desk.batch.changes.watermarks += reset
        where = (
            "from the beginning, or `initial` where it is set" if to is None else f"what is after {str(to)[:100]}"
        )
        count = f"{len(reset)} watermark{' is' if len(reset) == 1 else 's are'} reset"
        return {
            "message": f"{count}; the next run of '{pipeline_id}' reads {where}",
            "touched": [_name(each) for each in reset],
            "watermarks": [_told(old, new) for old, new in zip(chosen, reset, strict=True)],
        }

    def _refuse_active(self, pipeline_id: str, profile: str | None) -> None:
        for record in self.desk.tools.store.active_runs():
            run = record.run
            if (run.pipeline_id, run.profile) == (pipeline_id, profile) and run.state is RunState.RUNNING:
                raise Refused(
                    f"Run {run.run_id} is active and reads by the watermark as it is; wait for its end or cancel it"
                )

    def _chosen(
        self, pipeline_id: str, profile: str | None, task: str | None, source: str | None
    ) -> Sequence[Watermark]:
        known = standing(self.desk, pipeline_id, profile)
        if not known:
            raise NotFound(
                f"Pipeline '{pipeline_id[:80]}' has no watermark; a first run begins at `initial` of `incremental`"
            )
        of_task = [each for each in known if task in (None, each.producer, each.consumer)]
        found = [each for each in of_task if source in (None, each.source)]
        if not found:
            there = ", ".join(_name(each) for each in known)[:500]
            raise NotFound(f"No watermark of '{pipeline_id[:80]}' fits. It has: {there}")
        return found

    def _reset(self, old: Watermark, to: str | None) -> Watermark:
        value = None if to is None else typed(str(to), old.value, old.strategy)
        # Without a fingerprint the next read takes the source's columns as they are: they may be why it is reset.
        return replace(
            old, value=value, resets=old.resets + 1, fingerprint="", run_id=None, updated_at=self.desk.now
        )


def _name(mark: Watermark) -> str:
    through = "" if mark.consumer == mark.producer else f" into {mark.consumer}"
    return f"{mark.pipeline_id}/{mark.producer}: {mark.source}{through}"


def _told(old: Watermark, new: Watermark) -> dict[str, Any]:
    return {
        "producer": old.producer,
        "source": old.source,
        "consumer": old.consumer,
        "before": shown(old.value),
        "after": shown(new.value),
    }
