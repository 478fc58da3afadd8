"""What a file is: by its name, then by its first bytes.

Law: what is told wins; of the compression the content wins over the name, for a name can lie and a magic number
does not. A binary format that does not begin with its mark is refused as torn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.connectors.files.compression import SUFFIXES
from engine.model.errors import DataQualityError

_EXTENSIONS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".avro": "avro",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_MARKS = (
    (b"PAR1", "parquet"),
    (b"Obj\x01", "avro"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
)


def by_name(name: str) -> tuple[str | None, str | None]:
    """Format and compression as the name's endings say; None for what they do not."""
    low = name.rsplit("/", 1)[-1].lower()
    compression = next((SUFFIXES[suffix] for suffix in SUFFIXES if low.endswith(suffix)), None)
    if compression is not None:
        low = low.rsplit(".", 1)[0]
    return next((_EXTENSIONS[each] for each in _EXTENSIONS if low.endswith(each)), None), compression


def delimiter_of(name: str) -> str:
    """A tab where the name says so, else a comma."""
    low = name.lower()
    return "\t" if any(f"{ending}" in low[-12:] for ending in (".tsv", ".tab")) else ","


def by_content(head: bytes) -> str:
    """The format of decompressed content that no name tells: a mark, or what the first letters look like."""
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "jsonl" if _is_lines(text) else "json"
    return "csv"


def _is_lines(text: bytes) -> bool:
    first, _, rest = text.partition(b"\n")
    try:
        json.loads(first)
    except ValueError:
        return False
    return not rest.strip() or rest.lstrip().startswith(b"{")


def check_mark(format: str, head: bytes, name: str) -> None:
    """DataQualityError for a binary file without the mark it should begin with."""
    marks = [mark for mark, each in _MARKS if each == format]
    if marks and not any(head.startswith(mark) for mark in marks):
        raise DataQualityError(
            f"'{name}' is no {format} file, or a torn one: it does not begin as one. "
            "Have it written again, or say what it is with `format`."
        )
