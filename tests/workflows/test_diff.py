"""Tests of workflows/diff.py."""

import time
from typing import Any

import jsonpatch
import pytest
from hypothesis import example, given

from hitl.lib import canonical
from tests.lib import strategies
from workflows import diff


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": True}, {"a": 1}),
        ({"a": 0}, {"a": False}),
        ([1, True], [True, 1]),
        ({"a": [0]}, {"a": [False]}),
        ({"a": None}, {}),
        ({"a": ""}, {"a": None}),
        ({"a": "10"}, {"a": 10}),
        ({"a/b": 1, "m~n": 2}, {"a/b": 2}),
        ({"a": {"b": 1}}, {"a": [1]}),
        ({"a": 1}, "text"),
    ],
)
def test_no_change_is_lost_in_the_patch(old: Any, new: Any) -> None:
    operations = diff.patch(old, new)
    assert operations
    assert canonical.dumps(jsonpatch.apply_patch(old, operations)) == canonical.dumps(new)


@given(strategies.values, strategies.values)
@example([True, 1], [1, True])
@example({"a": [1.0, True]}, {"a": [True]})
def test_a_patch_applied_to_the_old_gives_the_new(old: Any, new: Any) -> None:
    before = canonical.loads(canonical.dumps(old))
    result = jsonpatch.apply_patch(before, diff.patch(old, new))
    assert canonical.dumps(result) == canonical.dumps(new)


@given(strategies.values, strategies.values)
@example({"a": "10"}, {"a": 10})
def test_there_are_rows_exactly_when_there_is_a_difference(old: Any, new: Any) -> None:
    differs = canonical.dumps(old) != canonical.dumps(new)
    assert bool(diff.rows(old, new)) == differs
    assert bool(diff.patch(old, new)) == differs


@pytest.mark.parametrize("operations", [[], [{"op": "remove", "path": "/nowhere"}]])
def test_a_patch_that_does_not_hold_is_replaced_by_the_whole(
    operations: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = jsonpatch.JsonPatch(operations)
    monkeypatch.setattr(jsonpatch, "make_patch", lambda _old, _new: wrong)
    assert diff.patch({"a": 1}, {"a": 2}) == [{"op": "replace", "path": "", "value": {"a": 2}}]


def only(old: Any, new: Any) -> diff.DiffRow:
    """The single row of a difference."""
    (row,) = diff.rows(old, new)
    return row


def test_a_change_of_type_alone_is_shown_with_both_types() -> None:
    row = only({"n": "10"}, {"n": 10})
    assert (row.kind, row.old, row.new) == ("type", "10", "10")
    assert (row.old_type, row.new_type) == ("text", "number")
    assert only({"n": True}, {"n": "true"}).kind == "type"
    assert only({"n": None}, {"n": ""}).kind == "type"


def test_numbers_that_are_the_same_number_are_no_change() -> None:
    assert diff.rows({"n": 10}, {"n": 10.0}) == []
    assert diff.patch({"n": 10}, {"n": 10.0}) == []


def test_absent_and_null_are_told_apart() -> None:
    assert (only({}, {"a": None}).kind, only({}, {"a": None}).new) == ("added", "null")
    removed = only({"a": None}, {})
    assert (removed.kind, removed.old, removed.new) == ("removed", "null", None)


def test_changed_rows_come_first_and_the_rest_on_request() -> None:
    old, new = {"a": 1, "b": 2, "c": [1, 2]}, {"a": 1, "b": 3, "c": [1, 4]}
    assert [row.pointer for row in diff.rows(old, new)] == ["/b", "/c/1"]
    everything = diff.rows(old, new, unchanged=True)
    assert [row.pointer for row in everything] == ["/b", "/c/1", "/a", "/c/0"]
    assert everything[-1].kind == "same"


def test_an_entry_put_in_front_is_one_row() -> None:
    row = only({"to": ["b", "c"]}, {"to": ["a", "b", "c"]})
    assert (row.pointer, row.kind, row.new) == ("/to/0", "added", "a")
    row = only({"to": ["a", "b", "c"]}, {"to": ["a", "c"]})
    assert (row.pointer, row.kind, row.old) == ("/to/1", "removed", "b")


def test_everything_inside_what_came_or_went_is_listed() -> None:
    found = diff.rows({"a": {"x": 1, "y": [2, {}]}}, {"a": "text"})
    assert [(row.pointer, row.kind) for row in found] == [
        ("/a/x", "removed"),
        ("/a/y/0", "removed"),
        ("/a/y/1", "removed"),
        ("/a", "added"),
    ]


def test_labels_come_from_the_schema_and_keys_are_made_visible() -> None:
    schema = {
        "properties": {
            "rows": {"title": "Lines", "items": {"properties": {"n": {"title": "Amount"}}}}
        }
    }
    (row,) = diff.rows({"rows": [{"n": 1}]}, {"rows": [{"n": 2}]}, schema=schema)
    assert row.label == "Lines › 1 › Amount"
    assert only({"a\u202eb": 1}, {"a\u202eb": 2}).label == "a⟦U+202E⟧b"


def test_long_texts_are_compared_word_by_word() -> None:
    row = only({"t": "send five euros to Ann now"}, {"t": "send fifty euros to Ann"})
    assert row.segments == (
        ("same", "send "),
        ("removed", "five "),
        ("added", "fifty "),
        ("same", "euros to "),
        ("removed", "Ann now"),
        ("added", "Ann"),
    )
    assert "".join(s.text for s in row.segments if s.op != "added") == row.old
    assert "".join(s.text for s in row.segments if s.op != "removed") == row.new
    assert only({"t": "yes"}, {"t": "no"}).segments == ()


def test_hidden_characters_are_visible_in_every_part() -> None:
    row = only({"t": "pay \u202eabc now"}, {"t": "pay abc now"})
    assert row.old == "pay ⟦U+202E⟧abc now"
    assert ("removed", "⟦U+202E⟧abc ") in row.segments


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"t": "a b " * 60_000}, {"t": "b a " * 60_000}),
        ({"t": " ".join(f"w{n % 80}" for n in range(800))},
         {"t": " ".join(f"w{n * 7 % 80}" for n in range(800))}),
        ({"t": list(range(20_000))}, {"t": list(range(1, 20_002))}),
        ({"t": [n % 3 for n in range(300)]}, {"t": [n % 2 for n in range(299)]}),
        ({"t": [{"k": n} for n in range(5000)]}, {"t": [{"k": -n} for n in range(4999)]}),
    ],
)  # fmt: skip
def test_hostile_sizes_are_compared_in_bounded_time(old: Any, new: Any) -> None:
    started = time.monotonic()
    assert diff.rows(old, new)
    assert diff.patch(old, new)
    assert time.monotonic() - started < 5
