"""A task's timeline and dependencies, printed."""

from __future__ import annotations

from typing import Any

from engine.cli.output import Output
from engine.client.names import label
from engine.client.text import shorten
from engine.client.timeline import named, states_of


def print_timeline(out: Output, told: dict[str, Any]) -> None:
    """One line for each thing that happened."""
    entries = told["timeline"]
    several = named(entries)
    task = told["task"]
    rows = []
    for entry in entries:
        row = (entry["at"], *_words(out, entry))
        rows.append((row[0], label(task, entry["map_index"]), *row[1:]) if several else row)
    head = ("AT", "ITEM", "WHAT", "", "UNTIL", "") if several else ("AT", "WHAT", "", "UNTIL", "")
    out.table(head, rows, empty="Nothing has happened to it yet.")
    if told["cut"]:
        out.remark(f"There is more: only the first {len(entries)} are shown.")


def _words(out: Output, entry: dict[str, Any]) -> tuple[str, str, str, str]:
    match entry["what"]:
        case "state":
            said = entry["message"] or entry["event"].replace("_", " ").lower()
            return "state", out.state(entry["to"]), "", _line(said)
        case "wait":
            return "wait", entry["code"], entry["until"] or "now", _line(entry["sentence"])
        case what:
            error = entry["error"]
            said = f"{error['type']}: {error['message']}" if error else ""
            return f"{what} {entry['attempt']}", out.state(entry["state"]), entry["until"] or "now", _line(said)


def print_dependencies(out: Output, found: dict[str, Any]) -> None:
    """One line for each task."""
    rows = [
        (
            each["id"],
            states_of(each["states"]),
            ", ".join(f"{one['id']} ({states_of(one['states'])})" for one in each["upstream"]) or "nothing",
            each["trigger_rule"] if each["upstream"] else "",
            ", ".join(each["downstream"]),
        )
        for each in found["tasks"]
    ]
    head = ("TASK", "STATE", "DEPENDS ON", "RULE", "NEEDED BY")
    out.table(head, rows, empty="The definition this run was made from is not known any more.")


def _line(text: str) -> str:
    return shorten(" ".join(text.split()), 160)
