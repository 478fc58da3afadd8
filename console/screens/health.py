"""Health: checks with what they said before, processes, slots and connections.

Law: what is looked at is what is in front. Checks are made each quarter of a minute, processes and slots every few
seconds, both only while the view is shown; connections are tried when somebody asks, their circuits are read as
often as checks are made.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from console.messages import Batch
from console.place import Place
from console.present import health as present
from console.present import machine
from console.present.cells import Line
from console.present.circuits import word
from console.present.health import Around, CheckRow, ConnectionRow, History
from console.present.machine import ProcessRow
from console.screens import circuits, trying
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.machine import EngineProcess, LiveAttempt, PoolUse
from engine.client.values import Lease
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_FORMS = ("checks", "processes", "slots", "connections")
_FIELDS = ("name", "state", "run", "circuit")
_CHECK_AGAIN = timedelta(seconds=15)
_LOOK_AGAIN = timedelta(seconds=3)


class Machine(NamedTuple):
    """One look at processes and slots."""

    at: datetime
    leader: Lease | None
    attempts: tuple[LiveAttempt, ...]
    engines: tuple[EngineProcess, ...]
    pools: tuple[PoolUse, ...]
    stored_bytes: int | None


class HealthView(SplitView):
    """Four tables, one in front, and a card."""

    NAME = "health"
    FILTER_HINT = "text, /regex/, state:degraded, name:load*"
    CARD = 54
    DEFAULT_CSS = """
    HealthView #main { width: 1fr; height: 1fr; }
    """

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        form, _, self._wanted = place.argument.partition(" ")  # `connections shop`: the row to begin with
        self._form = form if form in _FORMS else "checks"
        self._history = History()
        self._checks: list[CheckRow] = []
        self._machine: Machine | None = None
        self._raw: dict[str, ProcessRow] = {}  # of the look before, unrounded
        self._checked_at: datetime | None = None
        self._looked_at: datetime | None = None

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, id="head", height=2)
        with Horizontal(id="body"):
            with ContentSwitcher(initial=self._form, id="main"):
                yield self._table(
                    "checks", present.check_columns(looks), lambda r: r.component, present.natural_check
                )
                yield self._table(
                    "processes", machine.process_columns(looks), lambda r: r.key, machine.natural_process
                )
                yield self._table("slots", machine.pool_columns(looks), lambda r: r.name, machine.natural_pool)
                yield self._table("connections", present.connection_columns(looks), lambda r: r.id, lambda r: r.id)
            yield Divider(looks)
            yield Card(looks)

    def _table(self, name: str, columns: Any, key: Any, natural: Any) -> Table[Any]:
        reading = "Reading" + self.looks.ellipsis
        return Table(columns, key=key, natural=natural, look=self.looks, now=self.now, empty=reading, id=name)

    def listing(self, form: str | None = None) -> Table[Any]:
        """One of the tables; the one in front."""
        return self.query_one(f"#{form or self._form}", Table)

    @property
    def crumbs(self) -> list[str]:
        return ["Health", self._form]

    @property
    def run_argument(self) -> str:
        row = self.listing().selected if self._machine is not None else None
        if self._form == "processes" and row is not None and row.attempt is not None:
            return f"{row.run_id} {row.attempt.task}"
        return ""

    # ---- reading

    def look(self) -> None:
        """Everything that is in front."""
        self._check()
        self._look_around()
        self._look_at_connections()

    def _look_at_connections(self) -> None:
        if self._form == "connections":
            self.ask("connections", trying.connections, self._show_connections)

    def _check(self) -> None:
        self._checked_at = self.now()
        self.ask("checks", lambda client: client.health(), self._show_checks)

    def _look_around(self) -> None:
        self._looked_at = self.now()
        self.ask("machine", self._look_at_machine, self._show_machine)

    def _look_at_machine(self, client: Client) -> Machine:
        leader = self.session.keeper.leader()
        return Machine(
            at=client.clock.now(),
            leader=leader,
            attempts=tuple(client.machine.attempts(leader)),
            engines=tuple(client.machine.engines(leader)),
            pools=tuple(client.machine.pools()),
            stored_bytes=client.machine.stored_bytes(),
        )

    def take(self, batch: Batch) -> None:
        """Tasks came or went: processes and slots changed; or a circuit did. At most as often as batches come."""
        if self._form in ("processes", "slots") and (batch.lost or batch.events):
            self._look_around()
        if batch.lost or any(each.type.startswith("circuit.") for each in batch.events):
            self._check()
            self._look_at_connections()

    def tick(self, now: datetime) -> None:
        if self._checked_at is None:  # not looked yet
            return
        if now - self._checked_at >= _CHECK_AGAIN:
            self._check()
            self._look_at_connections()
        often = _LOOK_AGAIN if self._form in ("processes", "slots") else _CHECK_AGAIN
        if self._looked_at is not None and now - self._looked_at >= often:
            self._look_around()
        self.listing().tick()

    def _show_checks(self, found: dict[str, Any]) -> None:
        self._checks = self._history.add(found, self.now())
        table = self.listing("checks")
        told = [row for row in self._checks if _differs(row, table.rows.get(row.component))]
        table.put(told)  # what says the same as before is not painted again
        self._retell()

    def _show_machine(self, found: Machine) -> None:
        before = self._machine
        seconds = (found.at - before.at).total_seconds() if before is not None else None
        rows = machine.process_rows(found.attempts, found.engines, found.leader, self._raw, seconds)
        self._raw = {row.key: row for row in rows}
        self._machine = found
        self.listing("processes").say_empty("Nothing runs now, and no engine leads.")
        self.listing("slots").say_empty("There are no pools.")
        _bring("key", self.listing("processes"), [machine.without_noise(row) for row in rows])
        _bring("name", self.listing("slots"), found.pools)
        self._retell()

    def _show_connections(self, found: list[ConnectionRow]) -> None:
        table = self.listing("connections")
        known = {row.id: row for row in (table.rows.get(each.id) for each in found) if row is not None}
        table.say_empty("No connections; they go into connections.yaml.")
        _bring("id", table, [trying.with_test(each, known.get(each.id)) for each in found])
        if self._wanted:
            table.select(self._wanted)
            self._wanted = ""
        self._retell()

    def _retell(self) -> None:
        now, found = self.now(), self._machine
        around = Around()
        if found is not None:
            standby = [each for each in found.engines if not each.leads]
            around = Around(leader=found.leader, standby=standby, stored_bytes=found.stored_bytes, looked=True)
        self.query_one("#head", Strips).show(present.head(self._checks, around, now, self.looks))
        self.query_one(Card).show(self._card(now))

    def _card(self, now: datetime) -> list[Line]:
        row = self.listing().selected
        if row is None:
            return []
        match self._form:
            case "checks":
                newest = next((each for each in self._checks if each.component == row.component), row)
                return present.check_card(newest, now)
            case "processes":
                return machine.process_card(row, now)
            case "slots":
                return machine.pool_card(row)
            case _:
                return present.connection_card(row, now, self.looks)

    # ---- panes

    @property
    def side(self) -> Widget:
        return self.query_one("#main")

    def focused_side(self) -> Widget:
        return self.listing()

    def clear_marks(self) -> bool:
        return self.listing().clear_marks()

    def _to_form(self, form: str) -> None:
        self._form = form
        self.query_one(ContentSwitcher).current = form
        if not self.wide:
            self.details = None
            self.make_room()
        self.filter(self.filter_text)
        self.look()
        self._retell()
        self.focus_first()
        self.console.show_frame()

    def filter(self, text: str) -> str | None:
        try:
            keep = self.parsed(text, _FIELDS)
        except RequestError as error:
            return str(error)
        shown = None if keep is None else lambda row: keep((_facts(row, self.now()), None))
        self.listing().filter_rows(shown, unmatched="Nothing matches. Esc takes the filter away.")
        return None

    def copied(self) -> str:
        return self.query_one(Card).text

    # ---- the cursor

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another row."""
        event.stop()
        if self.shown and event.table is self.listing():
            self._retell()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter: to the run of a process; else the card."""
        event.stop()
        if self.run_argument:
            self.console.goer.go_to("run", self.run_argument)
        else:
            self.do_health_details()

    # ---- actions of console.actions.health

    def do_health_checks(self) -> None:
        self._to_form("checks")

    def do_health_processes(self) -> None:
        self._to_form("processes")

    def do_health_slots(self) -> None:
        self._to_form("slots")

    def do_health_connections(self) -> None:
        self._to_form("connections")

    def do_health_details(self) -> None:
        self.toggle_details()

    def do_health_test(self) -> None:
        wanted = [row.id for row in self.listing("connections").chosen] if self._form == "connections" else None
        if self._form != "connections":
            self._to_form("connections")
        self.console.say("Trying the connections" + self.looks.ellipsis)
        self.ask("test", lambda client: trying.tested(client, wanted), self._answered, about=str(wanted))

    def do_health_close(self) -> None:
        if self._form == "connections":
            circuits.close(self, self.listing().chosen)
            return
        self._to_form("connections")
        self.console.say("Select the connection whose circuit is to be closed; c then asks.")

    def _answered(self, rows: list[ConnectionRow]) -> None:
        self.listing("connections").put(rows)
        self._retell()
        bad = [row.id for row in rows if row.ok is False]
        if bad:
            self.console.say(f"No answer: {', '.join(bad)}", "bad")
        else:
            self.console.say("Whatever can be tested answers.", "ok")


def _differs(fresh: CheckRow, shown: CheckRow | None) -> bool:
    if shown is None or fresh.last[1:3] != shown.last[1:3]:
        return True
    return present.troubled(fresh) != present.troubled(shown)


def _bring(key: str, table: Table[Any], rows: Any) -> None:
    """These rows and no others, repainting no more than what changed."""
    ids = {str(getattr(each, key)) for each in rows}
    have = {table.rows.id_at(line) for line in range(len(table.rows))}
    table.take_away(have - ids)
    table.put(rows)


def _facts(row: Any, now: datetime) -> dict[str, str]:
    """What a filter sees, of whichever row."""
    match row:
        case CheckRow():
            return {"name": row.component, "state": row.last.status, "said": row.last.message}
        case ProcessRow():
            return {"name": row.name, "state": row.kind, "run": row.run_id, "pid": str(row.pid or "")}
        case ConnectionRow():
            state = "not tested" if row.ok is None else "yes" if row.ok else "no"
            circuit = word(row.guarded, row.breaker, now).replace(" ", "_")
            return {"name": row.id, "state": state, "type": row.type, "said": row.said, "circuit": circuit}
        case _:
            return {"name": row.name, "state": "waiting" if row.waiting else "", "run": " ".join(row.holders)}
