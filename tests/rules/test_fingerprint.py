"""Failures that look alike have one short name."""

from __future__ import annotations

from engine.model.errors import ErrorKind, TaskError
from engine.rules.fingerprint import fingerprint, normalised


def of(message: str, type: str = "ValueError", kind: ErrorKind = ErrorKind.LOGIC) -> str:
    return fingerprint(TaskError(type=type, kind=kind, message=message))


ALIKE = [
    ("row 17 of 200 is bad", "row 3 of 9 is bad"),
    ("took 1.5 s at 2026-01-02T03:04:05", "took 20.25 s at 2025-12-31T23:59:59"),
    ("no such order 'A-1'", "no such order 'B-22 x'"),
    ('column "price" is missing', 'column "qty" is missing'),
    ("object at 0x7f3a is gone", "object at 0x99BEEF is gone"),
    ("run 123e4567-e89b-12d3-a456-426614174000 failed", "run aabbccdd-0011-2233-4455-66778899aabb failed"),
    ("cannot open /srv/in/a.csv", "cannot open /home/x/y/z.csv"),
    ("can't find 'alpha' here", "can't find 'beta' here"),
    ("two  spaces\nand lines", "two spaces and lines"),
]


def test_what_varies_does_not_count() -> None:
    for one, other in ALIKE:
        assert of(one) == of(other), normalised(one) + " | " + normalised(other)


def test_what_differs_has_another_name() -> None:
    names = {of(one) for one, _ in ALIKE}
    assert len(names) == len(ALIKE)
    assert of("boom") != of("boom", type="KeyError")
    assert of("boom") != of("boom", kind=ErrorKind.TIMEOUT)


def test_a_name_is_sixteen_hex_digits_and_stays_the_same() -> None:
    assert of("boom 1") == of("boom 2")
    assert len(of("boom")) == 16
    assert int(of("boom"), 16) >= 0


def test_hostile_messages_cost_no_more_than_others() -> None:
    """FAULTS 35: long runs of hex digits used to be tried in every division; that would never have ended."""
    for message in ("a" * 5000 + "z", "ab12-" * 1000 + "_", "'" * 5000, "/" * 5000, "1." * 2000, "\ud800"):
        assert len(of(message)) == 16
