"""What a body must be to be read, and that it comes back as it was sent."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from hitl.lib import canonical
from tests.lib import strategies
from tests.workflows.api.callers import REQUEST, WORKFLOWS, Caller, code, places
from workflows.models import Workflow

LIMIT = settings.MAX_BODY_BYTES


def padded(size: int) -> bytes:
    """A good request of exactly so many bytes."""
    raw = json.dumps(REQUEST).encode()
    return raw[:-1] + b" " * (size - len(raw)) + raw[-1:]


class TestMediaType:
    @pytest.mark.parametrize(
        "kind",
        ["", "text/json", "text/plain", "application/x-www-form-urlencoded", "application/xml",
         "multipart/form-data; boundary=x", "application/json; charset=utf-16", "*/*",
         "application/*", "application/merge-patch+json", "application/json, text/plain",
         "a" * 300, "application/json; charset=latin-1"],
    )  # fmt: skip
    def test_others_are_refused(self, bot: Caller, kind: str) -> None:
        answer = bot.post(WORKFLOWS, json.dumps(REQUEST).encode(), content_type=kind)
        assert code(answer) == (415, "media-type")

    @pytest.mark.parametrize(
        "kind", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"']
    )
    def test_json_in_utf8_is_taken(self, bot: Caller, kind: str) -> None:
        assert bot.post(WORKFLOWS, REQUEST, content_type=kind).status_code == 201

    def test_compressed_bodies_are_refused(self, bot: Caller) -> None:
        assert code(bot.post(WORKFLOWS, REQUEST, Content_Encoding="gzip")) == (415, "media-type")
        assert bot.post(WORKFLOWS, REQUEST, Content_Encoding="identity").status_code == 201


class TestJson:
    @pytest.mark.parametrize(
        ("text", "pointer"),
        [
            ("", ""),
            ("{", ""),
            ("{'a': 1}", ""),
            ("{} {}", ""),
            ('{"a": NaN}', "/a"),
            ('{"a": [1, Infinity]}', "/a/1"),
            ('{"a": 1e999}', "/a"),
            ('{"a": 9007199254740993}', "/a"),
            ('{"a": {"b": "\\u0000"}}', "/a/b"),
            ('{"a": "\\ud800"}', "/a"),
            ('{"a": 1, "a": 2}', "/a"),
            ('{"a": ' + "9" * 5000 + "}", "/a"),
        ],
    )
    def test_refusals_name_the_place(self, bot: Caller, text: str, pointer: str) -> None:
        body = text.replace('"a"', '"actionData"', 1) if text.startswith('{"a"') else text
        body = body.replace('"a": 2', '"actionData": 2')
        answer = bot.post(WORKFLOWS, body.encode() or b" ")
        assert code(answer) == (400, "validation")
        assert places(answer)[0] == pointer.replace("/a", "/actionData", 1)

    @pytest.mark.parametrize(
        "raw",
        [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), "{}".encode("utf-16-le"), "{}".encode("utf-32"),
         b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"\x1f\x8b\x08\x00"],
    )  # fmt: skip
    def test_other_encodings_are_refused(self, bot: Caller, raw: bytes) -> None:
        assert code(bot.post(WORKFLOWS, raw)) == (400, "validation")

    @pytest.mark.parametrize("depth", [33, 1000, 100_000])
    def test_deep_nesting_is_refused(self, bot: Caller, depth: int) -> None:
        body = b'{"actionData":{"a":' + b"[" * depth + b"]" * depth + b"}}"
        assert code(bot.post(WORKFLOWS, body)) == (400, "validation")


class TestSize:
    def test_the_limit_is_exact(self, bot: Caller) -> None:
        assert bot.post(WORKFLOWS, padded(LIMIT)).status_code == 201
        assert code(bot.post(WORKFLOWS, padded(LIMIT + 1))) == (413, "too-large")

    def test_declared_length_is_believed_before_reading(self, bot: Caller) -> None:
        answer = bot.client.generic(
            "POST", WORKFLOWS, b"{}", content_type="application/json", headers=bot.headers,
            CONTENT_LENGTH=str(10**12),
        )  # fmt: skip
        assert code(answer) == (413, "too-large")

    def test_forms_with_a_session_are_refused_unread(self, approver: Any) -> None:
        """Looking for a CSRF token in a form must not read it into memory."""
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        client.force_login(approver)
        client.cookies["csrftoken"] = "a" * 32
        kind = "application/x-www-form-urlencoded"
        answer = client.post(WORKFLOWS, "a=1&" * LIMIT, content_type=kind)
        assert code(answer) == (415, "media-type")


@hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(value=strategies.values)
def test_action_data_comes_back_byte_for_byte(bot: Caller, value: Any) -> None:
    """Property: what an accepted creation answers has the canonical bytes of what was sent."""
    data = {"value": value}
    body = json.dumps({"actionType": "a.b", "actionData": data}, ensure_ascii=False).encode()
    answer = bot.post(WORKFLOWS, body)
    assert answer.status_code == 201, answer.content
    found = answer.json()
    assert canonical.dumps(found["actionData"]) == canonical.dumps(data)
    assert found["fingerprint"] == canonical.fingerprint(data)
    again = bot.get(f"{WORKFLOWS}/{found['workflowId']}").json()
    assert canonical.dumps(again["actionData"]) == canonical.dumps(data)
    assert (
        canonical.fingerprint(Workflow.objects.latest("created_at").action_data)
        == (found["fingerprint"])
    )
