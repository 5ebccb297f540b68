"""Tests of workflows/json_schema: what a schema may say, and data held against it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing.exceptions import Unresolvable

from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from tests.lib import strategies
from tests.lib.http.servers import serve
from tests.workflows import schemas
from workflows import json_schema


def form(**properties: Any) -> dict[str, Any]:
    """A schema of an object with these fields."""
    return {"type": "object", "properties": properties}


def field(**keywords: Any) -> dict[str, Any]:
    """A schema of an object with one field, `a`."""
    return form(a=keywords)


def refused(schema: Any) -> InvalidInput:
    """The error that refuses this schema."""
    with pytest.raises(InvalidInput) as caught:
        json_schema.normalise(schema)
    assert caught.value.errors
    return caught.value


def normal(schema: Any) -> dict[str, Any]:
    """The normal form, which is there."""
    result = json_schema.normalise(schema)
    assert result is not None
    return result


def faults(schema: dict[str, Any], data: Any) -> dict[str, str]:
    """Pointer → sentence for what is wrong with the data."""
    with pytest.raises(InvalidInput) as caught:
        json_schema.check_data(normal(schema), data)
    return {error.pointer: error.message for error in caught.value.errors}


# --- schemas that are refused -------------------------------------------------------------------

A = "/properties/a"


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ([], ""),
        ("x", ""),
        (True, ""),
        (5, ""),
        ({"type": "string"}, "/type"),
        ({"type": "array", "items": {}}, "/type"),
        ({"title": "only"}, "/type"),
        ({"type": "object", "properties": []}, "/properties"),
        ({"type": "object", "properties": {"a": 5}}, A),
        ({"type": "object", "properties": {"a": False}}, A),
        (field(type="text"), f"{A}/type"),
        (field(type=5), f"{A}/type"),
        (field(type=[]), f"{A}/type"),
        (field(minLength=-1), f"{A}/minLength"),
        (field(minLength="1"), f"{A}/minLength"),
        (field(minimum="1"), f"{A}/minimum"),
        (field(multipleOf=0), f"{A}/multipleOf"),
        (field(exclusiveMinimum=True), f"{A}/exclusiveMinimum"),
        (field(readOnly="yes"), f"{A}/readOnly"),
        (field(enum=[]), f"{A}/enum"),
        (field(enum="abc"), f"{A}/enum"),
        (field(enum=[1, 1.0]), f"{A}/enum"),
        (field(enum=list(range(1001))), f"{A}/enum"),
        (field(title=5), f"{A}/title"),
        (field(title="x" * 201), f"{A}/title"),
        (field(description="x" * 2001), f"{A}/description"),
        ({"type": "object", "required": "a"}, "/required"),
        ({"type": "object", "required": ["a", "a"]}, "/required"),
        (field(type="integer", default="x"), f"{A}/default"),
        (field(type="array", items={"type": "integer", "default": "x"}), f"{A}/items/default"),
        (field(type="array", items=[{}]), f"{A}/items"),
        (field(anyOf=[]), f"{A}/anyOf"),
        (field(anyOf="x"), f"{A}/anyOf"),
        (field(anyOf=[{"type": "x"}, {}, {}]), f"{A}/anyOf/0/type"),
        (field(anyOf=[{}] * 21), f"{A}/anyOf"),
        (field(allOf=[{}, {}]), f"{A}/allOf"),
        ({"type": "object", "x-order": "a", "properties": {}}, "/x-order"),
        ({"type": "object", "x-order": [1], "properties": {}}, "/x-order"),
        (field(**{"enum": [1], "x-labels": ["a", "b"]}), f"{A}/x-labels"),
        (field(**{"x-labels": "ab"}), f"{A}/x-labels"),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "type": "object"}, "/$schema"),
        ({"$schema": 5, "type": "object"}, "/$schema"),
        ({"type": "object", "title": "\ud800"}, "/title"),
        ({"type": "object", "title": "a\0"}, "/title"),
    ],
)
def test_schemas_that_are_not_schemas_of_a_form_are_refused(schema: Any, place: str) -> None:
    assert refused(schema).errors[0].pointer == place


@pytest.mark.parametrize(
    "keyword",
    [
        "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$vocabulary",
        "patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas",
        "dependentRequired", "dependencies", "if", "then", "else", "not", "contains",
        "prefixItems", "additionalItems", "contentMediaType", "contentEncoding", "writeOnly",
        "nullable", "html", "onclick", "__proto__", "widget", "ui:widget",
    ],
)  # fmt: skip
def test_keywords_off_the_list_are_refused_by_name(keyword: str) -> None:
    assert refused(field(**{keyword: {}})).errors[0].pointer == f"{A}/{keyword}"
    assert refused({"type": "object", keyword: {}}).errors[0].pointer == f"/{keyword}"


@pytest.mark.parametrize(
    "ref",
    [
        "http://169.254.169.254/schema",
        "https://example.com/schema.json#/a",
        "file:///etc/passwd",
        "other.json",
        "//example.com/x",
        "/properties/a",
        "",
        5,
        None,
    ],
)
def test_references_out_of_the_document_are_refused(ref: Any) -> None:
    error = refused(field(**{"$ref": ref})).errors[0]
    assert error.pointer == f"{A}/$ref"
    assert "within this schema" in error.message


@pytest.mark.parametrize("ref", ["#/$defs/none", "#none", "#/", "#/properties/a/title", "#a/b"])
def test_references_to_nothing_are_refused(ref: str) -> None:
    assert refused(field(**{"$ref": ref})).errors


@pytest.mark.parametrize(
    "schema",
    [
        field(**{"$ref": "#"}),
        field(**{"$ref": "#/properties/a"}),
        {"$ref": "#"},
        {
            **field(**{"$ref": "#/$defs/node"}),
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        },
        {
            **field(**{"$ref": "#/$defs/x"}),
            "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}},
        },
        {
            **field(**{"$ref": "#/$defs/x"}),
            "$defs": {"x": {"items": {"$ref": "#/$defs/%78"}}},
        },
        {**field(**{"$ref": "#/$defs/x"}), "$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}]}}},
    ],
)
def test_references_that_lead_back_are_refused(schema: dict[str, Any]) -> None:
    assert "leads back to itself" in refused(schema).errors[0].message


def test_a_long_chain_of_references_is_an_answer_not_a_crash() -> None:
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1000)}
    schema = {**field(**{"$ref": "#/$defs/d0"}), "$defs": chain}
    assert "Nested deeper" in refused(schema).errors[0].message


def test_references_that_multiply_are_stopped_early() -> None:
    doubled = {
        f"d{n}": form(x={"$ref": f"#/$defs/d{n + 1}"}, y={"$ref": f"#/$defs/d{n + 1}"})
        for n in range(10)
    }
    schema = {**field(**{"$ref": "#/$defs/d0"}), "$defs": {**doubled, "d10": {}}}
    started = time.monotonic()
    assert refused(schema).errors
    assert time.monotonic() - started < 1


def test_references_that_multiply_size_are_refused() -> None:
    options = [f"option {n:04}" for n in range(900)]
    schema = form(**{f"f{n}": {"$ref": "#/$defs/big"} for n in range(190)})
    error = refused({**schema, "$defs": {"big": {"enum": options}}})
    assert "larger than 65536" in error.errors[0].message


def test_constraints_beside_a_reference_are_refused() -> None:
    schema = {**field(**{"$ref": "#/$defs/x", "minLength": 3}), "$defs": {"x": {"type": "string"}}}
    assert refused(schema).errors[0].pointer == f"{A}/minLength"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a)\\1", "RE2 cannot run"),
        ("(?=a)b", "RE2 cannot run"),
        ("(?<!a)b", "RE2 cannot run"),
        ("[", "RE2 cannot run"),
        ("a{1,100000}", "RE2 cannot run"),
        ("(a{1,100}){1,100}", "RE2 cannot run"),
        ("(.{1,900})z", "too complex"),
        ("x" * 501, "longer than 500"),
        (5, "Must be a text"),
    ],
)
def test_patterns_that_cannot_run_in_linear_time_are_refused(pattern: Any, reason: str) -> None:
    error = refused(field(type="string", pattern=pattern)).errors[0]
    assert error.pointer == f"{A}/pattern"
    assert reason in error.message


@pytest.mark.parametrize("keyword", ["format", "x-widget"])
@pytest.mark.parametrize(
    "value",
    [
        "html",
        "markdown",
        "javascript:alert(1)",
        "<script>",
        "data:text/html,x",
        "regex",
        "",
        5,
        None,
    ],
)
def test_unknown_formats_and_widgets_are_refused(keyword: str, value: Any) -> None:
    error = refused(field(type="string", **{keyword: value})).errors[0]
    assert error.pointer == f"{A}/{keyword}"
    assert "known are" in error.message


def test_too_large_too_deep_too_wide_are_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(12):
        deep = field(**deep)
    wide: dict[str, Any] = {f"f{n}": {} for n in range(201)}
    assert "larger than 65536" in refused(field(description="x" * 70_000)).errors[0].message
    assert "deeper than 12" in refused(deep).errors[0].message
    assert "more than 200 fields" in refused(form(**wide)).errors[0].message
    assert (
        "more than 600 parts"
        in refused(form(**{f"f{n}": {"anyOf": [{"items": {}}] * 20} for n in range(40)}))
        .errors[0]
        .message
    )


def test_many_faults_are_reported_together_up_to_a_bound() -> None:
    schema = form(a={"type": "nope"}, b={"format": "html"}, c={"onclick": 1})
    assert [one.pointer for one in refused(schema).errors] == [
        "/properties/b/format",
        "/properties/c/onclick",
    ]
    assert len(refused(field(**{f"k{n}": 1 for n in range(500)})).errors) == 20


def test_pointers_start_at_the_given_root() -> None:
    with pytest.raises(InvalidInput) as caught:
        json_schema.normalise(field(format="html"), root="/uiSchema")
    assert caught.value.errors[0].pointer == f"/uiSchema{A}/format"


@pytest.mark.parametrize(
    ("short", "place"),
    [
        ({"fields": []}, "/fields"),
        ({"fields": {}}, "/fields"),
        ({"fields": ["a"]}, "/fields/0"),
        ({"fields": [{}]}, "/fields/0/name"),
        ({"fields": [{"name": ""}]}, "/fields/0/name"),
        ({"fields": [{"name": "x" * 201}]}, "/fields/0/name"),
        ({"fields": [{"name": "a"}, {"name": "a"}]}, "/fields/1/name"),
        ({"fields": [{"name": "a", "type": "html"}]}, "/fields/0/type"),
        ({"fields": [{"name": "a", "type": ["string"]}]}, "/fields/0/type"),
        ({"fields": [{"name": "a", "onclick": "x"}]}, "/fields/0/onclick"),
        ({"fields": [{"name": "a", "required": "yes"}]}, "/fields/0/required"),
        ({"fields": [{"name": "a", "readOnly": "yes"}]}, "/fields/0/readOnly"),
        ({"fields": [{"name": "a", "label": 5}]}, "/fields/0/label"),
        ({"fields": [{"name": "a", "help": ["x"]}]}, "/fields/0/help"),
        ({"fields": [{"name": "a", "type": "select"}]}, "/fields/0/options"),
        ({"fields": [{"name": "a", "options": []}]}, "/fields/0/options"),
        ({"fields": [{"name": "a", "options": ["x", "x"]}]}, "/fields/0/options"),
        ({"fields": [{"name": "a", "options": list(range(1001))}]}, "/fields/0/options"),
        ({"fields": [{"name": "a", "options": [{"label": "x"}]}]}, "/fields/0/options/0"),
        ({"fields": [{"name": "a", "options": [{"value": 1, "x": 1}]}]}, "/fields/0/options/0/x"),
        ({"fields": [{"name": "a", "type": "integer", "default": "x"}]}, "/fields/0/default"),
        ({"fields": [{"name": "a", "min": "x", "type": "number"}]}, "/fields/0/min"),
        ({"fields": [{"name": "a", "pattern": "("}]}, "/fields/0/pattern"),
        ({"fields": [{"name": "a", "fields": [{"name": "b"}]}]}, "/fields/0/fields"),
        ({"fields": [{"name": "a", "type": "group"}]}, "/fields/0/fields"),
        (
            {"fields": [{"name": "a", "type": "group", "fields": [{"name": "b", "min": "x"}]}]},
            "/fields/0/fields/0/min",
        ),
        (
            {"fields": [{"name": "a", "type": "list", "fields": [{"name": "b", "pattern": "("}]}]},
            "/fields/0/fields/0/pattern",
        ),
        ({"fields": [{"name": "a"}], "properties": {}}, "/properties"),
        ({"fields": [{"name": "a"}], "title": 5}, "/title"),
    ],
)
def test_faults_of_the_short_form_are_named_in_its_own_terms(short: Any, place: str) -> None:
    assert refused(short).errors[0].pointer == place


# --- schemas that are taken ---------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_schema_is_no_form(nothing: Any) -> None:
    assert json_schema.normalise(nothing) is None


def test_order_is_kept_through_canonical_form() -> None:
    schema = form(zebra={}, apple={}, mango={})
    assert normal(schema)["x-order"] == ["zebra", "apple", "mango"]
    stored = canonical.loads(canonical.dumps(normal(schema)))
    assert normal(stored)["x-order"] == ["zebra", "apple", "mango"]
    wished = {**schema, "x-order": ["mango", "unknown", "mango"]}
    assert normal(wished)["x-order"] == ["mango", "zebra", "apple"]


def test_what_generators_leave_behind_is_dropped() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "by hand",
        **field(type="string", examples=["x"], deprecated=True, **{"x-vendor": {"html": "<b>"}}),
    }
    assert normal(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "x-order": ["a"],
    }


def test_what_pydantic_writes_for_models_is_read() -> None:
    schema = {
        "$defs": {
            "Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
            "Address": {
                "properties": {"city": {"title": "City", "type": "string"}},
                "required": ["city"],
                "title": "Address",
                "type": "object",
            },
        },
        "properties": {
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "colour": {"$ref": "#/$defs/Colour", "default": "red"},
            "house": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}], "title": "Home"},
            "tags": {"additionalProperties": {"type": "string"}, "type": "object"},
            "paint": {"allOf": [{"$ref": "#/$defs/Colour"}], "description": "Of the wall"},
        },
        "title": "Order",
        "type": "object",
    }
    properties = normal(schema)["properties"]
    assert properties["note"] == {"type": ["string", "null"], "default": None}
    assert properties["colour"]["default"] == "red"
    assert properties["house"]["type"] == ["object", "null"]
    assert properties["house"]["title"] == "Home"
    assert properties["tags"]["additionalProperties"] == {"type": "string"}
    assert properties["paint"]["enum"] == ["red", "blue"]
    assert "$ref" not in json.dumps(normal(schema))


def test_constants_with_titles_become_options_with_labels() -> None:
    schema = field(oneOf=[{"const": 1, "title": "One"}, {"const": "2"}])
    assert normal(schema)["properties"]["a"] == {"enum": [1, "2"], "x-labels": ["One", ""]}


def test_the_short_form_says_the_same_as_the_schema() -> None:
    short = {
        "title": "Refund",
        "fields": [
            {"name": "to", "type": "email", "label": "To", "required": True, "help": "Who gets it"},
            {"name": "amount", "type": "number", "min": 0, "max": 500, "default": 10},
            {"name": "why", "type": "text", "readOnly": True},
            {"name": "speed", "options": [{"value": 1, "label": "Slow"}, 2]},
            {"name": "days", "type": "multiselect", "options": ["mon", "tue"]},
            {"name": "house", "type": "group", "fields": [{"name": "city"}]},
            {"name": "lines", "type": "list", "fields": [{"name": "sku", "required": True}]},
            {"name": "cc", "type": "list"},
            {"name": "raw", "type": "json", "x-anything": 1},
        ],
    }
    schema = normal(short)
    properties = schema["properties"]
    assert schema["title"] == "Refund"
    assert schema["required"] == ["to"]
    assert schema["x-order"] == [entry["name"] for entry in short["fields"]]  # type: ignore[index]
    assert properties["to"] == {
        "type": "string",
        "format": "email",
        "title": "To",
        "description": "Who gets it",
    }
    assert properties["amount"] == {"type": "number", "minimum": 0, "maximum": 500, "default": 10}
    assert properties["why"] == {"type": "string", "x-widget": "textarea", "readOnly": True}
    assert properties["speed"] == {"x-widget": "select", "enum": [1, 2], "x-labels": ["Slow", ""]}
    assert properties["days"]["items"] == {"enum": ["mon", "tue"]}
    assert properties["house"]["properties"] == {"city": {"type": "string"}}
    assert properties["lines"]["items"]["required"] == ["sku"]
    assert properties["cc"] == {"type": "array", "items": {"type": "string"}}
    assert properties["raw"] == {"x-widget": "json"}


@given(schemas.roots)
def test_the_normal_form_is_a_fixed_point(schema: dict[str, Any]) -> None:
    once = normal(schema)
    assert json_schema.normalise(once) == once
    assert json_schema.normalise(canonical.loads(canonical.dumps(once))) == once


@given(strategies.values | st.dictionaries(st.sampled_from(
    ["type", "properties", "items", "$ref", "$defs", "anyOf", "allOf", "enum", "required",
     "pattern", "format", "fields", "name", "options", "additionalProperties", "x-order"]
), strategies.values))  # fmt: skip
def test_any_json_is_either_refused_politely_or_usable(value: Any) -> None:
    try:
        schema = json_schema.normalise(value)
    except InvalidInput:
        return
    assert schema is None or json_schema.normalise(schema) == schema


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "value", "sentence"),
    [
        ({"type": "string"}, 5, "Must be a text."),
        ({"type": "integer"}, 5.5, "Must be a whole number."),
        ({"type": "integer"}, True, "Must be a whole number."),
        ({"type": ["number", "null"]}, "5", "Must be a number or null."),
        ({"type": "boolean"}, 0, "Must be true or false."),
        ({"enum": ["a", 1, True]}, "1", "Must be one of: a, 1, true."),
        ({"enum": list(range(15))}, 99, "Must be one of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 (and 5"),
        ({"enum": [1]}, True, "Must be one of: 1."),
        ({"const": {"a": 1}}, {}, 'Must be exactly {"a":1}.'),
        ({"minimum": 3}, 2, "Must be at least 3."),
        ({"maximum": 1.5}, 2, "Must be at most 1.5."),
        ({"exclusiveMinimum": 3}, 3, "Must be more than 3."),
        ({"exclusiveMaximum": 3}, 3, "Must be less than 3."),
        ({"multipleOf": 0.01}, 19.999, "Must be a multiple of 0.01."),
        ({"minLength": 1}, "", "Must not be empty."),
        ({"minLength": 2}, "é", "Must have at least 2 characters."),
        ({"maxLength": 2}, "abc", "Must have at most 2 characters; there are 3."),
        ({"pattern": "^[A-Z]{2}$"}, "ab", "Must match the pattern ^[A-Z]{2}$"),
        ({"minItems": 1}, [], "Must not be empty."),
        ({"maxItems": 1}, [1, 2], "Must have at most 1 entries; there are 2."),
        ({"uniqueItems": True}, [1, 1.0], "No entry may appear twice."),
        ({"type": "object", "minProperties": 1}, {}, "Must not be empty."),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, None, "Fits none"),
        ({"format": "date"}, "23.11.2026", "Must be a date like 2026-11-23."),
    ],
)  # fmt: skip
def test_misfits_are_explained_where_they_stand(
    keywords: dict[str, Any], value: Any, sentence: str
) -> None:
    found = faults(field(**keywords), {"a": value})
    assert list(found) == ["/a"]
    assert sentence in found["/a"]


def test_missing_and_unknown_fields_are_named_one_by_one() -> None:
    schema = {**form(a={}, b={}, c={}), "required": ["a", "b"], "additionalProperties": False}
    found = faults(schema, {"c": 1, "x/y": 2, "z": 3})
    assert found["/a"] == found["/b"] == "This field is required."
    assert found["/x~1y"] == found["/z"] == "This field is not known here. Remove it."


def test_places_inside_lists_and_maps_are_named() -> None:
    schema = form(
        rows={"type": "array", "items": {**form(n={"type": "integer"}), "required": ["m"]}},
        tags={"type": "object", "additionalProperties": {"type": "string"}},
    )
    found = faults(schema, {"rows": [{"m": 1}, {"n": "x"}], "tags": {"k": 1}})
    assert sorted(found) == ["/rows/1/m", "/rows/1/n", "/tags/k"]


def test_errors_are_bounded_and_rooted() -> None:
    schema = normal(field(type="array", items={"type": "integer"}))
    with pytest.raises(InvalidInput) as caught:
        json_schema.check_data(schema, {"a": ["x"] * 1000}, root="/actionData")
    assert len(caught.value.errors) == 50
    assert caught.value.errors[0].pointer == "/actionData/a/0"
    assert str(caught.value) == "/actionData/a/0: Must be a whole number. (49 more)"


VALID: dict[str, list[str]] = {
    "date": ["2026-11-23", "2024-02-29"],
    "time": ["14:30:00Z", "14:30:00.123456789+02:00"],
    "date-time": ["2026-11-23T14:30:00Z", "2026-11-23t14:30:00.5-05:00",
                  "2026-11-23T14:30:00.1234567Z"],
    "duration": ["P3D", "PT12H", "P1Y2M3DT4H5M6S", "P2W"],
    "email": ["name@example.com", "o'brien+tag@sub.example.org"],
    "hostname": ["example.com", "localhost"],
    "ipv4": ["192.0.2.1"],
    "ipv6": ["2001:db8::1", "::"],
    "uri": ["https://example.com/a?b#c", "s3://bucket/key", "mailto:a@b.example", "urn:x:y"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
}  # fmt: skip
INVALID: dict[str, list[str]] = {
    "date": ["2026-02-30", "20261123", "2026-W48-1", "2026-11-23T00:00:00Z", "",
             "\u0662\u0660\u0662\u0666-11-23"],
    "time": ["14:30:00", "25:00:00Z", "14:30Z", "14:30:00+99:00"],
    "date-time": ["2026-11-23T14:30:00", "2026-11-23 14:30:00Z", "2026-11-23",
                  "2026-13-01T00:00:00Z"],
    "duration": ["P", "PT", "3D", "P1.5D", "P1DT"],
    "email": ["name", "@example.com", "a@b@example.com", "a b@example.com", "a@-x.com",
              "a@x\n.com"],
    "hostname": ["-a.com", "a..b", "a_b.com", "x" * 64 + ".com", "a.com."],
    "ipv4": ["192.0.2.256", "127.1", "192.0.2.01"],
    "ipv6": ["2001:db8::g", "fe80::1%eth0", "192.0.2.1"],
    "uri": ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "vbscript:x", "/relative",
            "https://", "https://a b", "no scheme", "https://[::1"],
    "uuid": ["123e4567e89b12d3a456426614174000", "x"],
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_each_format_takes_what_it_means_and_nothing_else(name: str) -> None:
    checker = json_schema.validator(normal(field(format=name)))
    assert [text for text in VALID[name] if not checker.is_valid({"a": text})] == []
    assert [text for text in INVALID[name] if checker.is_valid({"a": text})] == []
    assert checker.is_valid({"a": 5})


def test_money_is_a_multiple_of_a_cent() -> None:
    checker = json_schema.validator(normal(field(multipleOf=0.01)))
    assert all(checker.is_valid({"a": value}) for value in (19.99, 0.3, 1e-2, 0, 1e300, "text"))


def test_catastrophic_patterns_are_harmless_and_long_texts_bounded() -> None:
    schema = normal(form(a={"pattern": "^(a+)+$"}, b={"pattern": "[ab]*a[ab]{900}c"}))
    started = time.monotonic()
    with pytest.raises(InvalidInput):
        json_schema.check_data(schema, {"a": "a" * 19_999 + "!", "b": "ab" * 10_000})
    assert time.monotonic() - started < 0.5
    found = faults(schema, {"a": "a" * 50_000})
    assert "at most 20000 characters" in found["/a"]


def test_uniqueness_of_many_objects_is_judged_quickly() -> None:
    schema = normal(field(type="array", uniqueItems=True))
    started = time.monotonic()
    json_schema.check_data(schema, {"a": [{"n": n} for n in range(20_000)]})
    assert time.monotonic() - started < 2


def test_no_validator_ever_fetches_a_schema() -> None:
    with serve() as server:
        checker = json_schema.validator({"$ref": server.url})
        with pytest.raises(Unresolvable):
            checker.is_valid({})
    assert server.connections == 0


# --- edits --------------------------------------------------------------------------------------

EDITABLE = form(
    to={"type": "string"},
    amount={"type": "number"},
    id={"type": "string", "readOnly": True},
    meta={"type": "object", "readOnly": True},
    house=form(city={"type": "string"}, zip={"readOnly": True}),
    rows={"type": "array", "items": form(sku={"readOnly": True}, n={"type": "integer"})},
    free={"type": "object"},
)
DATA: dict[str, Any] = {
    "to": "a",
    "amount": 10.0,
    "id": "x",
    "meta": {"k": [1]},
    "house": {"city": "Rome", "zip": 1, "hidden": True},
    "rows": [{"sku": "s", "n": 1}],
    "free": {"a": 1},
    "secret": "s",
}


def edit(**changes: Any) -> dict[str, Any]:
    """The data with some fields replaced; None removes one."""
    return {key: value for key, value in (DATA | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("edited", "place"),
    [
        (edit(id="y"), "/id"),
        (edit(id=None), "/id"),
        (edit(meta={"k": [2]}), "/meta"),
        (edit(secret="t"), "/secret"),
        (edit(secret=None), "/secret"),
        (edit(injected=1), "/injected"),
        (edit(house={"city": "Rome", "zip": 2, "hidden": True}), "/house/zip"),
        (edit(house={"city": "Rome", "zip": 1}), "/house/hidden"),
        (edit(house={"city": "Rome", "zip": 1, "hidden": 1}), "/house/hidden"),
        (edit(house=None), "/house/zip"),
        (edit(rows=[{"sku": "t", "n": 1}]), "/rows/0/sku"),
        (edit(rows=[{"sku": "s", "n": 1, "x": 1}]), "/rows/0/x"),
        (edit(amount="10"), "/amount"),
        (edit(rows=[{"sku": "s", "n": "1"}]), "/rows/0/n"),
        ("text", "/id"),
    ],
)
def test_edits_of_locked_places_or_of_another_type_are_refused(edited: Any, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        json_schema.check_edit(normal(EDITABLE), DATA, edited, root="/responseData")
    assert caught.value.errors[0].pointer == f"/responseData{place}"


@pytest.mark.parametrize(
    "edited",
    [
        DATA,
        edit(amount=10),
        edit(to="b", amount=11.5),
        edit(to=None),
        edit(house={"city": "Oslo", "zip": 1, "hidden": True}),
        edit(rows=[{"sku": "s", "n": 2}]),
        edit(free={"b": [1, 2]}),
    ],
)
def test_edits_of_open_places_are_taken(edited: Any) -> None:
    json_schema.check_edit(normal(EDITABLE), DATA, edited)


def test_data_without_a_form_cannot_be_edited() -> None:
    with pytest.raises(InvalidInput, match="no form"):
        json_schema.check_edit(None, DATA, DATA)


@given(schemas.pairs())
def test_data_is_always_an_edit_of_itself_if_it_fits(pair: tuple[dict[str, Any], Any]) -> None:
    schema, data = normal(pair[0]), pair[1]
    if json_schema.validator(schema).is_valid(data):
        json_schema.check_edit(schema, data, canonical.loads(canonical.dumps(data)))
