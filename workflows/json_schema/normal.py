"""Any schema an agent may send → one normal JSON Schema, or a refusal that names the place.

The normal form has no `$ref`, only allow-listed keywords, and `x-order` on every object (canonical
JSON sorts keys, people care about order). It is a tree of bounded size: whoever walks it ends.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from hitl.lib import canonical, pointer, strict_json
from hitl.lib.errors import FieldError, InvalidInput
from workflows.json_schema import keywords, short_form
from workflows.json_schema.checking import validator
from workflows.json_schema.reader import Reader
from workflows.json_schema.sentences import explain

# Without formats: the stock check of `pattern` would compile it with a backtracking engine.
_META = Draft202012Validator(
    Draft202012Validator.META_SCHEMA, format_checker=FormatChecker(formats=())
)


def normalise(ui_schema: Any, *, root: str = "") -> dict[str, Any] | None:
    """The normal form of a JSON Schema or of the short form; None for None and `{}`.

    Raises InvalidInput with pointers below `root`. The result normalises to itself.
    """
    if ui_schema is None or ui_schema == {}:
        return None
    _check_document(ui_schema, root)
    schema, origins = ui_schema, {"": root}
    if short_form.is_short(ui_schema):
        schema, origins = short_form.expand(ui_schema, root)
    reader = Reader(schema)
    normal = reader.read_root()
    errors = reader.errors or _first(_meta_errors(normal)) or _first(_bad_defaults(normal, ""))
    if errors:
        places = [short_form.origin_of(error.pointer, origins, root) for error in errors]
        raise _unusable(
            FieldError(place, error.message, error.code)
            for place, error in zip(places, errors, strict=True)
        )
    return normal


def _first(errors: Iterator[FieldError]) -> list[FieldError]:
    return list(islice(errors, keywords.MAX_ERRORS))


def _unusable(errors: Iterable[FieldError]) -> InvalidInput:
    found = list(errors)
    where = f" at {found[0].pointer}" if found[0].pointer else ""
    return InvalidInput(f"The form is not usable{where}: {found[0].message}", found)


def _check_document(document: Any, root: str) -> None:
    if not isinstance(document, dict):
        raise _unusable([FieldError(root, "A schema is a JSON object.")])
    try:
        strict_json.check(document)
    except InvalidInput as error:
        raise _unusable(
            FieldError(root + one.pointer, one.message) for one in error.errors
        ) from None
    if len(canonical.dumps(document)) > keywords.MAX_BYTES:
        message = f"The schema is larger than {keywords.MAX_BYTES} bytes."
        raise _unusable([FieldError(root, message)])


def _meta_errors(normal: dict[str, Any]) -> Iterator[FieldError]:
    for error in _META.iter_errors(normal):
        yield explain(error)


def _bad_defaults(node: dict[str, Any], place: str) -> Iterator[FieldError]:
    if "default" in node and not validator(node).is_valid(node["default"]):
        yield FieldError(pointer.join(place, "default"), "Does not fit the field's own schema.")
    for name, child in node.get("properties", {}).items():
        yield from _bad_defaults(child, pointer.join(place, "properties", name))
    if "items" in node:
        yield from _bad_defaults(node["items"], pointer.join(place, "items"))
