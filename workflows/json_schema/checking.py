"""Data held against a schema: by the validator, and edits against what may be edited.

Nothing here opens a network connection or runs a backtracking expression, whatever the schema.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from hitl.lib import canonical, pointer
from hitl.lib.errors import FieldError, InvalidInput
from workflows.json_schema import formats, patterns
from workflows.json_schema.sentences import explain

MAX_ERRORS = 50
_ABSENT = object()


def validator(schema: dict[str, Any]) -> Validator:
    """A Draft 2020-12 validator: RE2 for patterns, our formats, exact decimals, no network."""
    checker: Validator = _Checker(schema, format_checker=formats.CHECKER, registry=Registry())
    return checker


def check_data(schema: dict[str, Any], data: Any, *, root: str = "") -> None:
    """Raise InvalidInput listing what in `data` breaks the schema, with pointers below `root`."""
    found = validator(schema).iter_errors(data)
    _raise([explain(error, root) for error in islice(found, MAX_ERRORS)])


def check_edit(
    schema: dict[str, Any] | None, original: Any, edited: Any, *, root: str = ""
) -> None:
    """Raise InvalidInput unless `edited` fits the schema and differs only where it may.

    What is `readOnly`, and what the schema does not describe, must be as in `original`.
    """
    if schema is None:
        message = "This data has no form, so it cannot be edited."
        raise InvalidInput(message, [FieldError(root, message)])
    check_locked(schema, original, edited, root=root)
    check_data(schema, edited, root=root)


def check_locked(schema: dict[str, Any], original: Any, edited: Any, *, root: str = "") -> None:
    """The half of `check_edit` about what may not differ. Raises InvalidInput."""
    _raise(list(islice(_locked(schema, original, edited, root), MAX_ERRORS)))


def _raise(errors: list[FieldError]) -> None:
    if not errors:
        return
    first = errors[0]
    where = f"{first.pointer}: " if first.pointer else ""
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    raise InvalidInput(f"{where}{first.message}{more}", errors)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values have the same canonical form (10 and 10.0 have, 1 and true have not)."""
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return canonical.dumps(one) == canonical.dumps(other)


def _locked(node: dict[str, Any], old: Any, new: Any, place: str) -> Iterator[FieldError]:
    """Where `new` differs from `old` although the schema locks the place."""
    if node.get("readOnly") is True:
        if not is_same(old, new):
            yield FieldError(place, "This field cannot be changed.", "read-only")
    elif node.get("properties"):
        yield from _locked_fields(node, old, new, place)
    elif "items" in node and isinstance(old, list) and isinstance(new, list):
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from _locked(node["items"], before, after, pointer.join(place, index))


def _locked_fields(node: dict[str, Any], old: Any, new: Any, place: str) -> Iterator[FieldError]:
    known = node["properties"]
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name, _ABSENT), after.get(name, _ABSENT)
        here = pointer.join(place, name)
        if name in known:
            yield from _locked(known[name], was, now, here)
        elif not is_same(was, now):
            yield FieldError(here, "This is not part of the form; leave it as it is.", "read-only")


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not patterns.matches(pattern, instance):
        yield ValidationError("does not match")


def _unique(_: Validator, wanted: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    # The stock check compares every entry with every other.
    entries = instance if wanted and isinstance(instance, list) else []
    if len({canonical.dumps(entry) for entry in entries}) < len(entries):
        yield ValidationError("has duplicates")


def _multiple(_: Validator, step: float, instance: Any, __: Any) -> Iterator[ValidationError]:
    # The stock check divides floats, and finds that 19.99 is no multiple of 0.01.
    if isinstance(instance, bool) or not isinstance(instance, int | float):
        return
    if (Fraction(repr(instance)) / Fraction(repr(step))).denominator != 1:
        yield ValidationError("is not a multiple")


# The stock checks of these two put the place of the object on the error, not of the field.
def _required(_: Validator, names: list[str], instance: Any, __: Any) -> Iterator[ValidationError]:
    for name in names if isinstance(instance, dict) else ():
        if name not in instance:
            yield ValidationError("is missing", path=[name])


def _additional(
    checker: Any, extra: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    for name in instance if isinstance(instance, dict) else ():
        if name in schema.get("properties", {}):
            continue
        if extra is False:
            yield ValidationError("is unknown", path=[name])
        elif isinstance(extra, dict):
            yield from checker.descend(instance[name], extra, path=name)


_Checker: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "uniqueItems": _unique,
        "multipleOf": _multiple,
        "required": _required,
        "additionalProperties": _additional,
    },
)
