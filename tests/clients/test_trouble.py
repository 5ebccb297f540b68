"""A server and a network at their worst: what the clients repeat, what they tell, what never."""

import copy
import json
import pickle
import time
from typing import Any

import pytest
from hitl_client import (
    AlreadyDecided,
    HitlError,
    InvalidInput,
    NotFound,
    RateLimited,
    ServerError,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)

from tests.clients.conftest import KEY, Make
from tests.clients.imitation import DATA, Imitation, problem
from tests.receiver import free_port
from tests.standins.server import Said

FAILURES: list[str | Said] = [
    "refuse",
    "drop",
    "mute",
    "drip",
    "rubbish",
    Said(200, {"not": "a workflow"}),
    Said(502, raw=b"<html>Bad gateway</html>"),
    problem(500, "internal"),
    problem(503, "unavailable", headers={"Retry-After": "0"}),
    problem(429, "rate-limited", headers={"Retry-After": "0"}),
    problem(409, "request-in-progress"),
]


def name(failure: str | Said) -> str:
    return failure if isinstance(failure, str) else str(failure.status)


# --- Repeated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", FAILURES, ids=name)
def test_asking_is_repeated_under_one_key(
    client: Any, server: Imitation, failure: str | Said
) -> None:
    server.script.append(failure)
    workflow = client.ask("payments.refund", DATA)
    calls = server.requests("POST")
    assert len(calls) == 2
    assert len({each.headers["idempotency-key"] for each in calls}) == 1
    assert len({each.body for each in calls}) == 1
    assert [workflow.workflow_id] == [each["workflowId"] for each in server.created.values()]


def test_each_question_has_a_key_of_its_own(client: Any, server: Imitation) -> None:
    assert client.ask("a.b", DATA).workflow_id != client.ask("a.b", DATA).workflow_id
    assert len(server.created) == 2


def test_a_key_of_ones_own_is_kept(client: Any, server: Imitation) -> None:
    first = client.ask("a.b", DATA, idempotency_key="order-7")
    assert client.ask("a.b", DATA, idempotency_key="order-7") == first
    assert list(server.created) == ["order-7"]


def test_it_gives_up_after_so_many_tries(client: Any, server: Imitation) -> None:
    server.does = problem(503, "unavailable", "The database does not answer.")
    with pytest.raises(Unavailable, match="The database does not answer") as raised:
        client.get("x")
    assert len(server.ledger) == 4, "one try and three repetitions"
    assert (raised.value.status, raised.value.code) == (503, "unavailable")


def test_nobody_there_is_a_sentence_with_the_address(make: Make) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=f"No answer from {url}"):
        make(url, KEY, timeout=0.5, retries=1).get("x")


def test_a_server_that_hangs_costs_no_more_than_its_time(server: Imitation, make: Make) -> None:
    server.does = "hang"
    began = time.monotonic()
    with pytest.raises(Unreachable):
        make(server.url, KEY, timeout=0.3, retries=1).get("x")
    assert 0.6 <= time.monotonic() - began < 2
    assert len(server.ledger) == 2


def test_an_answer_that_drips_costs_no_more_than_its_time(server: Imitation, make: Make) -> None:
    server.does = "drip"
    began = time.monotonic()
    with pytest.raises(Unreachable):
        make(server.url, KEY, timeout=0.3, retries=0).get("x")
    assert time.monotonic() - began < 1.5


def test_it_stays_away_for_as_long_as_it_is_told(client: Any, server: Imitation) -> None:
    server.script.append(problem(429, "rate-limited", headers={"Retry-After": "1"}))
    client.ask("a.b", DATA)
    first, second = server.requests("POST")
    assert second.at - first.at >= 0.95


def test_it_does_not_wait_for_an_hour(client: Any, server: Imitation) -> None:
    server.does = problem(429, "rate-limited", headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited) as raised:
        client.ask("a.b", DATA)
    assert raised.value.retry_after == 3600
    assert len(server.ledger) == 1


# --- Not repeated ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (problem(400, "validation"), InvalidInput),
        (problem(401, "unauthenticated"), Unauthenticated),
        (problem(404, "not-found"), NotFound),
        (problem(409, "already-decided"), AlreadyDecided),
        (problem(409, "not-heard-of"), ServerError),
        (Said(401, raw=b"<html>Who are you?</html>"), Unauthenticated),
        (Said(302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), UnexpectedAnswer),
        (Said(418, raw=b"[]"), ServerError),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Said) else value.__name__,
)
def test_a_refusal_is_told_at_once(
    client: Any, server: Imitation, said: Said, kind: type[HitlError]
) -> None:
    server.does = said
    with pytest.raises(kind):
        client.ask("a.b", DATA)
    assert len(server.ledger) == 1


def test_a_refusal_says_what_the_server_said(client: Any, server: Imitation) -> None:
    errors = [
        {"pointer": "/name", "message": "Send more than blanks.", "code": "invalid"},
        {"pointer": "/timeoutSeconds", "message": "Send a whole number.", "code": "invalid"},
    ]
    server.does = problem(400, "validation", "At /name: Send more than blanks.", errors=errors)
    with pytest.raises(InvalidInput) as raised:
        client.ask("a.b", DATA)
    assert [each.pointer for each in raised.value.errors] == ["/name", "/timeoutSeconds"]
    assert raised.value.request_id == "b19"
    assert "At /name: Send more than blanks." in str(raised.value)
    assert "/timeoutSeconds: Send a whole number." in str(raised.value)


def test_a_redirect_is_not_followed_with_the_key(client: Any, server: Imitation) -> None:
    server.does = Said(307, headers={"Location": f"{server.url}/elsewhere"})
    with pytest.raises(UnexpectedAnswer, match="give that address as base_url"):
        client.get("x")
    assert [each.path for each in server.ledger] == ["/api/v1/workflows/x"]


def test_the_id_cannot_leave_its_place_in_the_path(client: Any, server: Imitation) -> None:
    client.get("../../admin?x=/")
    assert server.ledger[0].path == "/api/v1/workflows/..%2F..%2Fadmin%3Fx%3D%2F"


# --- Waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [*FAILURES, "hang"], ids=name)
def test_waiting_bears_trouble_and_loses_no_answer(
    client: Any, server: Imitation, failure: str | Said
) -> None:
    workflow = client.ask("a.b", DATA)
    slow = failure in ("hang", "mute", "drip")
    server.script.extend([failure] * (1 if slow else 5))
    server.approve()
    decided = client.wait(workflow)
    assert decided.status == "APPROVED"


def test_waiting_ends_after_its_own_time_with_what_is_known(client: Any, server: Imitation) -> None:
    server.hold = True
    workflow = client.ask("a.b", DATA)
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as raised:
        client.wait(workflow, timeout=1.2)
    assert 1.15 <= time.monotonic() - began < 2.5
    assert raised.value.workflow is not None
    assert raised.value.workflow.status == "PENDING"
    assert isinstance(raised.value, TimeoutError)


def test_waiting_looks_once_even_without_time(client: Any, server: Imitation) -> None:
    workflow = client.ask("a.b", DATA)
    server.approve()
    assert client.wait(workflow, timeout=0).status == "APPROVED"


def test_waiting_gives_up_on_a_server_that_is_gone(make: Make, server: Imitation) -> None:
    client = make(server.url, KEY, timeout=0.2, retries=0, patience=0.5)
    workflow = client.ask("a.b", DATA)
    server.does = "refuse"
    with pytest.raises(Unreachable):
        client.wait(workflow)


def test_waiting_does_not_hammer_a_server_that_answers_early(
    client: Any, server: Imitation
) -> None:
    workflow = client.ask("a.b", DATA)
    with pytest.raises(WaitTimeout):
        client.wait(workflow, timeout=2)
    assert len(server.requests("GET")) < 8


def test_waiting_for_somebody_elses_request_ends_at_once(client: Any, server: Imitation) -> None:
    server.does = problem(404, "not-found")
    with pytest.raises(NotFound):
        client.wait("x")


def test_a_status_from_the_future_is_told_as_it_is(client: Any, server: Imitation) -> None:
    workflow = client.ask("a.b", DATA)
    server.state = {"status": "DELEGATED", "newField": {"x": 1}}
    decided = client.wait(workflow)
    assert decided.status == "DELEGATED"
    assert not decided.status.is_known
    assert decided.raw["newField"] == {"x": 1}


# --- What is sent ---------------------------------------------------------------------------------


def test_what_is_not_given_is_not_sent(client: Any, server: Imitation) -> None:
    client.ask("a.b", DATA)
    [call] = server.ledger
    assert json.loads(call.body) == {"actionType": "a.b", "actionData": DATA}
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "url", ["", "hitl.example.com", "ftp://x", "http://", "http://x/?y", "http://me:secret@x"]
)
def test_an_address_that_is_none_is_refused(make: Make, url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        make(url, KEY)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX-Evil: 1", "schlüssel"])
def test_a_key_that_is_none_is_refused(make: Make, key: str) -> None:
    with pytest.raises(ValueError, match="api_key"):
        make("http://localhost:4000", key)


def test_an_error_can_be_sent_to_another_process(client: Any, server: Imitation) -> None:
    server.does = problem(429, "rate-limited", "Later.", headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited) as raised:
        client.get("x")
    pickled = pickle.dumps(raised.value)
    for error in (copy.copy(raised.value), pickle.loads(pickled)):  # noqa: S301  # ours
        assert type(error) is RateLimited
        assert (str(error), error.retry_after, error.request_id) == ("Later.", 3600, "b19")


def test_peoples_data_stays_out_of_messages(client: Any, server: Imitation) -> None:
    workflow = client.ask("a.b", {"iban": "DE00 1234"})
    assert "DE00" not in repr(workflow)
    server.does = Said(200, raw=b'{"actionData": {"iban": "DE00 12')
    with pytest.raises(UnexpectedAnswer, match="32 bytes, cut off"):
        client.get(workflow)


def test_the_key_is_not_shown(make: Make) -> None:
    made = make("http://localhost:4000", KEY)
    assert KEY not in repr(getattr(made, "client", made))
