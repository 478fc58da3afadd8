"""Reading YAML: 1.2 scalars, places, and every bomb of FAULTS 36."""

from __future__ import annotations

import math
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.read import MAX_DEPTH, Unreadable, read_yaml
from engine.rules.scalars import plain

SCALARS = [
    ("on", "on"),
    ("off", "off"),
    ("yes", "yes"),
    ("no", "no"),
    ("y", "y"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("Null", None),
    ("12", 12),
    ("-12", -12),
    ("+12", 12),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("12:30", "12:30"),
    ("2024-01-01", "2024-01-01"),
    ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1e3", 1000.0),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("1e999", "1e999"),
    ("9" * 60, "9" * 60),
    ("=", "="),
    ("1.2.3", "1.2.3"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_are_those_of_yaml_1_2(text, value):
    """DEF-11: what 1.1 reads as booleans, octals, sexagesimals and dates is text here."""
    for read in (read_yaml(f"key: {text}\n").value["key"], plain(text)):
        assert read == value
        assert type(read) is type(value)


def test_quoted_scalars_are_text_and_keys_are_text_as_written():
    assert read_yaml("on: 1\n99: skip\n1.0: x\nnull: y\na: '12'\nb: \"true\"\n").value == {
        "on": 1,
        "99": "skip",
        "1.0": "x",
        "null": "y",
        "a": "12",
        "b": "true",
    }


def test_every_path_has_its_line():
    """VAL-12: problems can name the line of any part."""
    source = read_yaml("id: x\n\ntasks:\n  - id: a\n    config:\n      command: |\n        true\n  - {id: b}\n")
    assert source.line(("id",)) == 1
    assert source.line(("tasks",)) == 3
    assert source.line(("tasks", 0)) == 4
    assert source.line(("tasks", 0, "config", "command")) == 6
    assert source.line(("tasks", 1, "id")) == 8
    assert source.line(("tasks", 1, "missing", "deeper")) == 8  # the nearest thing around it


def test_duplicate_keys_are_all_told_with_both_lines():
    with pytest.raises(Unreadable) as caught:
        read_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert caught.value.faults == (
        (4, "key 'c' is given twice, in lines 3 and 4; keep one"),
        (5, "key 'a' is given twice, in lines 1 and 5; keep one"),
    )


def test_anchors_and_merges_work_and_own_keys_win_over_merged_ones():
    source = read_yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b, *b]\n")
    assert source.value["use"] == {"x": 1, "y": 3}
    assert source.value["list"] == [{"x": 1, "y": 2}, {"x": 1, "y": 2}]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1, 2\nb: 3", 2, "not YAML"),
        ("a: !!python/object/apply:os.system ['true']", 1, "tag"),
        ("a: !custom x", 1, "tag"),
        ("a: 1\n---\nb: 2", 2, "one document"),
        ("? [a, b]\n: 1", 1, "a key has to be text"),
        ("a: *nobody", 1, "alias"),
        ("a: &a [*a]", 1, "alias"),
        ("<<: 5\na: 1", 1, "merges mappings"),
        ("a: \x00", None, "not YAML"),
        (b"a: \xff\xfe", 1, "not UTF-8"),
        ("\tа: 1", 1, "not YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text, line, words):
    with pytest.raises(Unreadable) as caught:
        read_yaml(text)
    assert caught.value.faults[0][0] == line
    assert words in caught.value.faults[0][1]


def test_no_tag_is_executed(tmp_path):
    """SEC-02, FAULTS 36."""
    target = tmp_path / "made"
    with pytest.raises(Unreadable):
        read_yaml(f"a: !!python/object/apply:pathlib.Path.touch ['{target}']")
    with pytest.raises(Unreadable):
        read_yaml(f"!!python/object/new:os.system [touch {target}]")
    assert not target.exists()


BOMBS = {
    "deep flow": "[" * 60_000,
    "deep flow closed": "[" * 60_000 + "]" * 60_000,
    "deep block": "- " * 60_000,
    "deep maps": "{a: " * 60_000,
    "deep indent": "".join(" " * depth + "a:\n" for depth in range(500)),
    "billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    "long string by alias": "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a," * 10_000 + "]",
    "ninety aliases": "a: &a [" + "b, " * 90 + "]\nc: &c [" + "*a, " * 90 + "]\nd: [" + "*c, " * 90 + "]",
    "many nodes": "- a\n" * 250_000,
    "many anchors": "[" + "&a a," * 200_000 + "]",
    "too large": "a: " + "x" * (1 << 20),
    "merge by alias": "a: &a {" + ",".join(f"k{n}: v" for n in range(300)) + "}\nb: [" + "{<<: *a}," * 2000 + "]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_without_being_built(name):
    """FAULTS 36. The bound is generous: what is proven is that nothing expands, not how fast this machine is."""
    before = time.process_time()
    with pytest.raises(Unreadable) as caught:
        read_yaml(BOMBS[name])
    assert time.process_time() - before < 5
    assert len(str(caught.value)) < 300


def test_what_is_just_within_the_caps_is_read():
    assert read_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH).value
    assert len(read_yaml("- a\n" * 99_000).value) == 99_000


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\ufffe\uffff")
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefgh", min_size=1), inner, max_size=4),
    max_leaves=20,
)


class _Quoting(yaml.SafeDumper):
    """Writes strings quoted, so that only our reader's scalars are on trial."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)
_Quoting.add_representer(
    float, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))
)


@given(JSON)
def test_what_is_written_is_read_back(value):
    text = yaml.dump(value, Dumper=_Quoting, allow_unicode=True)
    read = read_yaml(text).value
    assert read == value
    assert not isinstance(read, float) or math.isfinite(read)


@given(st.text())
def test_any_text_is_read_or_refused_and_nothing_else(text):
    faults = None
    try:
        read_yaml(text)
    except Unreadable as error:
        faults = error.faults
    assert faults is None or all(message for _, message in faults)
