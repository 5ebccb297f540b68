"""Everything that goes wrong under the API is a problem document (RFC 9457)."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.test import Client
from rest_framework import exceptions

from hitl.lib.errors import FieldError, HitlError, InvalidInput
from tests.workflows.api.callers import WORKFLOWS, Caller, code
from workflows.api import errors

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "requestId"}


OURS = ("workflows.errors", "workflows.idempotency", "workflows.api.errors", "workflows.executions")


def is_problem(answer: Any, status: int, expected: str) -> bool:
    content = answer.json()
    return (
        answer.status_code == content["status"] == status
        and answer.headers["Content-Type"] == "application/problem+json"
        and content["code"] == expected
        and content["type"] == f"urn:hitl:problem:{expected}"
        and content["title"] == errors.PROBLEMS[expected].title
        and set(content) >= MEMBERS
        and answer.headers["X-Request-Id"] == content["requestId"]
        and answer.headers["Cache-Control"] == "no-store"
    )


class TestOutsideTheViews:
    @pytest.mark.parametrize(
        "path",
        ["/api/", "/api/v1", "/api/v1/", "/api/v1/workflows/", "/api/v1/nothing", "/api/..",
         f"/api/v1/workflows/{uuid4()}/nothing", "/api/%00", "/api/%F0%9F%92%A9", "/api//",
         "/api/v2/workflows"],
    )  # fmt: skip
    def test_unknown_paths(self, nobody: Caller, path: str) -> None:
        answer = nobody.get(path)
        assert is_problem(answer, 404, "not-found")

    def test_unknown_paths_look_the_same_with_debug(self, nobody: Caller, settings: Any) -> None:
        settings.DEBUG = True
        assert is_problem(nobody.get("/api/v1/nothing"), 404, "not-found")
        assert is_problem(nobody.post("/api/v1/nothing"), 404, "not-found")

    def test_pages_of_people_keep_their_own(self, nobody: Caller) -> None:
        answer = nobody.get("/nothing-of-the-kind/")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")

    def test_wrong_host(self, db: None) -> None:
        answer = Client(headers={"host": "evil.example"}).get(WORKFLOWS)
        assert is_problem(answer, 400, "validation")
        assert "evil" not in answer.content.decode()

    def test_instance_is_the_path_unless_it_is_long(self, nobody: Caller) -> None:
        assert nobody.get("/api/a%20b?x=1").json()["instance"] == "/api/a%20b"
        assert "instance" not in nobody.get("/api/" + "a" * 1000).json()


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("DELETE", WORKFLOWS, "GET, POST, HEAD"),
            ("PUT", f"{WORKFLOWS}/{uuid4()}", "GET, HEAD"),
            ("PATCH", f"{WORKFLOWS}/{uuid4()}", "GET, HEAD"),
            ("OPTIONS", WORKFLOWS, "GET, POST, HEAD"),
            ("TRACE", WORKFLOWS, "GET, POST, HEAD"),
            ("GET", f"{WORKFLOWS}/{uuid4()}/decide", "POST"),
            ("GET", "/workflows/create", "POST"),
            ("POST", "/ping", "GET, HEAD"),
            ("PROPFIND", "/api/v1/action-types", "GET, HEAD"),
        ],
    )
    def test_others_are_told_which(self, bot: Caller, method: str, path: str, allowed: str) -> None:
        answer = bot.client.generic(method, path, headers=bot.headers)
        assert is_problem(answer, 405, "method-not-allowed")
        assert answer.headers["Allow"] == allowed

    def test_head_is_get_without_a_body(self, bot: Caller) -> None:
        answer = bot.client.head(WORKFLOWS, headers=bot.headers)
        assert (answer.status_code, answer.content) == (200, b"")

    @pytest.mark.parametrize(
        "accept", ["text/html", "image/png", "application/xml", "x", "*/*;q=0"]
    )
    def test_accept_is_disregarded(self, bot: Caller, accept: str) -> None:
        assert bot.get(WORKFLOWS, Accept=accept).headers["Content-Type"] == "application/json"


class TestInsideTheViews:
    @pytest.fixture(autouse=True)
    def _loud(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)

    @pytest.fixture
    def broken(self, monkeypatch: Any) -> Any:
        """Lets a use case raise what it is given."""

        def set_error(error: Exception) -> None:
            def fail(*_: Any, **__: Any) -> None:
                raise error

            monkeypatch.setattr("workflows.selectors.visible_to", fail)

        return set_error

    def test_what_broke_is_logged_and_not_told(
        self, bot: Caller, broken: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken(RuntimeError("password=hunter2"))
        answer = bot.get(WORKFLOWS)
        assert is_problem(answer, 500, "internal")
        assert "hunter2" not in answer.content.decode()
        logged = next(line for line in caplog.records if line.name == errors.logger.name)
        assert logged.__dict__["request_id"] == answer.json()["requestId"]
        assert logged.exc_info

    @pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
    def test_a_database_that_is_down_says_come_back(
        self, bot: Caller, broken: Any, error: Exception
    ) -> None:
        broken(error)
        answer = bot.get(WORKFLOWS)
        assert is_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "2"

    @pytest.mark.parametrize(
        ("error", "status", "expected"),
        [
            (Http404(), 404, "not-found"),
            (PermissionDenied(), 403, "forbidden"),
            (SuspiciousOperation("secret"), 400, "validation"),
            (UnreadablePostError("cut"), 400, "validation"),
            (exceptions.ParseError("bad"), 400, "validation"),
            (exceptions.NotFound(), 404, "not-found"),
            (exceptions.Throttled(wait=11.4), 429, "rate-limited"),
            (exceptions.APIException("boom"), 500, "internal"),
            (exceptions.ValidationError({"a": ["b"]}), 400, "validation"),
        ],
    )
    def test_other_exceptions(
        self, bot: Caller, broken: Any, error: Exception, status: int, expected: str
    ) -> None:
        broken(error)
        answer = bot.get(WORKFLOWS)
        assert is_problem(answer, status, expected)
        assert "secret" not in answer.content.decode()

    def test_throttled_callers_are_told_when(self, bot: Caller, broken: Any) -> None:
        broken(exceptions.Throttled(wait=11.4))
        assert bot.get(WORKFLOWS).headers["Retry-After"] == "12"


class TestDocuments:
    def test_number_and_length_of_errors_are_bounded(self) -> None:
        found = [FieldError(f"/{n}", "x" * 5000) for n in range(1000)]
        content = errors.Problem("validation", "y" * 5000, found).document(path="/", request_id="1")
        assert len(content["errors"]) == errors.MAX_ERRORS
        assert len(str(content)) < 30_000

    @pytest.mark.parametrize(
        ("detail", "pointers"),
        [
            ({"a": ["x", "y"]}, ["/a", "/a"]),
            ({"a": {2: ["x"]}}, ["/a/2"]),
            ({"a": [{}, {"b": ["x"]}]}, ["/a/1/b"]),
            ({"a/b": ["x"], "c~d": ["x"]}, ["/a~1b", "/c~0d"]),
            ({"non_field_errors": ["x"]}, [""]),
            (["x"], [""]),
            ({"\x00\ud800": ["x"]}, ["/\\u0000\\ud800"]),
        ],
    )
    def test_serializer_errors_become_pointers(self, detail: Any, pointers: list[str]) -> None:
        assert [error.pointer for error in errors.field_errors(detail)] == pointers

    def test_every_error_we_raise_has_its_code_and_status_in_the_list(self) -> None:
        for kind in _all(HitlError):
            if kind.code in errors.PROBLEMS or kind.__module__ in OURS:
                assert errors.PROBLEMS[kind.code].status == kind.status, kind

    def test_codes_of_other_surfaces_are_told_too(self) -> None:
        class Gone(HitlError):
            code, status, title = "link-gone", 410, "The link is void"

        content = errors.from_exception(Gone()).document(path="/", request_id="1")
        assert (content["status"], content["title"]) == (410, "The link is void")

    def test_pointers_of_the_client_cannot_break_the_answer(self, bot: Caller) -> None:
        answer = bot.post(WORKFLOWS, b'{"\\ud800": 1, "' + b"k" * 5000 + b'": 2}')
        assert code(answer) == (400, "validation")
        assert len(answer.content) < 3000

    def test_sentence_is_the_first_error(self) -> None:
        problem = errors.from_exception(InvalidInput("Said so.", [FieldError("/a", "Wrong.")]))
        assert (problem.detail, problem.errors[0].pointer) == ("Said so.", "/a")


def _all(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _all(each)
