"""Receipts over HTTP: who may fetch, verify and use them, and what each is told."""

from typing import Any

import jwt
import pytest
from pytest_django import Settings

from hitl.accounts.models import Agent, Team, User
from hitl.lib import signing_keys
from tests.accounts.factories import AgentFactory
from tests.workflows.api.callers import (
    WORKFLOWS,
    Caller,
    as_agent,
    as_user,
    code,
    decide,
    places,
)

JWKS = "/.well-known/jwks.json"
VERIFY, CONSUME = "/api/v1/receipts/verify", "/api/v1/receipts/consume"


@pytest.fixture
def path(bot: Caller, ann: Caller) -> str:
    """Where the agent fetches the receipt of an approved request."""
    workflow = bot.create()
    assert decide(ann, workflow).status_code == 200
    return f"{WORKFLOWS}/{workflow['workflowId']}/receipt"


@pytest.fixture
def receipt(bot: Caller, path: str) -> dict[str, Any]:
    answer = bot.post(path)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def executor(team: Team) -> Caller:
    """Another agent of the team, with a key that is good for executing only."""
    return as_agent(AgentFactory(team=team, name="billing"), "execute")


# --- The keys -------------------------------------------------------------------------------------


def test_keys_are_for_everybody_and_may_be_kept_a_while() -> None:
    answer = Caller().get(JWKS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == signing_keys.jwks()


def test_without_a_key_the_server_says_that_it_cannot(settings: Settings) -> None:
    settings.SIGNING_KEYS = []
    answer = Caller().get(JWKS)
    assert code(answer) == (503, "unavailable")
    assert answer.headers["Cache-Control"] == "no-store"


# --- Fetching -------------------------------------------------------------------------------------


def test_agent_gets_one_that_says_what_was_approved(receipt: dict[str, Any]) -> None:
    claims = jwt.decode(receipt["receipt"], options={"verify_signature": False})
    assert claims == receipt["claims"]
    assert claims["jti"] == receipt["receiptId"]
    assert claims["exp"] - claims["iat"] == 300
    assert claims["approvers"][0]["strength"] == "jwt"


def test_lifetime_and_audience_are_the_agents_to_choose(bot: Caller, path: str) -> None:
    claims = bot.post(path, {"audience": "billing", "ttlSeconds": 3600}).json()["claims"]
    assert (claims["aud"], claims["exp"] - claims["iat"]) == ("billing", 3600)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"ttlSeconds": 9}, "/ttlSeconds"), ({"ttlSeconds": 3601}, "/ttlSeconds"),
        ({"ttlSeconds": "60"}, "/ttlSeconds"), ({"ttlSeconds": None}, "/ttlSeconds"),
        ({"audience": ""}, "/audience"), ({"audience": ["a"]}, "/audience"),
        ({"audience": "a" * 256}, "/audience"), ({"aud": "a"}, "/aud"),
    ],
)  # fmt: skip
def test_odd_wishes_are_refused(bot: Caller, path: str, body: Any, place: str) -> None:
    answer = bot.post(path, body)
    assert code(answer) == (400, "validation")
    assert places(answer) == [place]


def test_pending_request_has_none(bot: Caller) -> None:
    answer = bot.post(f"{WORKFLOWS}/{bot.create()['workflowId']}/receipt")
    assert code(answer) == (409, "not-approved")
    assert answer.json()["workflowStatus"] == "PENDING"


def test_key_that_only_reads_gets_none(agent: Agent, path: str) -> None:
    assert code(as_agent(agent, "read", "create").post(path)) == (403, "forbidden")


# --- Verifying ------------------------------------------------------------------------------------


def test_executor_of_the_team_is_told_that_it_is_valid(
    executor: Caller, receipt: dict[str, Any]
) -> None:
    fingerprint = receipt["claims"]["fingerprint"]
    answer = executor.post(VERIFY, {"receipt": receipt["receipt"], "fingerprint": fingerprint})
    assert answer.json() == {
        "valid": True, "reason": None, "detail": "", "claims": receipt["claims"],
        "consumedAt": None, "consumedBy": None,
    }  # fmt: skip


def test_key_that_may_neither_read_nor_execute_may_not_look(
    agent: Agent, receipt: dict[str, Any]
) -> None:
    answer = as_agent(agent, "create").post(VERIFY, {"receipt": receipt["receipt"]})
    assert code(answer) == (403, "forbidden")


def test_bad_one_is_an_answer_and_no_error(bot: Caller, receipt: dict[str, Any]) -> None:
    head, claims, signature = receipt["receipt"].split(".")
    for token, reason in (
        ("x", "malformed"),
        (f"{head}.{claims}.", "forged"),
        (f"{head}.{claims[:-4]}AAAA.{signature}", "forged"),
    ):
        answer = bot.post(VERIFY, {"receipt": token})
        assert (answer.status_code, answer.json()["valid"]) == (200, False)
        assert (answer.json()["reason"], answer.json()["claims"]) == (reason, None)
        assert answer.json()["detail"]


def test_another_teams_is_unknown(receipt: dict[str, Any], stranger: User) -> None:
    outside = as_user(stranger).post(VERIFY, {"receipt": receipt["receipt"]})
    assert outside.json() == {
        "valid": False, "reason": "unknown", "detail": "There is no such receipt.", "claims": None,
        "consumedAt": None, "consumedBy": None,
    }  # fmt: skip


@pytest.mark.parametrize("where", [VERIFY, CONSUME])
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "/receipt"), ({"receipt": ""}, "/receipt"), ({"receipt": 7}, "/receipt"),
        ({"receipt": "a" * 65_537}, "/receipt"),
        ({"receipt": "a", "fingerprint": "sha256:0"}, "/fingerprint"),
        ({"receipt": "a", "audience": ""}, "/audience"), ({"receipt": "a", "aud": "b"}, "/aud"),
    ],
)  # fmt: skip
def test_odd_bodies_are_refused(bot: Caller, where: str, body: Any, place: str) -> None:
    answer = bot.post(where, body)
    assert code(answer) == (400, "validation")
    assert places(answer) == [place]


def test_oversize_body_is_not_even_read(bot: Caller) -> None:
    answer = bot.post(VERIFY, {"receipt": "a" * 300_000})
    assert code(answer) == (413, "too-large")


def test_without_keys_nothing_is_judged(
    bot: Caller, receipt: dict[str, Any], settings: Settings
) -> None:
    settings.SIGNING_KEYS = []
    for where in (VERIFY, CONSUME):
        assert code(bot.post(where, {"receipt": receipt["receipt"]})) == (503, "unavailable")


# --- Using ----------------------------------------------------------------------------------------


def test_executor_uses_it_once(executor: Caller, bot: Caller, receipt: dict[str, Any]) -> None:
    shown = {"receipt": receipt["receipt"], "consumer": "billing/7"}
    answer = executor.post(CONSUME, shown)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["receiptId"], told["consumedBy"]) == (receipt["receiptId"], "billing/7")
    assert told["claims"] == receipt["claims"]
    again = executor.post(CONSUME, shown)
    assert code(again) == (409, "receipt-consumed")
    assert "billing/7" in again.json()["detail"]
    looked = bot.post(VERIFY, {"receipt": receipt["receipt"]}).json()
    assert (looked["reason"], looked["consumedBy"]) == ("consumed", "billing/7")
    assert looked["consumedAt"] == told["consumedAt"]


def test_used_approval_gives_no_other(bot: Caller, path: str, receipt: dict[str, Any]) -> None:
    bot.post(CONSUME, {"receipt": receipt["receipt"]})
    answer = bot.post(path)
    assert code(answer) == (409, "receipt-consumed")
    assert answer.json()["workflowStatus"] == "APPROVED"


def test_refusal_names_the_reason(bot: Caller, path: str) -> None:
    token = bot.post(path, {"audience": "billing"}).json()["receipt"]
    for shown, reason in (
        ({"receipt": "x"}, "malformed"),
        ({"receipt": token}, "wrong-audience"),
        ({"receipt": token, "audience": "mail"}, "wrong-audience"),
    ):
        answer = bot.post(CONSUME, shown)
        assert code(answer) == (409, "receipt-invalid")
        assert answer.json()["errors"][0]["code"] == reason
    assert bot.post(CONSUME, {"receipt": token, "audience": "billing"}).status_code == 200


def test_key_that_only_reads_cannot_use_it(agent: Agent, receipt: dict[str, Any]) -> None:
    answer = as_agent(agent, "read").post(CONSUME, {"receipt": receipt["receipt"]})
    assert code(answer) == (403, "forbidden")
