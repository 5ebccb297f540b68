"""The API's document is the source: what the client sends, reads and knows is what stands there.

Both ways: a field, word or code that one side has and the other has not fails here.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from hitl_client import errors, models, operations, vocabulary
from hitl_client.approval import Asking
from hitl_client.core import Core, Until
from hitl_client.operations import Operation

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.yaml").read_text()
)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
# The document calls some things otherwise; what is not here has one name.
NAMES = {
    "Checked": "CheckedReceipt",
    "Consumed": "ConsumedReceipt",
    "Event": "Event",
    "Type": "EventType",
    "Responder": "Person",
    "Execution": "ExecutionState",
}
NAMES |= {"Heartbeat": "Lease"}
OPERATIONS = pytest.mark.parametrize("operation", operations.ALL, ids=lambda each: each.id)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def parameters(operation: Operation, where: str) -> dict[str, Any]:
    rows = described(operation).get("parameters", [])
    return {row["name"]: row for row in rows if row["in"] == where}


def resolved(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of the component that a schema refers to, and its content; "" where it is inline."""
    options = [schema, *schema.get("allOf", []), *schema.get("oneOf", [])]
    name: str = next((each["$ref"] for each in options if "$ref" in each), "").rpartition("/")[2]
    return name, SCHEMAS.get(name, schema)


def classes(model: type[models.Model]) -> Iterator[type[models.Model]]:
    """The model and all within it."""
    yield model
    for hint in get_type_hints(model).values():
        for each in (hint, *get_args(hint)):
            if isinstance(each, type) and issubclass(each, models.Model) and each is not model:
                yield from classes(each)


def read_fields(model: type[models.Model]) -> dict[str, dataclasses.Field[Any]]:
    return {f.metadata["name"]: f for f in dataclasses.fields(model) if f.metadata}


@OPERATIONS
def test_the_operation_exists_under_its_name(operation: Operation) -> None:
    assert described(operation)["operationId"] == operation.id


@OPERATIONS
def test_it_sends_the_fields_that_are_described(operation: Operation) -> None:
    content = described(operation).get("requestBody", {}).get("content", {})
    _, schema = resolved(content["application/json"]["schema"]) if content else ("", {})
    assert set(operation.fields) == set(schema.get("properties", {}))
    assert set(operation.query) == set(parameters(operation, "query"))
    assert set(operation.headers) == set(parameters(operation, "header"))
    assert operation.path.count("{") == len(parameters(operation, "path"))


@OPERATIONS
def test_it_reads_the_answer_that_is_described(operation: Operation) -> None:
    [answer] = [
        each for code, each in described(operation)["responses"].items() if code.startswith("2")
    ]
    name, _ = resolved(answer["content"]["application/json"]["schema"])
    if operation.answer is None:
        assert name == "", "bytes, read by nobody but the caller"
    else:
        assert NAMES.get(name, name) == operation.answer.__name__


MODELS = {
    each for operation in operations.ALL if operation.answer for each in classes(operation.answer)
}


@pytest.mark.parametrize("model", sorted(MODELS, key=str))
def test_a_model_has_the_fields_that_are_described(model: type[models.Model]) -> None:
    wire = {own: name for name, own in NAMES.items()}.get(model.__name__, model.__name__)
    properties, required = SCHEMAS[wire]["properties"], set(SCHEMAS[wire].get("required", ()))
    mine = read_fields(model)
    assert set(mine) == set(properties)
    hints = get_type_hints(model)
    for name, field in mine.items():
        assert field.metadata["optional"] == (name not in required), name
        _assert_same_type(hints[field.name], properties[name], f"{wire}.{name}")


def _assert_same_type(hint: Any, schema: dict[str, Any], where: str) -> None:
    name, content = resolved(schema)
    kinds = [each for each in (hint, *get_args(hint)) if isinstance(each, type)]
    if name:
        assert NAMES.get(name, name) in [kind.__name__ for kind in kinds], where
    told = f"{schema.get('type')} {schema.get('oneOf')}".lower()
    if hint is not Any and not where.endswith(".email"):
        assert (type(None) in get_args(hint)) == ("null" in told), where
    if content.get("format") == "date-time":
        assert "datetime" in [kind.__name__ for kind in kinds], where


WORDS = [each for each in vars(vocabulary).values() if isinstance(each, type)]
WORDS = [
    each for each in WORDS if issubclass(each, vocabulary.Word) and each is not vocabulary.Word
]


@pytest.mark.parametrize("words", WORDS, ids=lambda each: each.__name__)
def test_the_words_are_those_of_the_document(words: type[vocabulary.Word]) -> None:
    wire = {own: name for name, own in NAMES.items()}.get(words.__name__, words.__name__)
    assert {str(each) for each in words} == set(SCHEMAS[wire]["enum"])


def test_every_list_of_words_that_is_read_is_known() -> None:
    used = set()
    for model in MODELS:
        wire = {own: name for name, own in NAMES.items()}.get(model.__name__, model.__name__)
        for schema in SCHEMAS[wire]["properties"].values():
            name, content = resolved(schema)
            if "enum" in content and name:
                used.add(NAMES.get(name, name))
    assert used == {each.__name__ for each in WORDS}


def test_the_ends_of_a_wait_are_those_of_the_document() -> None:
    until = parameters(operations.GET, "query")["until"]["schema"]
    assert set(get_args(Until)) == set(until["enum"])
    assert parameters(operations.GET, "query")["wait"]["schema"]["maximum"] >= 30


def test_every_code_has_its_exception_with_the_status_of_the_document() -> None:
    rows = re.findall(r"\| `([a-z-]+)` \| (\d+) \|", DOCUMENT["info"]["description"])
    assert dict.fromkeys(errors.CODES) == dict.fromkeys(code for code, _ in rows)
    for code, status in rows:
        kind = errors.STATUSES.get(int(status), errors.ServerError)
        assert issubclass(errors.CODES[code], kind), code


def test_the_problem_is_read_as_described() -> None:
    read = {"type", "title", "status", "detail", "instance", "code", "requestId", "errors"}
    assert set(SCHEMAS["Problem"]["properties"]) == read | {"workflowStatus"}
    mine = {field.name for field in dataclasses.fields(errors.FieldError)}
    assert set(SCHEMAS["FieldError"]["properties"]) == mine


def test_everything_that_can_be_asked_has_a_parameter() -> None:
    """`ask` names what `createWorkflow` takes, `requires_approval` passes it on."""
    own = {"self", "action_type", "action_data", "idempotency_key"}
    names = set(inspect.signature(Core.ask).parameters) - own
    wire = {re.sub("_(.)", lambda found: found[1].upper(), name) for name in names}
    sent = set(operations.CREATE.fields) - {"actionType", "actionData"}
    assert wire - {"expiresIn"} == sent - {"timeoutSeconds"}
    assert set(Asking.__annotations__) == names - {"name", "expires_at"}
