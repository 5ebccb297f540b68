"""What a browser posts for a form that nobody touched, and with some fields changed."""

import re
from typing import Any

from workflows import json_schema
from workflows.forms import Field, Form, build, parse

Post = dict[str, list[str]]


def untouched(form: Form) -> Post:
    """Name → values, as a browser without script sends them."""
    post: Post = {}
    for field in form.fields():
        if not field.read_only:
            post[field.name] = values_of(field)
        if field.states:
            post[field.state_name] = [one.value for one in field.states if one.is_selected]
    return post


def values_of(field: Field) -> list[str]:
    """The values of one control. An input loses line ends; a textarea makes each of them CRLF."""
    if field.widget == "text":
        assert not re.search("[\r\n]", field.value)
        return [field.value]
    if field.widget == "textarea":
        parsed = re.sub("\r\n|\r", "\n", field.textarea_value).removeprefix("\n")
        return [parsed.replace("\n", "\r\n")]
    if field.widget == "checkbox":
        return ["", field.value] if field.is_checked else [""]
    selected = [choice.value for choice in field.choices if choice.is_selected]
    if field.widget == "checkboxes":
        return ["", *selected]
    assert len(selected) == 1, "a select without a selected option posts its first one"
    return selected


def normal(schema: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a schema."""
    result = json_schema.normalise(schema)
    assert result is not None
    return result


def field_of(schema: dict[str, Any], data: Any, place: str) -> Field:
    """The field at a pointer."""
    (found,) = [one for one in build(normal(schema), data).fields() if one.pointer == place]
    return found


def posted(schema: dict[str, Any], data: Any, **changes: str | list[str] | None) -> Any:
    """The data after somebody changed some top-level fields (None leaves one out of the post).

    `state_x` sets the state control of the field x.
    """
    post = untouched(build(normal(schema), data))
    for key, value in changes.items():
        name = f"s/{key.removeprefix('state_')}" if key.startswith("state_") else f"f/{key}"
        post.pop(name, None)
        if value is not None:
            post[name] = [value] if isinstance(value, str) else value
    return parse(normal(schema), data, post)
