"""Commands of operators, carried out or refused.

Law: each command becomes one commit that holds its effect, its answer (an event with the request id) and its entry
in the audit trail. It leaves the mailbox only after that commit. A refusal is an answer with its reason, never an
exception that escapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.model.errors import (
    NotFound,
    PenstockError,
    Refused,
    RequestError,
    StoreError,
    StoreUnusable,
    ValidationFailed,
)
from engine.model.event import Actor, AuditEntry, Command, Event
from engine.model.run import DeadLetter, LetterStatus, Reason, RunState, TaskState
from engine.ports import failpoint
from engine.rules.advance import cancel, cancel_run
from engine.rules.graph import GraphError
from engine.rules.reopen import failed_keys, mark, name, redo
from engine.rules.snapshot import Draft, Key, RunSnapshot
from engine.runtime.arguments import edits, first, instant, malformed, resource_type
from engine.runtime.circuits import Circuits
from engine.runtime.desk import Desk
from engine.runtime.letters import Letters, replaced_by
from engine.runtime.runs import Order, Runs
from engine.runtime.schedules import Schedules
from engine.runtime.watermarks import Watermarks

Result = dict[str, Any]  # message, touched, run_ids ...
_RUN_ID = re.compile(r"^[a-zA-Z0-9_-]{1,200}$")
_TASK = re.compile(r"^([a-zA-Z0-9_-]+)(?:\[(\d+)\])?$")


class NotYet(Exception):
    """The command can only be carried out when a live attempt is gone; it stays in the mailbox until then."""


class Commands:
    """One method per command name."""

    def __init__(
        self,
        desk: Desk,
        runs: Runs,
        letters: Letters,
        schedules: Schedules,
        circuits: Circuits,
        stop: Callable[[], None],
    ) -> None:
        self.desk = desk
        self.runs = runs
        self.letters = letters
        self.schedules = schedules
        self.circuits = circuits
        self.stop = stop
        self._handlers: Mapping[str, Callable[[Command], Result]] = {
            "run.trigger": self._trigger,
            "run.cancel": self._cancel_run,
            "task.cancel": self._cancel_tasks,
            "run.retry": self._retry,
            "task.mark": self._mark,
            "letter.requeue": self._requeue,
            "letter.discard": self._discard,
            "letter.restore": self._restore,
            "letter.claim": self._claim,
            "schedule.pause": self._pause,
            "schedule.resume": self._resume,
            "connection.close": self._close_circuit,
            "watermark.reset": Watermarks(desk).reset,
            "engine.stop": self._stop,
        }

    def handle(self, command: Command) -> bool:
        """Carry out and answer; False when it has to wait. The batch is empty when this is called."""
        handler = self._handlers.get(command.name)
        try:
            if handler is None:
                raise RequestError(f"The engine knows no command '{command.name[:80]}'")
            result = handler(command)
        except NotYet:
            return False
        except StoreError as error:
            if self.desk.batch:
                # Half a decision is never committed: this engine ends, and the next one carries out the whole.
                raise StoreUnusable(f"'{command.name}' broke off half-way: {error}") from error
            raise  # no answer to a wish: it stays in the mailbox and is carried out when the store can be read
        except ValidationFailed as error:
            problems = [problem.message for problem in error.problems if problem.severity == "error"]
            self._answer(command, "command.refused", {"message": str(error), "problems": problems[:50]})
        except NotFound as error:
            self._answer(command, "command.refused", {"message": str(error), "not_found": True})
        except (PenstockError, GraphError, KeyError, TypeError, ValueError) as error:
            message = str(error) if isinstance(error, PenstockError | GraphError) else malformed(command, error)
            self._answer(command, "command.refused", {"message": message})
        else:
            self._answer(command, "command.accepted", result)
        self.desk.batch.answered.append(command.request_id)
        failpoint.hit("commands.answered")
        return True

    def _answer(self, command: Command, kind: str, payload: Mapping[str, Any]) -> None:
        accepted = kind == "command.accepted"
        arguments = command.arguments
        resource = str(
            arguments.get("run_id")
            or arguments.get("pipeline_id")
            or arguments.get("connection_id")
            or first(arguments.get("letter_ids"))
        )
        self.desk.batch.event(
            Event(
                type=kind,
                at=self.desk.now,
                pipeline_id=arguments.get("pipeline_id"),
                run_id=arguments.get("run_id"),
                correlation_id=command.request_id,
                payload={"command": command.name, "actor": command.actor.name, **payload},
            )
        )
        self.desk.batch.changes.audit.append(
            AuditEntry(
                at=self.desk.now,
                actor=command.actor,
                event_type="USER_ACTION",
                action=command.name,
                resource_type=resource_type(command.name),
                resource_id=resource,
                result="SUCCESS" if accepted else "FAILURE",
                details={
                    "request_id": command.request_id,
                    "arguments": dict(arguments),
                    "message": payload.get("message"),
                    "touched": list(payload.get("touched", ()))[:1000],
                    **({"watermarks": payload["watermarks"]} if "watermarks" in payload else {}),
                },
            )
        )

    # -- runs --------------------------------------------------------------------------------------------------

    def _trigger(self, command: Command) -> Result:
        arguments, tools = command.arguments, self.desk.tools
        pipeline = tools.catalog.get(arguments["pipeline_id"])
        profile = arguments.get("profile")
        tools.catalog.connections(profile)  # an unknown profile is refused before anything is made
        run_id = str(arguments.get("run_id") or f"{pipeline.id}__{tools.new_id()}")
        if not _RUN_ID.match(run_id):
            raise RequestError("A run id has 1 to 200 letters, digits, underscores and hyphens")
        if run_id in self.desk.runs or tools.store.run_exists(run_id):
            raise Refused(f"A run '{run_id}' exists already")
        snapshot = self.runs.make(
            Order(
                pipeline=pipeline,
                run_id=run_id,
                triggered_by=command.actor.name,
                logical_date=instant(arguments.get("logical_date")) or self.desk.now,
                parameters=tools.catalog.bind_parameters(pipeline, arguments.get("parameters") or {}),
                profile=profile,
                priority=arguments.get("priority"),
                only=arguments.get("only") or (),
                from_=arguments.get("from") or (),
                until=arguments.get("until") or (),
                scope=arguments.get("scope"),
            )
        )
        waits = f"; it waits: {snapshot.run.reason}" if snapshot.run.state is RunState.PENDING else ""
        return {"message": f"Run {run_id} is made{waits}", "touched": [run_id], "run_ids": [run_id]}

    def _cancel_run(self, command: Command) -> Result:
        snapshot = self.load(command.arguments["run_id"])
        run = snapshot.run
        if run.state.terminal:
            raise Refused(f"Run {run.run_id} has ended {run.state}; there is nothing to cancel")
        self.cancel(snapshot, command.actor.name, f"cancelled by {command.actor.name}")
        touched = [run.run_id]
        return {"message": f"Run {run.run_id} is being cancelled", "touched": touched, "run_ids": touched}

    def cancel(self, snapshot: RunSnapshot, by: str, sentence: str) -> None:
        """Cancel a whole run (an operator, or the overlap policy)."""
        draft = self.desk.draft(snapshot)
        cancel_run(draft, by, Reason.RUN_CANCELLED, sentence, self.desk.tools.rules)
        self.desk.absorb(draft)
        self.desk.event("run.cancelled", snapshot, by=by)

    def _cancel_tasks(self, command: Command) -> Result:
        snapshot = self.load(command.arguments["run_id"])
        keys = self._keys(snapshot, command.arguments["tasks"])
        live = [key for key in keys if not snapshot.executions[key].state.terminal]
        if not live:
            raise Refused("None of these tasks is active; there is nothing to cancel")
        draft = self.desk.draft(snapshot)
        cancel(draft, live, Reason.CANCELLED, self.desk.tools.rules)
        self.desk.absorb(draft)
        touched = [f"{snapshot.run.run_id}/{name(key)}" for key in live]
        return {"message": f"{len(live)} task(s) are being cancelled", "touched": touched}

    def _retry(self, command: Command) -> Result:
        arguments = command.arguments
        snapshot = self.load(arguments["run_id"])
        draft = self.desk.draft(snapshot)
        keys = self._keys(snapshot, arguments["tasks"]) if arguments.get("tasks") else failed_keys(draft)
        if not keys:
            raise Refused(f"Run {snapshot.run.run_id} has no FAILED or CANCELLED task to retry")
        made = redo(draft, keys, self.desk.tools.rules, downstream=bool(arguments.get("downstream")))
        if arguments.get("fresh"):
            for key in made:
                self.desk.batch.changes.dropped_checkpoints.append((snapshot.run.run_id, *key))
        touched = self._reopened(command, draft, made)
        again = [f"{name(key)}" for key in made if snapshot.executions[key].generation > 0]
        note = f"; {', '.join(again[:5])} had succeeded and will do their work again" if again else ""
        return {"message": f"{len(made)} task(s) will run again{note}", "touched": touched}

    def _mark(self, command: Command) -> Result:
        arguments = command.arguments
        state = str(arguments["state"]).lower()
        if state not in ("success", "failed") or not str(arguments.get("reason") or "").strip():
            raise RequestError("Say `success` or `failed`, and give a reason with --reason")
        snapshot = self.load(arguments["run_id"])
        (key,) = self._keys(snapshot, [arguments["task"]])
        execution = snapshot.executions[key]
        if execution.state is TaskState.RUNNING:
            if execution.cancelling is None:
                draft = self.desk.draft(snapshot)
                cancel(draft, [key], Reason.MARKED, self.desk.tools.rules)
                self.desk.absorb(draft)
            raise NotYet
        draft = self.desk.draft(snapshot)
        made = mark(draft, key, state == "success", command.actor.name, arguments["reason"], self.desk.tools.rules)
        touched = self._reopened(command, draft, made)
        return {"message": f"Task {name(key)} is marked {state}", "touched": touched}

    def _reopened(self, command: Command, draft: Draft, made: Sequence[Key]) -> list[str]:
        """Fold a by-hand decision in: the run is carried again and letters of what is done again are closed."""
        snapshot = draft.base
        was_over = snapshot.run.state.terminal
        self.letters.close(replaced_by(list(draft.created.values())), command.actor, command.name)
        self.desk.runs[snapshot.run.run_id] = snapshot
        if was_over:
            self.desk.event("run.reopened", snapshot, by=command.actor.name)
        self.desk.absorb(draft)
        self.runs.watch_deadline(snapshot)
        return [f"{snapshot.run.run_id}/{name(key)}" for key in made]

    # -- dead letters ------------------------------------------------------------------------------------------

    def _requeue(self, command: Command) -> Result:
        arguments = command.arguments
        changed = edits(arguments.get("set") or {}, arguments.get("retry_policy"))
        touched: list[str] = []
        letters = [
            self._requeueable(letter_id, command.actor) for letter_id in dict.fromkeys(arguments["letter_ids"])
        ]
        for letter in letters:
            snapshot = self.load(letter.run_id)
            key = (letter.task_id, letter.map_index)
            draft = self.desk.draft(snapshot)
            made = redo(draft, [key], self.desk.tools.rules, downstream=False, edits=changed)
            touched += self._reopened(command, draft, made)
        return {"message": f"{len(letters)} letter(s) are requeued", "touched": touched}

    def _discard(self, command: Command) -> Result:
        reason = str(command.arguments.get("reason") or "").strip()
        if not reason:
            raise RequestError("Say why with --reason; it goes into the letter's history")
        letters = [self._open_letter(letter_id, command.actor) for letter_id in command.arguments["letter_ids"]]
        for letter in letters:
            self.letters.update(letter, LetterStatus.DISCARDED, command.actor, command.name, reason=reason)
        return {
            "message": f"{len(letters)} letter(s) are discarded",
            "touched": [f"{letter.run_id}/{letter.task_id}" for letter in letters],
        }

    def _restore(self, command: Command) -> Result:
        """A discard is taken back: the letters are open again, as long as they still stand for their tasks."""
        letters = [self._discarded(letter_id) for letter_id in command.arguments["letter_ids"]]
        for letter in letters:
            self.letters.update(letter, LetterStatus.NEW, command.actor, command.name)
        return {
            "message": f"{len(letters)} letter(s) are open again",
            "touched": [f"{letter.run_id}/{letter.task_id}" for letter in letters],
        }

    def _discarded(self, letter_id: str) -> DeadLetter:
        letter = self._letter(letter_id)
        if letter.status is not LetterStatus.DISCARDED:
            raise Refused(f"Letter {letter_id} is not discarded, it is {letter.status.value}")
        self._refuse_replaced(letter)
        return letter

    def _requeueable(self, letter_id: str, by: Actor) -> DeadLetter:
        """Looked at before any letter is acted on: a refusal leaves all of them as they were."""
        letter = self._open_letter(letter_id, by)
        self._refuse_replaced(letter)
        return letter

    def _refuse_replaced(self, letter: DeadLetter) -> None:
        execution = self.load(letter.run_id).executions.get((letter.task_id, letter.map_index))
        if execution is None or execution.execution_id != letter.execution_id:
            raise Refused(f"Letter {letter.id}: its task has been run again since; look at run {letter.run_id}")

    def _claim(self, command: Command) -> Result:
        """Somebody begins to work on letters: nobody else requeues or discards them for a while (DLQ-04)."""
        letters = [self._open_letter(letter_id, command.actor) for letter_id in command.arguments["letter_ids"]]
        for letter in letters:
            self.letters.update(letter, LetterStatus.IN_PROGRESS, command.actor, command.name)
        touched = [f"{letter.run_id}/{letter.task_id}" for letter in letters]
        return {"message": f"{len(letters)} letter(s) are yours for 15 minutes", "touched": touched}

    def _open_letter(self, letter_id: str, by: Actor) -> DeadLetter:
        letter = self._letter(letter_id)
        if letter.status in (LetterStatus.REQUEUED, LetterStatus.DISCARDED):
            raise Refused(f"Letter {letter_id} is closed ({letter.status.value}); look at run {letter.run_id}")
        claim = self.letters.claim(letter)
        if claim is not None and claim["actor"] != by.name:
            raise Refused(f"{claim['actor']} is working on letter {letter_id} since {claim['at']}; ask, or wait")
        return letter

    def _letter(self, letter_id: str) -> DeadLetter:
        letter = self.desk.batch.changes.letters.get(letter_id) or self.desk.tools.store.letter(letter_id)
        if letter is None:
            raise NotFound(f"There is no dead letter '{letter_id}'")
        return letter

    # -- schedules and engine ----------------------------------------------------------------------------------

    def _pause(self, command: Command) -> Result:
        reason = str(command.arguments.get("reason") or "").strip()
        if not reason:
            raise RequestError("Say why with --reason; whoever finds the schedule paused wants to know")
        pipeline_id = command.arguments["pipeline_id"]
        self.schedules.pause(pipeline_id, command.actor.name, reason)
        return {"message": f"Schedule of '{pipeline_id}' is paused", "touched": [pipeline_id]}

    def _resume(self, command: Command) -> Result:
        pipeline_id = command.arguments["pipeline_id"]
        sentence = self.schedules.resume(pipeline_id)
        return {"message": f"Schedule of '{pipeline_id}' is resumed; {sentence}", "touched": [pipeline_id]}

    def _close_circuit(self, command: Command) -> Result:
        connection = str(command.arguments["connection_id"])
        said = self.circuits.close(connection, command.arguments.get("profile"))
        return {"message": said, "touched": [connection]}

    def _stop(self, command: Command) -> Result:
        self.stop()
        return {"message": "The engine stops; unfinished runs go on with the next engine", "touched": []}

    # -- finding -----------------------------------------------------------------------------------------------

    def load(self, run_id: str) -> RunSnapshot:
        """A run the engine carries, or one that has ended, from the store."""
        snapshot = self.desk.runs.get(run_id)
        if snapshot is not None:
            return snapshot
        record = self.desk.tools.store.load_run(run_id)
        if record is None:
            raise NotFound(f"There is no run '{run_id}'")
        definition = self.desk.definition(record.version)
        return RunSnapshot(record.run, definition.pipeline, definition.graph, record.executions)

    def _keys(self, snapshot: RunSnapshot, names: Sequence[str]) -> list[Key]:
        keys: list[Key] = []
        for text in names:
            match = _TASK.match(text)
            task_id, index = (match[1], int(match[2]) if match[2] else None) if match else (text, None)
            found = [key for key in snapshot.executions if key[0] == task_id and index in (None, key[1])]
            if not found:
                known = ", ".join(snapshot.by_task)[:300]
                raise NotFound(f"Run {snapshot.run.run_id} has no task '{text[:80]}'. It has: {known}")
            keys += found
        return list(dict.fromkeys(keys))
