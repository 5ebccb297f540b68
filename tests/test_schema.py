"""The OpenAPI document: valid, complete, current, and its examples are true to it."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from workflows.api import errors, urls

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"
DOCUMENT = "urn:openapi"
NOT_OPERATIONS = {"api/schema/", "api/docs/"}


@pytest.fixture(scope="module")
def text() -> str:
    output = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output)
    return output.getvalue()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_file_is_current(text: str) -> None:
    assert FILE.read_text() == text, "docs/openapi.yaml is out of date: run `make schema`"


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_path_of_ours_is_in_it(document: dict[str, Any]) -> None:
    routes = {str(pattern.pattern) for pattern in urls.urlpatterns} - NOT_OPERATIONS
    named = {re.sub("<str:([a-z]+)_id>", r"{\1Id}", f"/{route}") for route in routes}
    named = {path.replace("<str:seq>", "{seq}") for path in named}
    assert set(document["paths"]) == named


def test_no_other_path_looks_like_ours() -> None:
    """Everything under /api/ is declared in one place, so that nothing escapes the document."""
    found = [str(each.pattern) for each in get_resolver().url_patterns]
    assert not [route for route in found if route.startswith("api")]


def test_every_operation_explains_itself(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert len(operation["description"]) > 20, name
        assert len(operation["tags"]) == 1, name
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
        body = operation.get("requestBody", {}).get("content", {})
        for content in body.values():
            assert content["examples"], name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            assert all(each["examples"] for each in answer.get("content", {}).values()), name


def test_every_operation_names_its_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        statuses = set(operation["responses"])
        assert "500" in statuses, name
        if operation["security"] != [{}]:
            assert {"400", "401", "403", "503"} <= statuses, name
        if "{workflowId}" in name:
            assert "404" in statuses, name
        if "requestBody" in operation:
            assert {"413", "415"} <= statuses, name
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                assert set(answer["content"]) == {errors.MEDIA_TYPE}, (name, status)


def test_credentials_are_declared(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {"apiKey", "apiKeyHeader", "jwt", "jwtCookie", "session"}
    by_id = {operation["operationId"]: operation for _, operation in operations(document)}

    def who(name: str) -> set[str]:
        return {scheme for each in by_id[name]["security"] for scheme in each}

    assert who("decideWorkflow") == {"jwt", "jwtCookie", "session"}
    assert who("createWorkflow") == {"apiKey", "apiKeyHeader", "jwt", "jwtCookie"}
    assert who("getWorkflow") == set(schemes)
    assert by_id["ping"]["security"] == [{}]


def test_examples_are_true(document: dict[str, Any]) -> None:
    registry: Any = Registry().with_resource(
        DOCUMENT, Resource.from_contents(document, default_specification=DRAFT202012)
    )

    def check(name: str, content: dict[str, Any]) -> None:
        validator = Draft202012Validator(_anchored(content["schema"]), registry=registry)
        for title, example in content["examples"].items():
            found = [error.message for error in validator.iter_errors(example["value"])]
            assert not found, (name, title, found)

    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            check(name, content)
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                check(name, content)


def test_every_code_is_explained(document: dict[str, Any]) -> None:
    for code in errors.PROBLEMS:
        assert f"`{code}`" in document["info"]["description"]


class TestPages:
    def test_the_document_can_be_had_in_two_forms(self, document: dict[str, Any]) -> None:
        client = Client()
        plain = client.get("/api/schema/")
        assert yaml.safe_load(plain.content)["paths"] == document["paths"]
        assert client.get("/api/schema/?format=json").json()["paths"] == document["paths"]
        missing = client.get("/api/schema/?format=xml")
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")

    def test_the_page_obeys_the_strict_policy(self) -> None:
        """No inline script or style; everything comes from here."""
        answer = Client().get("/api/docs/")
        html = answer.content.decode()
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html)
        sources = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert sources
        assert all(source.startswith("/") for source in sources)

    def test_its_script_is_served_apart(self) -> None:
        html = Client().get("/api/docs/").content.decode()
        script = next(source for source in re.findall(r'src="([^"]+)"', html) if "script" in source)
        answer = Client().get(script)
        assert answer.headers["Content-Type"].startswith("application/javascript")
        assert b"/api/schema/" in answer.content


def _anchored(schema: Any) -> Any:
    """The schema with its references pointing into the document."""
    return {"$ref": DOCUMENT + schema["$ref"]} if "$ref" in schema else schema
