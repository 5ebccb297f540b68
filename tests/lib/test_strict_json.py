"""Tests of hitl/lib/strict_json.py: what is refused, where, and with what remedy."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hitl.lib import canonical, strict_json
from hitl.lib.errors import InvalidInput
from tests.lib import strategies


def refused(raw: bytes | str, **limits: int) -> InvalidInput:
    """The error that refuses this document."""
    with pytest.raises(InvalidInput) as caught:
        strict_json.loads(raw.encode() if isinstance(raw, str) else raw, **limits)
    assert caught.value.errors
    return caught.value


@pytest.mark.parametrize(
    ("document", "place", "remedy"),
    [
        ('{"a": {"b": 1, "b": 1}}', "/a/b", "Send it once"),
        ('{"a": [0, {"x/y": 1, "x/y": 2}]}', "/a/1/x~1y", "Send it once"),
        ('{"a": NaN}', "/a", "null or a string"),
        ("[1, Infinity]", "/1", "null or a string"),
        ("[-Infinity]", "/0", "null or a string"),
        ('{"a": 1e999}', "/a", "Send it as a string"),
        ('{"a": -1e999}', "/a", "Send it as a string"),
        ('{"a": "x\\u0000y"}', "/a", "Remove it"),
        ('{"a": ["\\ud800"]}', "/a/0", "whole character"),
        ('{"a": "\\udc00\\ud800"}', "/a", "whole character"),
        ('{"\\ud800": 1}', "/\\ud800", "whole character"),
        ('{"a": {"\\u0000": 1}}', "/a/\\u0000", "Remove it"),
        ('{"a": ' + "9" * 5000 + "}", "/a", "Send it as a string"),
        ('{"a": -' + "9" * 5000 + "}", "/a", "Send it as a string"),
        ('{"a": 9007199254740992}', "/a", "Send it as a string"),
        ('{"a": -9007199254740992}', "/a", "Send it as a string"),
        ('{"a": 9007199254740992.0}', "/a", "Send it as a string"),
        ('{"a": 1e16}', "/a", "Send it as a string"),
        ('{"a": 123456789012345680000}', "/a", "Send it as a string"),
        ('{"a": 9.99e20}', "/a", "Send it as a string"),
        ('{"a": 0.10000000000000001}', "/a", "Send it as a string"),
        ('{"a": 1.00000000000000000001}', "/a", "Send it as a string"),
        ('{"a": 1e-400}', "/a", "Send it as a string"),
        ('{"a": -1e-400}', "/a", "Send it as a string"),
        ('{"a": 0.' + "3" * 5000 + "}", "/a", "Send it as a string"),
    ],
)
def test_values_that_readers_disagree_on_are_refused_at_their_place(
    document: str, place: str, remedy: str
) -> None:
    error = refused(document).errors[0]
    assert error.pointer == place
    assert remedy in error.message


@pytest.mark.parametrize(
    ("raw", "remedy"),
    [
        (b"\xef\xbb\xbf{}", "without one"),
        ('{"a": 1}'.encode("utf-16"), "as UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "as UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "as UTF-8"),
        (b"", "Send one JSON value"),
        (b" \n", "Send one JSON value"),
        (b"{'a': 1}", "quotes"),
        (b'{"a": 1,}', "commas"),
        (b"[1] [2]", "brackets"),
        (b"+1", "not JSON"),
        (b"01", "not JSON"),
        (b'"a\x01b"', "not JSON"),
    ],
)
def test_documents_that_are_not_utf8_json_are_refused(raw: bytes, remedy: str) -> None:
    assert remedy in refused(raw).errors[0].message


def test_broken_utf8_is_refused_with_the_place_of_the_byte() -> None:
    error = refused(b'{"a": ["ok", "\xff"]}').errors[0]
    assert error.pointer == "/a/1"
    assert "Byte 14" in error.message


def test_a_syntax_error_names_the_place_it_stands_in() -> None:
    error = refused('{"list": [1, {"deep": [true, tru]}]}').errors[0]
    assert error.pointer == "/list/1/deep/1"
    assert "line 1, column 30" in error.message


def test_thirty_two_levels_pass_and_the_next_does_not() -> None:
    assert strict_json.loads(b"[" * 32 + b"]" * 32)
    error = refused(b'{"a":' * 33 + b"1" + b"}" * 33).errors[0]
    assert error.pointer == "/a" * 32
    assert "Flatten" in error.message
    assert refused(b"[" * 33 + b"]" * 33).errors[0].pointer == "/0" * 32


@pytest.mark.parametrize(
    "raw",
    [b"[" * 200_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 40_000, b'[{"":' * 40_000],
)
def test_a_hundred_thousand_brackets_are_an_answer_not_a_crash(raw: bytes) -> None:
    error = refused(raw).errors[0]
    assert error.pointer.count("/") == 32
    assert "Nested deeper than 32" in error.message


def test_one_byte_over_the_limit_is_too_large() -> None:
    assert strict_json.loads(b'"' + b"x" * 98 + b'"', max_bytes=100)
    with pytest.raises(strict_json.TooLarge) as caught:
        strict_json.loads(b'"' + b"x" * 99 + b'"', max_bytes=100)
    assert (caught.value.code, caught.value.status) == ("too-large", 413)


def test_many_faults_are_reported_together_up_to_a_bound() -> None:
    assert [e.pointer for e in refused('{"a": NaN, "b": 1e999}').errors] == ["/a", "/b"]
    assert len(refused("[" + "NaN," * 500 + "1]").errors) == strict_json.MAX_ERRORS


def test_the_answer_about_a_hostile_key_can_be_encoded_and_is_bounded() -> None:
    key = json.dumps("\ud800" + "k" * 50_000)
    error = refused('{"outer": {' + key + ": NaN}}").errors[0]
    assert len(error.pointer.encode()) < 300


@pytest.mark.parametrize(
    "raw",
    [
        b'"' + b'\\"' * 100_000,
        b"[" + b'"\\",' * 50_000,
        b'{"a":' + b"0" * 200_000 + b"e5}",
        b'{"a": 0e' + b"9" * 200_000 + b"}",
        b'{"a": 0.' + b"0" * 200_000 + b"1e200001}",
    ],
)
def test_pathological_documents_are_judged_quickly_and_in_little_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        strict_json.loads(raw)
    except InvalidInput:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("1.10", 1.1),
        ("1E2", 100.0),
        ("10.0", 10.0),
        ("-0", 0),
        ("-0.0", -0.0),
        ("0e5", 0.0),
        ("0.000e-99999", 0.0),
        ("1e21", 1e21),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("5e-324", 5e-324),
        ("9007199254740991", 2**53 - 1),
        ("4503599627370495.5", 4503599627370495.5),
        ("null", None),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\uffff \\u202e"', "\uffff \u202e"),
        (' {"a" : [ true ] } ', {"a": [True]}),
    ],
)
def test_what_every_reader_reads_alike_is_accepted(document: str, value: Any) -> None:
    parsed = strict_json.loads(document.encode())
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": float("nan")}, "/a"),
        ({"a": [2**53]}, "/a/0"),
        ({"a": 1e17}, "/a"),
        ({1: "a"}, "/1"),
        ({"a": (1, 2)}, "/a"),
        ({"a": {b"bytes"}}, "/a"),
        ("\0", ""),
    ],
)
def test_parsed_values_are_held_to_the_same_rules(value: Any, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        strict_json.check(value)
    assert caught.value.errors[0].pointer == place


@given(strategies.values)
@example([1e21, -0.0, 1e-7, 123456789.125])
def test_every_safe_value_is_accepted_as_any_writer_spells_it(value: Any) -> None:
    strict_json.check(value)
    assert strict_json.loads(json.dumps(value).encode()) == value
    assert strict_json.loads(canonical.dumps(value)) == value


@given(st.text(alphabet='{}[]",:\\u0d8eE+-.1tfn ', max_size=40) | st.text(max_size=30))
def test_any_text_is_either_refused_politely_or_has_a_stable_canonical_form(text: str) -> None:
    try:
        value = strict_json.loads(text.encode("utf-8", "surrogatepass"))
    except InvalidInput:
        return
    once = canonical.dumps(value)
    assert canonical.dumps(strict_json.loads(once)) == once
