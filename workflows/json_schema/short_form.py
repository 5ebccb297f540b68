"""The short form `{"fields": [...]}` written out as a JSON Schema.

A field: `{"name", "type"?, "label"?, "help"?, "required"?, "readOnly"?, "default"?, "options"?,
"min"?, "max"?, "minLength"?, "maxLength"?, "pattern"?, "fields"?}`. `type` is one of TYPES and
defaults to `select` where there are options, else to `string`. `options` are plain values or
`{"value", "label"}`. A `group` has `fields` of its own; so may a `list`, whose items are else text.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

from hitl.lib import pointer
from hitl.lib.errors import FieldError, InvalidInput

TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "text": {"type": "string", "x-widget": "textarea"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "select": {"x-widget": "select"},
    "radio": {"x-widget": "radio"},
    "multiselect": {"type": "array", "uniqueItems": True},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "datetime": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "list": {"type": "array", "items": {"type": "string"}},
    "group": {"type": "object"},
    "json": {"x-widget": "json"},
}
RENAMED = {
    "label": "title", "help": "description", "min": "minimum", "max": "maximum",
    "default": "default", "readOnly": "readOnly", "minLength": "minLength",
    "maxLength": "maxLength", "pattern": "pattern",
}  # fmt: skip
_FIELD_KEYS = frozenset({"name", "type", "required", "options", "fields", *RENAMED})
_FORM_KEYS = frozenset({"fields", "title", "description"})
_MAX_NAME = 200


def is_short(schema: dict[str, Any]) -> bool:
    """Whether this is the short form: `fields` is no keyword of JSON Schema."""
    return "fields" in schema


def expand(form: dict[str, Any], root: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """The schema, and where each part of it came from (pointer in the schema → in the form).

    Raises InvalidInput. Keywords the schema shares with the form are judged there, not here.
    """
    _only(form, _FORM_KEYS, root)
    origins: dict[str, str] = {}
    schema = _object(form, root, "", origins)
    return {
        **{key: form[key] for key in ("title", "description") if key in form},
        **schema,
    }, origins


def origin_of(place: str, origins: dict[str, str], root: str = "") -> str:
    """Where in the form the part of the schema at `place` came from."""
    parts = pointer.split(place)
    for length in range(len(parts), -1, -1):
        origin = origins.get(pointer.join("", *parts[:length]))
        if origin is not None:
            return pointer.join(origin, *parts[length:])
    return root + place


def _object(form: dict[str, Any], place: str, at: str, origins: dict[str, str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for here, field in _fields(form, place):
        name = _name(field, here, properties)
        target = pointer.join(at, "properties", name)
        origins[target] = here
        properties[name] = _field(field, here, target, origins)
        if _flag(field, "required", here):
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _fields(form: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    fields = form["fields"]
    if not isinstance(fields, list) or not fields:
        _refuse(pointer.join(place, "fields"), "Must be a list of at least one field.")
    for index, field in enumerate(fields):
        here = pointer.join(place, "fields", index)
        if not isinstance(field, dict):
            _refuse(here, "A field is an object with a name and a type.")
        _only(field, _FIELD_KEYS, here)
        yield here, field


def _name(field: dict[str, Any], here: str, taken: dict[str, Any]) -> str:
    name = field.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        _refuse(pointer.join(here, "name"), f"Must be a text of 1 to {_MAX_NAME} characters.")
    if name in taken:
        _refuse(pointer.join(here, "name"), "Another field has this name.")
    return name


def _field(
    field: dict[str, Any], here: str, target: str, origins: dict[str, str]
) -> dict[str, Any]:
    kind = field.get("type", "select" if "options" in field else "string")
    if not isinstance(kind, str) or kind not in TYPES:
        _refuse(pointer.join(here, "type"), f"Must be one of: {', '.join(TYPES)}.")
    schema = dict(TYPES[kind])
    for ours, theirs in RENAMED.items():
        if ours in field:
            schema[theirs] = field[ours]
            origins[pointer.join(target, theirs)] = pointer.join(here, ours)
    if "options" in field or kind in ("select", "radio", "multiselect"):
        origins[pointer.join(target, "enum")] = pointer.join(here, "options")
        choices = _options(field.get("options"), pointer.join(here, "options"))
        schema |= {"items": choices} if schema.get("type") == "array" else choices
    if "fields" in field or kind == "group":
        schema |= _nested(field, kind, here, target, origins)
    return schema


def _nested(
    field: dict[str, Any], kind: str, here: str, target: str, origins: dict[str, str]
) -> dict[str, Any]:
    if kind not in ("group", "list"):
        _refuse(pointer.join(here, "fields"), "Only a group or a list has fields of its own.")
    if kind == "group":
        return _object({"fields": field.get("fields")}, here, target, origins)
    return {"items": _object(field, here, pointer.join(target, "items"), origins)}


def _options(options: Any, here: str) -> dict[str, Any]:
    if not isinstance(options, list) or not options:
        _refuse(here, "Must be a list of at least one option.")
    values: list[Any] = []
    labels: list[str] = []
    for index, option in enumerate(options):
        if isinstance(option, dict):
            _only(option, frozenset({"value", "label"}), pointer.join(here, index))
            if "value" not in option:
                _refuse(pointer.join(here, index), "An option needs a value.")
            option, label = option["value"], option.get("label")
        else:
            label = None
        values.append(option)
        labels.append(label if isinstance(label, str) else "")
    return {"enum": values, "x-labels": labels} if any(labels) else {"enum": values}


def _flag(field: dict[str, Any], key: str, here: str) -> bool:
    value = field.get(key, False)
    if not isinstance(value, bool):
        _refuse(pointer.join(here, key), "Must be true or false.")
    return value


def _only(given: dict[str, Any], known: frozenset[str], here: str) -> None:
    for key in given:
        if key not in known and not key.startswith("x-"):
            names = ", ".join(sorted(known))
            _refuse(pointer.join(here, key), f"This is not known here; known are: {names}.")


def _refuse(place: str, message: str) -> NoReturn:
    raise InvalidInput(f"The form is not usable: {message}", [FieldError(place, message)])
