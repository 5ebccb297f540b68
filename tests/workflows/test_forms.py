"""Tests of workflows/forms: what was not changed stays, what was is exactly typed."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib import canonical
from hitl.lib.errors import FieldError, InvalidInput
from hitl.lib.strict_json import TooLarge
from tests.lib import strategies
from tests.workflows import schemas
from tests.workflows.form_posts import field_of, normal, posted, untouched
from workflows import diff, json_schema
from workflows.forms import ArrayField, Field, Group, build, parse, tree


def one(**keywords: Any) -> dict[str, Any]:
    """A schema with the single optional field `a`."""
    return {"type": "object", "properties": {"a": keywords}}


def required(**keywords: Any) -> dict[str, Any]:
    """The same, and the field has to be there."""
    return {**one(**keywords), "required": ["a"]}


def refused(schema: dict[str, Any], data: Any, **changes: Any) -> FieldError:
    """The first error of a post."""
    with pytest.raises(InvalidInput) as caught:
        posted(schema, data, **changes)
    return caught.value.errors[0]


# --- what a post can never do -------------------------------------------------------------------

LOCKED = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "fixed": {"const": 5},
        "meta": {"readOnly": True, "properties": {"k": {"type": "string"}}},
        "open": {"type": "object", "properties": {"in": {"readOnly": True}, "b": {}}},
        "rows": {"type": "array", "items": {"properties": {"sku": {"readOnly": True}, "n": {}}}},
        "blob": {
            "x-widget": "json",
            "type": "object",
            "properties": {"locked": {"readOnly": True}, "free": {}},
        },
    },
}
LOCKED_DATA: dict[str, Any] = {
    "id": "x",
    "fixed": 5,
    "meta": {"k": "v"},
    "open": {"in": 1, "b": 2, "hidden": 3},
    "rows": [{"sku": "s", "n": 1}],
    "blob": {"locked": 1, "free": 1},
    "secret": {"deep": [1]},
}


@pytest.mark.parametrize(
    "name",
    [
        "f/id", "f/meta", "f/meta/k", "f/open/in", "f/open/hidden", "f/rows/0/sku", "f/rows/1/sku",
        "f/rows/9/n", "f/secret", "f/secret/deep", "f/new", "f", "f/", "id", "/id", "s/id",
        "s/meta", "f/open", "s/open", "f/rows", "__proto__", "csrfmiddlewaretoken",
    ],
)  # fmt: skip
def test_names_that_are_not_open_in_the_form_are_ignored(name: str) -> None:
    schema = normal(LOCKED)
    post = {**untouched(build(schema, LOCKED_DATA)), name: ["evil"]}
    assert parse(schema, LOCKED_DATA, post) == LOCKED_DATA


def test_constants_cannot_be_changed() -> None:
    assert refused(LOCKED, LOCKED_DATA, fixed="1").pointer == "/fixed"
    assert refused(LOCKED, LOCKED_DATA, fixed="keep").pointer == "/fixed"


def test_json_about_an_object_cannot_change_what_is_locked_in_it() -> None:
    assert posted(LOCKED, LOCKED_DATA, blob='{"locked": 1, "free": 2}')["blob"]["free"] == 2
    error = refused(LOCKED, LOCKED_DATA, blob='{"locked": 2, "free": 1}')
    assert (error.pointer, error.code) == ("/blob/locked", "read-only")


@given(schemas.pairs(), st.data())
def test_whatever_is_posted_locked_places_stay(
    pair: tuple[dict[str, Any], Any], draw: st.DataObject
) -> None:
    schema, data = normal(pair[0]), pair[1]
    names = [*untouched(build(schema, data)), "f/x", "f"]
    texts = st.sampled_from(["", "0", "1", "on", "null", "keep", "value", "absent", "{}", "[1]"])
    post = draw.draw(
        st.dictionaries(
            st.sampled_from(names), st.lists(texts | strategies.texts, min_size=1, max_size=3)
        )
    )
    before = copy.deepcopy(data)
    try:
        result = parse(schema, data, post)
    except InvalidInput as error:
        assert all(json.dumps(one.pointer) for one in error.errors)  # noqa: PT017
    else:
        json_schema.check_locked(schema, data, result)
    assert canonical.dumps(data) == canonical.dumps(before)


# --- answers that are refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "original", "answer", "sentence"),
    [
        ({"type": "number"}, 1, "1,5", "a point for decimals"),
        ({"type": "number"}, 1, "1.000,50", "a point for decimals"),
        ({"type": "number"}, 1, "1 000", "no separators"),
        ({"type": "number"}, 1, "ten", "Write a number"),
        ({"type": "number"}, 1, "0x10", "Write a number"),
        ({"type": "number"}, 1, "1_000", "Write a number"),
        ({"type": "number"}, 1, "\u0661\u0662", "Write a number"),
        ({"type": "number"}, 1, "NaN", "Write a number"),
        ({"type": "number"}, 1, "inf", "Write a number"),
        ({"type": "number"}, 1, "007", "Write a number"),
        ({"type": "number"}, 1, "--1", "Write a number"),
        ({"type": "number"}, 1, "1e999", "too large"),
        ({"type": "number"}, 1, "9007199254740993", "Send it as a string"),
        ({"type": "number"}, 1, "0.10000000000000000001", "readers disagree"),
        ({"type": "number"}, 1, "9" * 5000, "Send it as a string"),
        ({"type": "integer"}, 1, "1.5", "whole number"),
        ({"type": "integer"}, 1, "", "This field is required."),
        ({"type": "number"}, 1, "  ", "This field is required."),
        ({"type": "string", "minLength": 1}, "x", "", "This field is required."),
        ({"type": "string", "format": "date"}, "2026-11-23", " ", "This field is required."),
        ({"type": "string"}, "x", "a\0b", "U+0000"),
        ({"type": "string"}, "x", "a\ud800", "surrogate"),
        ({"enum": ["a", "b"]}, "a", "2", "Choose one"),
        ({"enum": ["a", "b"]}, "a", "-1", "Choose one"),
        ({"enum": ["a", "b"]}, "a", "b", "Choose one"),
        ({"enum": ["a", "b"]}, "a", "null", "Choose one"),
        ({"enum": ["a", "b"]}, "a", "keep", "Choose one"),
        ({"enum": ["a", "b"]}, "a", "", "This field is required."),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, ["a"], ["", "5"], "Choose from"),
        ({"type": "array", "items": {"type": "number"}}, [1], "2\r\nx", "Line 2: Write a number"),
        ({"type": "array", "items": {"type": "integer"}}, [1], "1.5", "Line 1: Must be a whole"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, ["x"], "", "is required"),
        ({"type": "object"}, {"k": 1}, '{"k": 1, "k": 2}', "more than once"),
        ({"type": "object"}, {"k": 1}, "{", "not JSON"),
        ({"type": "object"}, {"k": 1}, "{'k': 1}", "not JSON"),
        ({"type": "object"}, {"k": 1}, '{"k": NaN}', "not JSON"),
        ({"type": "object"}, {"k": 1}, "\ud800", "UTF-8"),
        ({"type": "object"}, {"k": 1}, "[" * 100_000, "Nested deeper"),
        ({"type": "object"}, {"k": 1}, "[" * 32 + "]" * 32, "Nested deeper"),
        ({"type": "object"}, {"k": 1}, " ", "This field is required."),
    ],
)  # fmt: skip
def test_answers_without_a_clear_meaning_are_refused_at_their_field(
    keywords: dict[str, Any], original: Any, answer: Any, sentence: str
) -> None:
    error = refused(required(**keywords), {"a": original}, a=answer)
    assert error.pointer.startswith("/a")
    assert sentence in error.message


def test_the_sentence_names_the_field_and_all_faults_come_at_once() -> None:
    schema = {
        "type": "object",
        "properties": {
            "price": {"type": "number", "title": "Price in euros"},
            "raw": {"type": "object"},
        },
    }
    with pytest.raises(InvalidInput, match=r"^Price in euros: Write a number") as caught:
        posted(schema, {"price": 1, "raw": {}}, price="x", raw='{"b": [NaN]}')
    assert [error.pointer for error in caught.value.errors] == ["/price", "/raw/b/0"]


def test_a_value_and_the_choice_of_none_contradict_each_other() -> None:
    schema = one(type=["string", "null"])
    error = refused(schema, {"a": None}, a="text", state_a="absent")
    assert "says both" in error.message


def test_data_does_not_grow_past_the_limit() -> None:
    with pytest.raises(TooLarge):
        posted(one(type="string"), {"a": "x"}, a="y" * 300_000)


# --- what was not changed stays -----------------------------------------------------------------


@given(schemas.pairs())
def test_an_untouched_form_gives_back_the_very_data(pair: tuple[dict[str, Any], Any]) -> None:
    schema, data = normal(pair[0]), pair[1]
    result = parse(schema, data, untouched(build(schema, data)))
    assert canonical.dumps(result) == canonical.dumps(data)


@given(schemas.pairs())
def test_a_post_without_the_state_controls_changes_nothing_either(
    pair: tuple[dict[str, Any], Any],
) -> None:
    schema, data = normal(pair[0]), pair[1]
    post = untouched(build(schema, data))
    values = {name: given for name, given in post.items() if name.startswith("f")}
    assert canonical.dumps(parse(schema, data, values)) == canonical.dumps(data)
    assert parse(schema, data, {}) is data


@given(schemas.pairs(), st.data())
def test_changing_one_field_changes_nothing_beside_it(
    pair: tuple[dict[str, Any], Any], draw: st.DataObject
) -> None:
    schema, data = normal(pair[0]), pair[1]
    form = build(schema, data)
    open_fields = [field for field in form.fields() if not field.read_only]
    if not open_fields:
        return
    field = draw.draw(st.sampled_from(open_fields))
    answer = draw.draw(st.sampled_from(["", "1", "2026-01-01", "on", "[1]", "x"]))
    try:
        result = parse(schema, data, {**untouched(form), field.name: [answer]})
    except InvalidInput:
        return
    for row in diff.rows(data, result):
        assert (
            row.pointer == field.pointer
            or field.pointer.startswith(row.pointer)
            or (row.pointer.startswith(field.pointer + "/"))
        )


@pytest.mark.parametrize(
    ("keywords", "original"),
    [
        ({"type": "string"}, "123"),
        ({"type": "string"}, 123),
        ({"type": "string"}, ""),
        ({"type": "string"}, "  spaced  "),
        ({"type": "string"}, "true"),
        ({"type": "string"}, "a\r\nb\r\n"),
        ({"type": "string"}, "a\rb\nc\r\n\r"),
        ({"type": "string"}, "\n\nleading"),
        ({"type": "string"}, None),
        ({"type": "string"}, {"an": "object"}),
        ({"type": "number"}, 10),
        ({"type": "number"}, 10.0),
        ({"type": "number"}, 1e21),
        ({"type": "number"}, -0.0),
        ({"type": "number"}, 1e-7),
        ({"type": "number"}, "10"),
        ({"type": "number"}, True),
        ({"type": "integer"}, 1.5),
        ({"type": "boolean"}, "yes"),
        ({"type": "boolean"}, 0),
        ({"enum": [1, "1", True, 1.5, None, [1]]}, 1.0),
        ({"enum": [1, "1", True, 1.5, None, [1]]}, True),
        ({"enum": [1, "1", True, 1.5, None, [1]]}, [1]),
        ({"enum": [1, 2]}, "other"),
        ({"type": "string", "format": "date"}, "not a date"),
        ({"type": "string", "format": "email"}, " padded@example.com "),
        ({"type": "array", "items": {"type": "string"}}, ["a", "", "b\nc"]),
        ({"type": "array", "items": {"type": "number"}}, [1.0, 2, 1e-7]),
        ({"type": "array", "items": {"type": "number"}}, [1, "2"]),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, ["y", "x"]),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, ["x", "x"]),
        ({"type": "object"}, {"k": "\u202e\u2028\x7f", "n": 1.0}),
        ({"type": "null"}, 5),
    ],
)
def test_values_survive_untouched_whatever_the_schema_thinks_of_them(
    keywords: dict[str, Any], original: Any
) -> None:
    for schema in (one(**keywords), required(**keywords)):
        data = {"a": original, "beside": [1.0]}
        assert canonical.dumps(posted(schema, data)) == canonical.dumps(data)
        assert type(posted(schema, data)["a"]) is type(original)


def test_absent_null_and_empty_stay_three_things() -> None:
    schema = one(type=["string", "null"])
    assert posted(schema, {}) == {}
    assert posted(schema, {"a": None}) == {"a": None}
    assert posted(schema, {"a": ""}) == {"a": ""}


# --- what was changed is exactly typed ----------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "original", "answer", "result"),
    [
        ({"type": "string"}, "x", "123", "123"),
        ({"type": "string"}, "x", "null", "null"),
        ({"type": "string"}, "x", " y ", " y "),
        ({"type": "string"}, "x", "", ""),
        ({"type": "string", "format": "date"}, "2026-01-01", " 2026-02-01 ", "2026-02-01"),
        ({"type": "string", "x-widget": "textarea"}, "x", "a\r\nb\rc", "a\nb\nc"),
        ({"type": "string"}, "a\r\nb", "a\r\nc\r\nd", "a\r\nc\r\nd"),
        ({"type": "string"}, "a\rb\nc", "x\r\ny", "x\ny"),
        ({"type": "number"}, 10, "11", 11),
        ({"type": "number"}, 10, " 11.5 ", 11.5),
        ({"type": "number"}, 10, "11.0", 11),
        ({"type": "number"}, 10, "-1e3", -1000),
        ({"type": "number"}, 10, "1e21", 1e21),
        ({"type": "integer"}, 10, "11.0", 11),
        ({"type": "boolean"}, True, [""], False),
        ({"type": "boolean"}, False, ["", "on"], True),
        ({"type": "boolean", "x-widget": "radio"}, True, "1", False),
        ({"enum": [1, "1", True]}, 1, "1", "1"),
        ({"enum": [1, "1", True]}, 1, "2", True),
        ({"enum": [{"k": 1}, None]}, None, "0", {"k": 1}),
        ({"enum": [1, 2]}, "other", "0", 1),
        ({"type": "array", "items": {"type": "string"}}, ["a"], "b\r\n\r\n c \r\n", ["b", " c "]),
        ({"type": "array", "items": {"type": "string"}}, ["a"], "", []),
        ({"type": "array", "items": {"type": "number"}}, [1.0, 2], "1\r\n2.5", [1, 2.5]),
        ({"type": "array", "items": {"enum": [1, 2, 3]}}, [3, 1], ["", "1", "2"], [3, 2]),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, ["x"], [""], []),
        ({"type": "object"}, {"k": 1}, '{"k": "1", "m": [1.5]}', {"k": "1", "m": [1.5]}),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "10", "10", 10),
        ({"x-widget": "json"}, [1], '"text"', "text"),
        ({}, "text", "5", 5),
    ],
)  # fmt: skip
def test_changed_values_have_the_type_the_schema_says(
    keywords: dict[str, Any], original: Any, answer: Any, result: Any
) -> None:
    changed = posted(required(**keywords), {"a": original, "beside": 1}, a=answer)
    assert changed == {"a": result, "beside": 1}
    assert type(changed["a"]) is type(result)


@pytest.mark.parametrize(
    ("keywords", "original", "result"),
    [
        ({"type": "string"}, {"a": "x"}, {"a": ""}),
        ({"type": "string", "minLength": 1}, {"a": "x"}, {}),
        ({"type": ["string", "null"], "minLength": 1}, {"a": "x"}, {"a": None}),
        ({"type": "string", "format": "email"}, {"a": "a@b.example"}, {}),
        ({"type": "number"}, {"a": 1}, {}),
        ({"type": ["number", "null"]}, {"a": 1}, {"a": None}),
        ({"enum": ["x"]}, {"a": "x"}, {}),
        ({"type": "object"}, {"a": {}}, {}),
    ],
)
def test_an_emptied_optional_field_means_what_the_schema_allows(
    keywords: dict[str, Any], original: Any, result: Any
) -> None:
    assert posted(one(**keywords), original, a="") == result


def test_the_state_control_says_what_an_empty_one_means() -> None:
    schema = one(type=["string", "null"])
    assert posted(schema, {"a": "x"}, state_a="null") == {"a": None}
    assert posted(schema, {"a": "x"}, a="", state_a="absent") == {}
    assert posted(schema, {"a": None}, state_a="value") == {"a": ""}
    assert posted(schema, {}, state_a="value") == {"a": ""}
    assert posted(schema, {}, a="typed") == {"a": "typed"}
    assert posted(schema, {"a": None}, a="typed") == {"a": "typed"}
    assert posted(schema, {"a": "x"}, state_a="nonsense") == {"a": "x"}


def test_options_can_be_null_or_left_out() -> None:
    schema = one(type=["boolean", "null"])
    assert posted(schema, {}, a="0") == {"a": True}
    assert posted(schema, {}, a="null") == {"a": None}
    assert posted(schema, {"a": None}, a="") == {}


NESTED = {
    "type": "object",
    "properties": {
        "house": {
            "type": "object",
            "title": "Home",
            "properties": {
                "city": {"type": "string", "minLength": 1},
                "floor": {"type": "integer"},
                "lift": {"type": "boolean"},
            },
            "required": ["city"],
        },
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "tags": {"items": {"type": "string"}}},
            },
        },
    },
}


def test_an_absent_object_comes_into_being_only_when_something_is_in_it() -> None:
    schema = normal(NESTED)
    post = untouched(build(schema, {}))
    assert parse(schema, {}, post) == {}
    assert parse(schema, {}, {**post, "f/house/city": ["Rome"]}) == {"house": {"city": "Rome"}}
    assert parse(schema, {}, {**post, "f/house/lift": ["1"]}) == {"house": {"lift": False}}


def test_entries_of_a_list_of_objects_are_edited_in_place() -> None:
    data = {"rows": [{"n": 1, "x": "kept", "tags": ["a"]}, {"n": 2.0}]}
    schema = normal(NESTED)
    post = untouched(build(schema, data))
    result = parse(schema, data, {**post, "f/rows/1/n": ["3"], "f/rows/0/tags": ["a\r\nb"]})
    assert result == {"rows": [{"n": 1, "x": "kept", "tags": ["a", "b"]}, {"n": 3}]}


def test_names_are_unique_plain_and_prefixed_whatever_the_keys() -> None:
    keys = ["a/b", "a~b", "a b", "ä", "a\nb", "_charset_", "isindex", "0", "a%2Fb", "", "__proto__"]
    schema = normal({"type": "object", "properties": {key: {"type": "string"} for key in keys}})
    names = [field.name for field in build(schema, {}).fields()]
    assert len(set(names)) == len(keys)
    assert all(name.startswith("f/") and name.isascii() and name.isprintable() for name in names)
    changed = parse(schema, {}, {name: [str(index)] for index, name in enumerate(names)})
    assert changed == {key: str(index) for index, key in enumerate(keys)}


# --- how it is drawn ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "original", "widget", "input_type"),
    [
        ({"type": "string"}, "x", "text", "text"),
        ({"type": "string"}, "a\nb", "textarea", "text"),
        ({"type": "string"}, "x" * 200, "textarea", "text"),
        ({"type": "string", "x-widget": "textarea"}, "x", "textarea", "text"),
        ({"type": "string", "format": "date"}, "2026-11-23", "text", "date"),
        ({"type": "string", "format": "date"}, "tomorrow", "text", "text"),
        ({"type": "string", "format": "date"}, "0000-01-01", "text", "text"),
        ({"type": "string", "format": "date-time"}, "2026-11-23T00:00:00Z", "text", "text"),
        ({"type": "string", "format": "email"}, "a@example.com", "text", "email"),
        ({"type": "string", "format": "email"}, "ü@example.com", "text", "text"),
        ({"type": "string", "format": "uri"}, "https://example.com/", "text", "url"),
        ({"type": "string", "format": "uri"}, "javascript:alert(1)", "text", "text"),
        ({"type": "number"}, 1, "text", "text"),
        ({"type": "boolean"}, True, "checkbox", "text"),
        ({"type": "boolean"}, "odd", "radio", "text"),
        ({"enum": ["a", "b"]}, "a", "radio", "text"),
        ({"enum": list(range(9))}, 1, "select", "text"),
        ({"enum": ["a", "b"], "x-widget": "select"}, "a", "select", "text"),
        ({"type": "array", "items": {"enum": ["a"]}}, ["a"], "checkboxes", "text"),
        ({"type": "array", "items": {"type": "string"}}, ["a"], "textarea", "text"),
        ({"type": "object"}, {}, "textarea", "text"),
        ({"type": "string", "readOnly": True}, "x", "shown", "text"),
    ],
)
def test_each_value_gets_the_control_that_leaves_it_alone(
    keywords: dict[str, Any], original: Any, widget: str, input_type: str
) -> None:
    field = field_of(required(**keywords), {"a": original}, "/a")
    assert (field.widget, field.input_type) == (widget, input_type)


def test_options_that_compare_equal_in_python_are_told_apart() -> None:
    field = field_of(one(enum=[1, True, "1"]), {"a": True}, "/a")
    assert [choice.value for choice in field.choices if choice.is_selected] == ["1"]
    some = field_of(one(type="array", items={"enum": [0, False]}), {"a": [False]}, "/a")
    assert [choice.is_selected for choice in some.choices] == [False, True]


def test_a_field_says_what_it_is_and_what_it_takes() -> None:
    schema = required(
        type="integer", title="Amount", description="In\neuros", minimum=0, maximum=500, default=10
    )
    field = field_of(schema, {"a": 5}, "/a")
    assert (field.label, field.key, field.help) == ("Amount", "a", "In\neuros")
    assert field.hint == "0 to 500; default: 10"
    assert (field.value, field.input_mode, field.is_required) == ("5", "numeric", True)
    assert field.original == "5"


def test_a_default_is_told_but_never_slipped_into_the_data() -> None:
    schema = one(type="string", default="x")
    field = field_of(schema, {}, "/a")
    assert (field.value, field.is_set, field.hint) == ("", False, "default: x")
    assert posted(schema, {}) == {}


@pytest.mark.parametrize(
    ("schema", "original", "demanded"),
    [
        (required(type="number"), {"a": 1}, True),
        (required(type="string"), {"a": ""}, False),
        (required(type="string", minLength=1), {"a": "x"}, True),
        (required(type=["number", "null"]), {"a": 1}, False),
        (required(type="boolean"), {"a": False}, False),
        (one(type="number"), {"a": 1}, False),
    ],
)
def test_the_browser_demands_only_what_the_server_would_refuse(
    schema: dict[str, Any], original: Any, demanded: bool
) -> None:
    assert field_of(schema, original, "/a").is_required is demanded


def test_children_of_an_absent_object_are_not_demanded() -> None:
    fields = {field.pointer: field for field in build(normal(NESTED), {}).fields()}
    assert not fields["/house/city"].is_required
    assert not fields["/house/city"].is_set


def test_states_are_offered_only_where_empty_is_ambiguous() -> None:
    assert field_of(required(type="string"), {"a": ""}, "/a").states == ()
    assert field_of(one(type="number"), {"a": 1}, "/a").states == ()
    states = field_of(one(type=["string", "null"]), {"a": None}, "/a").states
    assert [(state.value, state.is_selected) for state in states] == [
        ("value", False),
        ("null", True),
        ("absent", False),
    ]


def test_hidden_characters_are_raw_in_the_input_and_visible_beside_it() -> None:
    field = field_of(one(type="string", title="T\u202e"), {"a": "x\u202ey"}, "/a")
    assert field.value == "x\u202ey"
    assert field.original == "x⟦U+202E⟧y"
    assert field.label == "T⟦U+202E⟧"
    assert field.is_deceptive
    blob = field_of(one(type="object"), {"a": {"k": "\u202e\U000e0041"}}, "/a")
    assert blob.value == '{\n  "k": "\\u202e\\udb40\\udc41"\n}'


@pytest.mark.parametrize(
    ("keywords", "original"),
    [
        ({"type": "array", "items": {"type": "string"}}, ["ok", "p\u0430ypal"]),
        ({"type": "array", "items": {"type": "string"}}, ["a\u200bb"]),
        ({"type": "object"}, {"k": [{"de\u200bep": 1}]}),
        ({"type": "object", "readOnly": True}, {"k": "\u202e"}),
        ({"enum": ["a\u202e", "b"]}, "a\u202e"),
    ],
)
def test_deception_inside_of_a_value_is_warned_about(
    keywords: dict[str, Any], original: Any
) -> None:
    assert field_of(one(**keywords), {"a": original}, "/a").is_deceptive


def test_groups_lists_and_what_is_beside_the_schema_have_their_place() -> None:
    data = {"house": {"city": "Rome", "note": "n"}, "rows": [{"n": 1}], "other": [1, 2]}
    form = build(normal(NESTED), data)
    home, rows = form.nodes
    assert isinstance(home, Group)
    assert home.label == "Home"
    assert home.extra is not None
    assert home.extra.rows[0].pointer == "/house/note"
    assert isinstance(rows, ArrayField)
    assert [item.label for item in rows.items] == ["1"]
    assert form.extra is not None
    assert form.extra.rows[0].label == "other"
    assert form.is_editable


def test_locked_objects_are_shown_as_a_tree() -> None:
    field = field_of(LOCKED, LOCKED_DATA, "/meta")
    assert field.read_only
    assert field.tree is not None
    assert field.tree.rows[0].value == "v"


def test_errors_stand_at_their_field_or_at_the_nearest_above() -> None:
    errors = [
        FieldError("/house/city", "wrong"),
        FieldError("/house/city", "again"),
        FieldError("/house/unknown/deep", "lost"),
        FieldError("/rows/7/n", "gone"),
        FieldError("/nowhere", "stray"),
        FieldError("", "whole"),
    ]
    form = build(normal(NESTED), {"house": {"city": "x"}, "rows": [{"n": 1}]}, errors=errors)
    home, rows = form.nodes
    assert isinstance(home, Group)
    assert isinstance(home.children[0], Field)
    assert home.children[0].error == "wrong again"
    assert home.error == "/unknown/deep: lost"
    assert rows.error == "/7/n: gone"
    assert form.errors == ("stray", "whole")
    assert form.error_count == 5


def test_what_somebody_typed_is_shown_again() -> None:
    schema = normal(
        {
            "type": "object",
            "properties": {
                "n": {"type": "number"},
                "box": {"type": "boolean"},
                "pick": {"enum": ["a", "b"]},
                "some": {"type": "array", "items": {"enum": ["x", "y"]}},
                "text": {"type": ["string", "null"]},
            },
        }
    )
    data = {"n": 1, "box": True, "pick": "a", "some": ["x"], "text": "t"}
    post = {
        "f/n": ["1,5"], "f/box": [""], "f/pick": ["1"], "f/some": ["", "1"], "s/text": ["null"],
    }  # fmt: skip
    form = build(schema, data, submitted=post)
    n, box, pick, some, text = form.fields()
    assert (n.value, n.original) == ("1,5", "1")
    assert not box.is_checked
    assert [choice.is_selected for choice in pick.choices if choice.value] == [False, True]
    assert [choice.is_selected for choice in some.choices] == [False, True]
    assert [state.is_selected for state in text.states] == [False, True, False]


def many(count: int, **keywords: Any) -> dict[str, Any]:
    """A schema with many fields alike."""
    return {"type": "object", "properties": {f"f{n}": keywords for n in range(count)}}


def boxes(count: int) -> dict[str, Any]:
    """A list of some of that many options."""
    return {"type": "array", "items": {"enum": list(range(count))}}


def rows(**properties: Any) -> dict[str, Any]:
    """A list of objects."""
    return {"type": "array", "items": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (many(200, type=["string", "null"]), {}),
        (many(150, **boxes(40)), {f"f{n}": list(range(40)) for n in range(150)}),
        (one(**boxes(1000)), {"a": list(range(1000))}),
        (NESTED, {"rows": [{"n": n, "tags": []} for n in range(5000)]}),
        (NESTED, {"rows": [{"n": n, "tags": []} for n in range(50)]}),
        (
            one(**rows(b=rows(c=rows(d={"type": "string"})))),
            {"a": [{"b": [{"c": [{"d": "x"}] * 20}] * 20}] * 20},
        ),
    ],
)
def test_no_form_posts_more_values_than_a_framework_takes(
    schema: dict[str, Any], data: Any
) -> None:
    post = untouched(build(normal(schema), data))
    assert sum(len(values) for values in post.values()) < 950
    assert parse(normal(schema), data, post) is data


def test_data_that_is_no_object_still_has_a_form() -> None:
    form = build(normal(NESTED), [1, 2])
    assert [field.widget for field in form.fields()] == ["textarea"]
    assert parse(normal(NESTED), [1, 2], untouched(form)) == [1, 2]


def test_without_a_schema_the_data_is_only_shown() -> None:
    form = build(None, {"a": 1}, errors=[FieldError("/a", "bad")])
    assert not form.is_editable
    assert form.extra is not None
    assert form.errors == ("bad",)
    assert parse(None, {"a": 1}, {"f/a": ["2"]}) == {"a": 1}


# --- the tree -----------------------------------------------------------------------------------


def test_a_tree_names_every_kind_of_value() -> None:
    data = {"t": "text", "n": 10.0, "b": False, "z": None, "o": {}, "l": [1, [2]]}
    rows = {row.label: row for row in tree(data).rows}
    assert {label: row.kind for label, row in rows.items()} == {
        "t": "text", "n": "number", "b": "boolean", "z": "null", "o": "object", "l": "list",
    }  # fmt: skip
    assert [rows[key].value for key in "tnbzol"] == [
        "text", "10", "false", "null", "no fields", "2 entries",
    ]  # fmt: skip
    assert [row.label for row in rows["l"].children] == ["1", "2"]
    assert rows["l"].children[1].children[0].pointer == "/l/1/0"


def test_nothing_is_cut_without_its_count() -> None:
    long = tree({"t": "x" * 5000, "l": list(range(150))})
    text, entries = long.rows
    assert (len(text.value), text.cut) == (4000, 1000)
    assert (len(entries.children), entries.more) == (100, 50)
    wide = tree({str(n): n for n in range(150)})
    assert (len(wide.rows), wide.more) == (100, 50)


def test_depth_and_rows_are_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(30):
        deep = {"k": deep}
    row = tree(deep).rows[0]
    for _ in range(7):
        row = row.children[0]
    assert (row.children, row.more, row.value) == ((), 1, "1 field")
    crowd = tree([[[n] * 50 for n in range(50)] for _ in range(50)])
    assert _count(crowd.rows) <= 500


def _count(rows: tuple[Any, ...]) -> int:
    return sum(1 + _count(row.children) for row in rows)


def test_a_long_list_in_front_does_not_push_later_fields_out() -> None:
    padded = {"a": [{"pad": ["x"] * 90}] * 90, "amount": 1_000_000}
    assert [row.label for row in tree(padded).rows] == ["a", "amount"]


def test_a_crowd_on_either_side_does_not_push_a_nearer_field_out() -> None:
    crowd = [["x"] * 90] * 90
    (_, middle, _) = tree({"a": crowd, "b": {"amount": 1}, "c": crowd}).rows
    assert [row.label for row in middle.children] == ["amount"]


def test_a_tree_shows_what_hides() -> None:
    row = tree({"k\u200b": "x\u202ey\nz"}).rows[0]
    assert (row.label, row.value) == ("k⟦U+200B⟧", "x⟦U+202E⟧y\nz")
    assert row.is_deceptive
    assert row.is_multiline


def test_a_single_value_is_a_single_row() -> None:
    assert [row.value for row in tree("x").rows] == ["x"]
    assert tree({}).rows == ()


@given(strategies.values)
def test_any_data_becomes_a_tree(value: Any) -> None:
    assert _count(tree(value).rows) <= 500
