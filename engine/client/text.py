"""Untrusted text on its way to a terminal.

Law: nothing that came from a task, a file, a name or a message may steer the terminal. Whole control sequences
go, payload included, and leave one ␛; lone control characters become their pictures; what reorders or hides
text becomes ⟨U+202E⟩. Only what a terminal shows passes through here: stored bytes and pipes keep theirs.
"""

from __future__ import annotations

import re

_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
# Surrogates stand for bytes that were no UTF-8; no terminal can be sent one.
_HOSTILE = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")

_SEQUENCE = re.compile(
    # OSC, DCS, APC, PM, SOS: up to ST, BEL or the end of the line
    "(?:\x1b[\\]P_^X]|[\x9d\x90\x9f\x9e\x98])[^\x07\x9c\r\n]*?(?:\x07|\x9c|\x1b\\\\|(?=[\r\n])|\\Z)"
    # CSI: parameters, intermediates and, where it has one, its final byte
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"
    # every other escape: intermediates and a final byte
    "|\x1b[ -/]*[0-~]?"
)
_ESCAPE_PICTURE = "\u241b"
_TAB_STOP = 8


def clean(text: str) -> str:
    """One line or cell: fit for a terminal, and without a line break."""
    if text.isprintable():  # nothing hostile is; what is not may still be harmless, such as a no-break space
        return text
    if _HOSTILE.search(text) is None:
        return text
    return _cleaned(text)


def clean_block(text: str) -> str:
    """Several lines: as `clean`, but the lines stay lines."""
    return "\n".join(clean(line.removesuffix("\r")) for line in text.split("\n"))


def clean_in_place(text: str) -> str:
    """As `clean`, but one character for each: of a line that is edited, where a cursor counts them."""
    return _HOSTILE.sub(lambda match: picture if len(picture := _picture(match)) == 1 else "\ufffd", text)


def shorten(text: str, width: int) -> str:
    """At most `width` characters of one line, an ellipsis where something is left out."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _cleaned(text: str) -> str:
    without = _SEQUENCE.sub(_ESCAPE_PICTURE, text)
    return _HOSTILE.sub(_picture, without.expandtabs(_TAB_STOP))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"⟨U+{code:04X}⟩"
