"""The `schedule:` block: a cron string or a mapping, checked and made canonical.

Law: what is stored says the instant: dates are read in the schedule's own zone and kept as UTC. What a schedule
does is decided in engine.rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.definitions.environment import moment
from engine.definitions.problems import Findings, Path, printable, quote
from engine.model.schedule import Blackout, OverlapPolicy, Schedule
from engine.rules.cron import CronError, TimezoneError, parse_cron, zone


def written_schedule(block: Any) -> dict[str, Any] | None:
    """A bare cron string as the mapping it stands for; `cron_expression` by its proper name."""
    if block is None or block == "":
        return None
    if isinstance(block, str):
        return {"cron": block}
    said = dict(block)
    if "cron_expression" in said:
        said["cron"] = said.pop("cron_expression")
    return said


def check_schedule(block: Any, path: Path, findings: Findings) -> None:
    """What the schema can't say: cron, zone, dates and blackouts."""
    if isinstance(block, Mapping) and "cron" in block and "cron_expression" in block:
        findings.error(path, "'cron' and 'cron_expression' say the same thing twice; keep 'cron'")
    if not isinstance(block, (str, Mapping)):
        return
    said = written_schedule(block) or {}
    inside = isinstance(block, Mapping)
    if "cron" not in said:
        findings.error(path, "a schedule needs 'cron'", "add 'cron: \"0 2 * * *\"'")
    elif isinstance(said["cron"], str):
        _check_cron(said["cron"], (*path, "cron") if inside else path, findings)
    name = said.get("timezone", "UTC")
    tz = _check_zone(name, (*path, "timezone"), findings) if isinstance(name, str) else None
    _check_dates(said, tz or ZoneInfo("UTC"), path, findings)


def _check_cron(text: str, path: Path, findings: Findings) -> None:
    try:
        parse_cron(text)
    except CronError as error:
        findings.error(path, printable(str(error))[:300])


def _check_zone(name: str, path: Path, findings: Findings) -> ZoneInfo | None:
    try:
        return zone(name)
    except TimezoneError:
        from zoneinfo import available_timezones  # reads the whole zone folder: only for the hint

        near = findings.speller.near(name, available_timezones())
        hint = f"did you mean '{near}'?" if near else "expected an IANA name such as Europe/Berlin"
        findings.error(path, f"timezone {quote(name)} is not known; {hint}", near)
        return None


def _check_dates(said: Mapping[str, Any], tz: ZoneInfo, path: Path, findings: Findings) -> None:
    found: dict[str, datetime] = {}
    for key in ("start_date", "end_date"):
        text = said.get(key)
        if not isinstance(text, str):
            continue
        try:
            found[key] = instant(text, tz, end=key == "end_date")
        except (ValueError, OverflowError):
            example = "2024-01-01 or 2024-01-01T06:00:00Z"
            findings.error((*path, key), f"found {quote(text)}, expected a date such as {example}")
    if len(found) == 2 and found["end_date"] < found["start_date"]:
        findings.error(
            (*path, "end_date"),
            f"end_date {quote(said['end_date'])} is before start_date {quote(said['start_date'])}",
        )


def instant(text: str, tz: ZoneInfo, *, end: bool = False) -> datetime:
    """A date or time as UTC; without an offset it is local to the schedule; an end date includes its whole day."""
    parsed = datetime.fromisoformat(text)
    if end and len(text) <= len("2024-01-01"):
        parsed += timedelta(days=1) - timedelta(seconds=1)
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=tz)).astimezone(UTC)


def schedule_value(said: Mapping[str, Any]) -> Schedule:
    """A checked mapping as a value."""
    tz = zone(said.get("timezone", "UTC"))
    start, end = said.get("start_date"), said.get("end_date")
    return Schedule(
        cron=" ".join(said["cron"].split()),
        timezone=said.get("timezone", "UTC"),
        start_date=instant(start, tz) if start else None,
        end_date=instant(end, tz, end=True) if end else None,
        catchup=said.get("catchup", False),
        policy=OverlapPolicy(said.get("policy", OverlapPolicy.SKIP_ON_RUNNING)),
        blackout=tuple(
            Blackout(start=_clock(one["from"]), end=_clock(one["to"])) for one in said.get("blackout", ())
        ),
        enabled=said.get("enabled", True),
    )


def _clock(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def schedule_keys(schedule: Schedule, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A value as its canonical mapping."""
    keys: dict[str, Any] = {"cron": schedule.cron, "timezone": schedule.timezone, "policy": schedule.policy.value}
    keys["catchup"] = schedule.catchup
    keys["enabled"] = schedule.enabled
    for name, at in (("start_date", schedule.start_date), ("end_date", schedule.end_date)):
        if at is not None:
            keys[name] = moment(at)
    if schedule.blackout:
        keys["blackout"] = [{"from": f"{one.start:%H:%M}", "to": f"{one.end:%H:%M}"} for one in schedule.blackout]
    if parameters:
        keys["parameters"] = dict(parameters)
    return keys
