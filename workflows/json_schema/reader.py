"""One pass over a schema document: allow-listed keywords, references written out, order kept.

Invariant: it visits at most MAX_NODES parts, so it ends whatever the references say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import unquote

from hitl.lib import canonical, pointer
from hitl.lib.errors import FieldError
from workflows.json_schema import keywords
from workflows.json_schema.alternatives import labelled, nullable
from workflows.json_schema.single import faults_of


class _Stop(Exception):
    """Too big, too deep or too wrong: reading on would only find more of the same."""


@dataclass(frozen=True)
class _At:
    """Where the reader is, how deep, and through which references it came."""

    place: str = ""
    depth: int = 1
    refs: tuple[str, ...] = ()

    def beside(self, *tokens: str | int) -> "_At":
        """A part of the same level."""
        return replace(self, place=pointer.join(self.place, *tokens))

    def below(self, *tokens: str | int) -> "_At":
        """A part of the next level."""
        return replace(self.beside(*tokens), depth=self.depth + 1)


class Reader:
    """Reads one document; what is wrong with it is collected in `errors`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.errors: list[FieldError] = []
        self._nodes = 0
        self._fields = 0

    def read_root(self) -> dict[str, Any]:
        """The normal form; meaningful only while there are no errors."""
        try:
            return self._root()
        except _Stop:
            return {}

    def _root(self) -> dict[str, Any]:
        dialect = self.document.get("$schema", "")
        if dialect and str(dialect).rstrip("#") not in keywords.DIALECTS:
            self._fault("/$schema", "Use JSON Schema 2020-12.")
        normal = self._read(self.document, _At())
        if normal.get("type") != "object" and not self.errors:
            self._fault("/type", "A form describes an object: set type to object.")
        elif not self.errors and len(canonical.dumps(normal)) > keywords.MAX_BYTES:
            self._fault("", f"Written out, the schema is larger than {keywords.MAX_BYTES} bytes.")
        return normal

    def _fault(self, place: str, message: str) -> None:
        self.errors.append(FieldError(place, message))
        if len(self.errors) >= keywords.MAX_ERRORS:
            raise _Stop

    def _stop(self, at: _At, message: str) -> NoReturn:
        self.errors.append(FieldError(at.place, message))
        raise _Stop

    def _judge(self, node: Mapping[str, Any], at: _At) -> None:
        for key, message in faults_of(node):
            self._fault(pointer.join(at.place, key), message)

    def _read(self, schema: Any, at: _At) -> dict[str, Any]:
        self._nodes += 1
        if self._nodes > keywords.MAX_NODES:
            self._stop(at, f"The schema has more than {keywords.MAX_NODES} parts.")
        if max(at.depth, len(at.refs)) > keywords.MAX_DEPTH:
            self._stop(at, f"Nested deeper than {keywords.MAX_DEPTH} levels.")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            self._fault(at.place, "A schema is a JSON object.")
            return {}
        if "$ref" in schema:
            return self._overlay(self._referenced(schema["$ref"], at), schema, "$ref", at)
        if "allOf" in schema:
            return self._overlay(self._only_part(schema["allOf"], at), schema, "allOf", at)
        return self._plain(schema, at)

    def _referenced(self, ref: Any, at: _At) -> dict[str, Any]:
        here = pointer.join(at.place, "$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            self._fault(here, "Only references within this schema are followed, like #/$defs/x.")
        elif ref in at.refs or ref == "#":
            self._fault(here, "The reference leads back to itself. Write the levels out.")
        elif (target := self._resolve(ref)) is None:
            self._fault(here, "There is nothing at this reference.")
        else:
            return self._read(target, replace(at, refs=(*at.refs, ref)))
        return {}

    def _resolve(self, ref: str) -> Any:
        here: Any = self.document
        for part in pointer.split(unquote(ref[1:])) if ref.startswith("#/") else [""]:
            here = here.get(part) if isinstance(here, dict) else None
        return here

    def _only_part(self, parts: Any, at: _At) -> dict[str, Any]:
        if isinstance(parts, list) and len(parts) == 1:
            return self._read(parts[0], at.below("allOf", 0))
        self._fault(pointer.join(at.place, "allOf"), "Merge these into one schema.")
        return {}

    def _overlay(
        self, node: dict[str, Any], schema: dict[str, Any], keyword: str, at: _At
    ) -> dict[str, Any]:
        """The schema referred to, under the title, default and so on of the place that refers."""
        for key in schema:
            known = key == keyword or key in keywords.ANNOTATIONS | keywords.DROPPED
            if not known and not key.startswith("x-"):
                message = f"Beside {keyword} stand only title, description, default and readOnly."
                self._fault(pointer.join(at.place, key), message)
        own = {key: value for key, value in schema.items() if key in keywords.ANNOTATIONS}
        self._judge(own, at)
        return node | own

    def _plain(self, schema: dict[str, Any], at: _At) -> dict[str, Any]:
        self._refuse_unknown(schema, at)
        node = {key: value for key, value in schema.items() if key in keywords.KEPT}
        if isinstance(node.get("format"), str):
            node["format"] = keywords.FORMAT_ALIASES.get(node["format"], node["format"])
        self._judge(node, at)
        if "properties" in schema or node.get("type") == "object":
            node = {"type": "object", **node, **self._properties(schema, at)}
        if "items" in schema:
            node = {
                "type": "array",
                **node,
                "items": self._read(schema["items"], at.below("items")),
            }
        if "additionalProperties" in schema:
            node["additionalProperties"] = self._additional(schema["additionalProperties"], at)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                node = self._alternatives(node, keyword, schema[keyword], at)
        return node

    def _refuse_unknown(self, schema: dict[str, Any], at: _At) -> None:
        for key in schema:
            if key not in keywords.SUPPORTED and not key.startswith("x-"):
                message = "This keyword is not supported in forms. Remove it."
                self._fault(pointer.join(at.place, key), message)

    def _additional(self, given: Any, at: _At) -> Any:
        if isinstance(given, bool):
            return given
        return self._read(given, at.below("additionalProperties"))

    def _properties(self, schema: dict[str, Any], at: _At) -> dict[str, Any]:
        given, here = schema.get("properties", {}), at.beside("properties")
        if not isinstance(given, dict):
            self._fault(here.place, "Must be an object with a schema for each field.")
            return {}
        self._fields += len(given)
        if self._fields > keywords.MAX_FIELDS:
            self._stop(here, f"The form has more than {keywords.MAX_FIELDS} fields.")
        order = self._order(schema.get("x-order", []), given, at)
        fields = {name: self._read(given[name], here.below(name)) for name in order}
        return {"properties": fields, "x-order": order}

    def _order(self, wanted: Any, given: dict[str, Any], at: _At) -> list[str]:
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            self._fault(pointer.join(at.place, "x-order"), "Must be a list of field names.")
            return list(given)
        return [*(name for name in dict.fromkeys(wanted) if name in given)] + [
            name for name in given if name not in wanted
        ]

    def _alternatives(
        self, node: dict[str, Any], keyword: str, given: Any, at: _At
    ) -> dict[str, Any]:
        here = at.beside(keyword)
        if not isinstance(given, list) or not given:
            self._fault(here.place, "Must be a list of schemas.")
            return node
        if (choices := labelled(given)) is not None:
            self._judge(choices, here)
            return node | choices
        if len(given) > keywords.MAX_ALTERNATIVES:
            self._stop(here, f"There are more than {keywords.MAX_ALTERNATIVES} alternatives.")
        read = [self._read(one, here.below(index)) for index, one in enumerate(given)]
        simple = nullable(read) if node.keys() <= keywords.ANNOTATIONS else None
        return node | {keyword: read} if simple is None else simple | node
