"""Hypothesis strategies: schemas agents might send, and data that fits, or nearly fits, them."""

from typing import Any

from hypothesis import strategies as st

from tests.lib import strategies

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
nasty_texts = st.sampled_from(
    ["", " ", "a", "two\nlines", "cr\r\nlf", "lone\rcr", "\nleading", "trailing\n", "10", "null",
     "true", "<b>", '"', "\u202ertl", "a\u00a0b", "2026-11-23", "x" * 300]
)  # fmt: skip
texts = nasty_texts | strategies.texts
leaf_schemas: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "x-widget": "textarea"},
            {"type": "string", "minLength": 1},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "email"},
            {"type": "string", "format": "date-time"},
            {"type": ["string", "null"]},
            {"type": "number"},
            {"type": "integer", "minimum": 0},
            {"type": ["integer", "null"]},
            {"type": "boolean"},
            {"type": ["boolean", "null"]},
            {"type": "boolean", "x-widget": "radio"},
            {"type": "null"},
            {"enum": ["a", "b", 1, 1.5, True, None, [1], {"k": "v"}]},
            {"enum": ["1", 1, "true", True], "x-widget": "radio"},
            {"const": "fixed"},
            {"type": "string", "readOnly": True},
            {"type": "object"},
            {"type": "array"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "number"}},
            {"type": "array", "items": {"type": "integer"}, "x-widget": "textarea"},
            {"type": "array", "items": {"enum": ["x", "y", 3]}, "uniqueItems": True},
            {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            {"anyOf": [{"type": "string"}, {"type": "number"}]},
            {"x-widget": "json"},
            {},
        ]
    ),
    st.builds(lambda title: {"type": "string", "title": title}, names),
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Object schemas over these, some fields required, some objects locked."""
    return st.builds(
        lambda properties, required, locked, nullable: {
            "type": ["object", "null"] if nullable else "object",
            "properties": properties,
            "required": [name for name in properties if name in required],
            **({"readOnly": True} if locked else {}),
        },
        st.dictionaries(names, inner, max_size=4),
        st.sets(names),
        st.integers(0, 9).map(lambda n: n == 0),
        st.integers(0, 9).map(lambda n: n == 0),
    )


def arrays(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Lists of these."""
    return st.builds(lambda items: {"type": "array", "items": items}, inner)


nested = st.recursive(leaf_schemas, lambda inner: objects(inner) | arrays(inner), max_leaves=6)
roots = st.dictionaries(names, nested, min_size=1, max_size=5).map(
    lambda properties: {"type": "object", "properties": properties}
)


@st.composite
def data_for(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Data for a schema: mostly fitting, now and then of another type, fields missing or added."""
    if draw(st.integers(0, 11)) == 0:
        return draw(strategies.values)
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    kinds = schema.get("type", draw(st.sampled_from(["string", "number", "object"])))
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds
    if kind == "object":
        return draw(_object_for(schema))
    if kind == "array":
        return draw(st.lists(data_for(schema.get("items", {})), max_size=3))
    return draw(_SCALARS[kind])


@st.composite
def _object_for(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    members = {
        name: draw(data_for(child))
        for name, child in schema.get("properties", {}).items()
        if draw(st.integers(0, 4))
    }
    return members | draw(st.dictionaries(names, strategies.values, max_size=1))


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "number": strategies.integers | strategies.floats,
    "integer": strategies.integers,
    "boolean": st.booleans(),
    "null": st.none(),
}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A schema and data for it; the data is an object, as action data is."""
    schema = draw(roots)
    return schema, draw(_object_for(schema))
