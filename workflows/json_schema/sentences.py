"""What a validator found, said so that the person or agent who wrote the data can mend it."""

from collections.abc import Callable
from typing import Any

from jsonschema import ValidationError

from hitl.lib import canonical, pointer
from hitl.lib.errors import FieldError
from hitl.lib.text import one_line
from workflows.json_schema import formats, patterns

_Sentence = Callable[[Any, Any], str]
"""From what the keyword wants and what is there."""

_TYPES = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_SHOWN_OPTIONS = 10
_SHOWN_CHARACTERS = 60


def explain(error: ValidationError, root: str = "") -> FieldError:
    """One error of the validator, at the place where something has to change."""
    keyword = str(error.validator)
    place = pointer.join(root, *error.relative_path)
    sentence = _SENTENCES.get(keyword)
    if sentence is None:
        return FieldError(place, "This value is not permitted.")
    code = {"required": "required", "additionalProperties": "unknown"}.get(keyword, "invalid")
    return FieldError(place, sentence(error.validator_value, error.instance), code)


def _type(wanted: Any, _: Any) -> str:
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return f"Must be {' or '.join(_TYPES.get(name, name) for name in names)}."


def _enum(wanted: Any, _: Any) -> str:
    options = [_shown(option) for option in wanted[:_SHOWN_OPTIONS]]
    rest = len(wanted) - len(options)
    return f"Must be one of: {', '.join(options)}{f' (and {rest} more)' if rest else ''}."


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else canonical.dumps(value).decode()
    return one_line(text, _SHOWN_CHARACTERS) or '""'


def _pattern(wanted: Any, instance: Any) -> str:
    if len(instance) > patterns.MAX_TEXT:
        return f"Must have at most {patterns.MAX_TEXT} characters, because it has to fit a pattern."
    return f"Must match the pattern {_shown(wanted)}"


def _at_least(unit: str) -> _Sentence:
    def sentence(wanted: Any, _: Any) -> str:
        return "Must not be empty." if wanted == 1 else f"Must have at least {wanted} {unit}."

    return sentence


def _at_most(unit: str) -> _Sentence:
    return lambda wanted, instance: f"Must have at most {wanted} {unit}; there are {len(instance)}."


def _than(words: str) -> _Sentence:
    return lambda wanted, _: f"Must be {words} {_shown(wanted)}."


def _plain(sentence: str) -> _Sentence:
    return lambda _, __: sentence


_SENTENCES: dict[str, _Sentence] = {
    "required": _plain("This field is required."),
    "additionalProperties": _plain("This field is not known here. Remove it."),
    "type": _type,
    "enum": _enum,
    "const": _than("exactly"),
    "format": lambda wanted, _: f"Must be {formats.EXAMPLES.get(wanted, wanted)}.",
    "pattern": _pattern,
    "minimum": _than("at least"),
    "maximum": _than("at most"),
    "exclusiveMinimum": _than("more than"),
    "exclusiveMaximum": _than("less than"),
    "multipleOf": _than("a multiple of"),
    "minLength": _at_least("characters"),
    "maxLength": _at_most("characters"),
    "minItems": _at_least("entries"),
    "maxItems": _at_most("entries"),
    "minProperties": _at_least("fields"),
    "maxProperties": _at_most("fields"),
    "uniqueItems": _plain("No entry may appear twice."),
    "anyOf": _plain("Fits none of the permitted forms."),
    "oneOf": _plain("Fits none, or more than one, of the permitted forms."),
}
