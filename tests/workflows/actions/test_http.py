"""The signed HTTP call: exactly the approved bytes, verifiable, and honest about what it knows."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from tests.receiver import Receiver, free_port, receiver
from workflows.actions.base import ActionFailed, Job
from workflows.actions.http import HttpAction, sign

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as state:
        allow = override_settings(
            OUTBOUND_ALLOW=[state.allow], OUTBOUND_ALLOW_HTTP=True, ACTION_SIGNING_SECRET=SECRET
        )
        with allow:
            yield state


def job(url: str, attempt: int = 1, **config: Any) -> Job:
    data = {"amount": 120, "to": "Zoë"}
    return Job(
        workflow_id="w-1", name="Refund", team="Payments", action_type="payments.refund",
        data=data, raw=canonical.dumps(data), fingerprint=canonical.fingerprint(data),
        key="w-1-1", attempt=attempt, config={"url": url} | config,
    )  # fmt: skip


def test_receiver_gets_the_approved_bytes_and_can_verify_them(target: Receiver) -> None:
    result = HttpAction().run(job(target.url))

    (got,) = target.ledger
    digest = "sha256:" + hashlib.sha256(got.body).hexdigest()
    expected = sign(
        b"0123456789abcdef0123456789abcdef", got.headers["webhook-id"],
        got.headers["webhook-timestamp"], got.body,
    )  # fmt: skip
    assert got.body == canonical.dumps({"amount": 120, "to": "Zoë"})
    assert got.headers["x-hitl-fingerprint"] == digest
    assert got.headers["webhook-signature"] == expected
    assert result == {"status": 200, "body": {"ok": True}}


def test_every_attempt_carries_the_same_idempotency_key(target: Receiver) -> None:
    for attempt in (1, 2):
        HttpAction().run(job(target.url, attempt))

    keys = {got.headers["idempotency-key"] for got in target.ledger}
    ids = {got.headers["webhook-id"] for got in target.ledger}
    assert (keys, len(ids)) == ({'"w-1-1"'}, 2)


@pytest.mark.parametrize(
    ("status", "permanent", "may_have_happened"),
    [(400, True, False), (403, True, False), (409, True, False), (429, False, False),
     (408, False, True), (500, False, True), (503, False, True), (302, True, False)],
)  # fmt: skip
def test_answers_mean_what_can_be_known_from_them(
    target: Receiver, status: int, permanent: bool, may_have_happened: bool
) -> None:
    target.status = status

    with pytest.raises(ActionFailed) as caught:
        HttpAction().run(job(target.url))

    error = caught.value
    assert (error.permanent, error.may_have_happened) == (permanent, may_have_happened)


def test_redirect_is_not_followed(target: Receiver) -> None:
    target.status, target.headers = 307, {"Location": target.url + "/elsewhere"}

    with pytest.raises(ActionFailed):
        HttpAction().run(job(target.url))

    assert len(target.ledger) == 1


def test_dropped_answer_is_an_unknown_outcome(target: Receiver) -> None:
    target.behaviour = "drop"

    with pytest.raises(ActionFailed) as caught:
        HttpAction().run(job(target.url))

    assert caught.value.may_have_happened
    assert not caught.value.permanent


def test_nobody_listening_means_it_did_not_happen(target: Receiver) -> None:
    port = free_port()
    allow = override_settings(OUTBOUND_ALLOW=[f"127.0.0.1:{port}"])
    with allow, pytest.raises(ActionFailed) as caught:
        HttpAction().run(job(f"http://127.0.0.1:{port}/"))

    assert not caught.value.may_have_happened


def test_private_address_is_never_called_unless_listed(target: Receiver) -> None:
    with override_settings(OUTBOUND_ALLOW=[]), pytest.raises(ActionFailed) as caught:
        HttpAction().run(job(target.url))

    assert (caught.value.permanent, target.ledger) == (True, [])


def test_text_answer_is_kept_bounded(target: Receiver) -> None:
    target.answer = b"done \xff" + b"x" * 10_000

    result = HttpAction().run(job(target.url))

    assert result["body"].startswith("done")
    assert len(result["body"]) <= 4000


@override_settings(ACTION_SIGNING_SECRET="")
def test_unsigned_calls_are_not_made() -> None:
    with pytest.raises(ActionFailed, match="signing secret"):
        HttpAction().run(job("https://example.com/"))


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64 !"])
def test_configuration_without_a_usable_secret_is_refused(secret: str) -> None:
    config = {"url": "https://example.com/act", "secret": secret}

    with override_settings(ACTION_SIGNING_SECRET=""), pytest.raises(InvalidInput) as caught:
        HttpAction().check_config(config)

    assert caught.value.errors[0].pointer == "/executorConfig/secret"


@pytest.mark.parametrize(
    "url", ["", "ftp://example.com/", "http://10.0.0.1/", "https://localhost/"]
)
def test_configuration_that_leads_inside_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        HttpAction().check_config({"url": url, "secret": SECRET})

    assert caught.value.errors[0].pointer == "/executorConfig/url"
