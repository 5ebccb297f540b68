"""Both clients against a real server process, from the question to the report."""

import itertools
import os
import signal
import threading
import time
from typing import Any

import pytest
from hitl_client import (
    AlreadyDecided,
    Answered,
    Client,
    InvalidInput,
    KeyReused,
    NotApproved,
    NotFound,
    ReceiptConsumed,
    ReceiptInvalid,
    Rejected,
    TimedOut,
    Unauthenticated,
    requires_approval,
)

from tests.clients.conftest import Make
from tests.embedded import Embedded, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it runs an embedded server"),
]
DATA = {"orderId": "A-1042", "amount": 40, "note": "naïve – but fair", "rate": 0.1}
FORM = {"fields": [{"name": "amount", "type": "number"}, {"name": "note", "type": "text"}]}


@pytest.fixture(scope="module")
def person(live: Embedded) -> str:
    return live.token()


@pytest.fixture
def client(make: Make, live: Embedded) -> Any:
    return make(live.url, live.api_key)


class Person:
    """Decides after a moment, in a thread of their own."""

    def __init__(self, live: Embedded, token: str) -> None:
        self.live, self.token = live, token

    def says(self, workflow: Any, decision: str, after: float = 0, **more: Any) -> None:
        body = {"decision": decision, "fingerprint": workflow.fingerprint, **more}
        path = f"/api/v1/workflows/{workflow.workflow_id}/decide"

        def decide() -> None:
            time.sleep(after)
            assert self.live.call("POST", path, body, token=self.token).status == 200

        if after:
            threading.Thread(target=decide).start()
        else:
            decide()


@pytest.fixture
def ann(live: Embedded, person: str) -> Person:
    return Person(live, person)


def test_from_the_question_to_the_report(client: Any, ann: Person) -> None:
    workflow = client.ask(
        "order.refund", DATA, name="Refund", reason="Broken", ui_schema=FORM, expires_in=600
    )
    assert (workflow.status, workflow.action_data) == ("PENDING", DATA)
    edited = DATA | {"amount": 35}
    ann.says(workflow, "modified", after=0.3, responseData=edited)
    workflow = client.wait(workflow)
    assert (workflow.decision, workflow.responded_by.name) == ("modified", "Ann")
    with client.execution(workflow) as run:
        assert run.data == edited
        run.result = {"refundId": "re_1"}
    assert (run.workflow.status, run.workflow.result) == ("COMPLETED", {"refundId": "re_1"})
    types = [event.type for event in client.events(workflow)]
    assert [types[0], *types[-3:]] == [
        "workflow.created",
        "human.responded",
        "action.executing",
        "workflow.completed",
    ]


def test_the_answer_comes_at_once(client: Any, ann: Person) -> None:
    workflow = client.ask("a.b", DATA)
    ann.says(workflow, "approved", after=1)
    began = time.monotonic()
    assert client.wait(workflow).status == "APPROVED"
    assert time.monotonic() - began < 3


def test_asking_twice_under_one_key_is_asking_once(client: Any) -> None:
    key = f"key-{time.time_ns()}"
    first = client.ask("a.b", DATA, idempotency_key=key)
    assert client.ask("a.b", DATA, idempotency_key=key).workflow_id == first.workflow_id
    with pytest.raises(KeyReused):
        client.ask("a.b", {"n": 2}, idempotency_key=key)


def test_what_is_wrong_is_named(client: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        client.ask("a b", DATA, approver_email="nobody", timeout_action="perhaps")
    places = {each.pointer for each in raised.value.errors}
    assert places == {"/actionType", "/approverEmail", "/timeoutAction"}
    assert raised.value.request_id


def test_refusals_have_their_own_exceptions(client: Any, live: Embedded, ann: Person) -> None:
    workflow = client.ask("a.b", DATA)
    with pytest.raises(NotApproved):
        client.approved_data(workflow)
    ann.says(workflow, "rejected", feedback="No.")
    with pytest.raises(AlreadyDecided, match="Already rejected by Ann"):
        client.cancel(workflow)
    with pytest.raises(NotFound):
        client.get("019aaf27-6c1e-7b6a-9f6e-0d4b1c2a3f10")
    with pytest.raises(Unauthenticated):
        Client(live.url, "hitl_agt_wrong").get(workflow)


def test_withdrawing_twice_is_harmless(client: Any) -> None:
    workflow = client.ask("a.b", DATA)
    assert client.cancel(workflow, reason="Called off.").status == "CANCELLED"
    assert client.cancel(workflow).status == "CANCELLED"


def test_a_question_is_heard_and_answered(client: Any, live: Embedded, person: str) -> None:
    workflow = client.ask("a.b", DATA)
    path = f"/api/v1/workflows/{workflow.workflow_id}/remarks"
    said = {"kind": "question", "text": "Which order is it?"}
    assert live.call("POST", path, said, token=person).status == 201
    asked = client.wait(workflow, until="asked", timeout=10)
    assert (asked.status, asked.open_questions) == ("PENDING", 1)
    [question] = client.questions(workflow)
    assert (question.text, question.by.name) == ("Which order is it?", "Ann")
    answer = client.answer(workflow, question, "A-1042")
    assert client.answer(workflow, question, "A-1042") == answer
    with pytest.raises(Answered):
        client.answer(workflow, question, "another one")
    assert client.questions(workflow) == []
    assert [each.kind for each in client.remarks(workflow)] == ["question", "answer"]


def test_heartbeats_keep_the_lease(live: Embedded, ann: Person) -> None:
    client = Client(live.url, live.api_key)
    workflow = client.ask("a.b", DATA)
    ann.says(workflow, "approved")
    with client.execution(workflow) as run:
        time.sleep(3)
    assert not run.lease_lost
    assert run.workflow.status == "COMPLETED"


def test_silence_leaves_the_outcome_unknown(live: Embedded, ann: Person) -> None:
    client = Client(live.url, live.api_key)
    workflow = client.ask("a.b", DATA)
    ann.says(workflow, "approved")
    with pytest.raises(KeyboardInterrupt), client.execution(workflow):
        raise KeyboardInterrupt
    until(lambda: client.get(workflow).status in ("UNKNOWN", "FAILED"), 20)
    late = client.complete(workflow, attempt=1, result="late")
    assert late.status in ("UNKNOWN", "FAILED"), "kept as evidence, changes nothing"


def test_a_decorated_function_obeys(live: Embedded, ann: Person) -> None:
    client = Client(live.url, live.api_key)
    done: list[str] = []

    @requires_approval(client, action_type="shell.run", expires_in=1)
    def shell(command: str) -> str:
        done.append(command)
        return f"ran {command}"

    with pytest.raises(TimedOut):
        shell("rm -rf /")

    def answer(decision: str) -> None:
        def pending() -> list[Any]:
            found = live.call("GET", "/api/v1/workflows?status=PENDING&actionType=shell.run")
            return list(found.json["items"])

        until(pending, 10)
        [item] = pending()
        ann.says(client.get(item["workflowId"]), decision, feedback="As you like")

    asking = requires_approval(client, action_type="shell.run")(shell.__wrapped__)  # type: ignore[attr-defined]
    for decision in ("rejected", "approved"):
        threading.Thread(target=answer, args=(decision,)).start()
        if decision == "rejected":
            with pytest.raises(Rejected, match="rejected by Ann: As you like"):
                asking("ls")
        else:
            assert asking("ls") == "ran ls"
    assert done == ["ls"]


def test_waiting_survives_the_death_of_the_server(live: Embedded, ann: Person) -> None:
    client = Client(live.url, live.api_key)
    workflow = client.ask("a.b", DATA)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(client.wait(workflow, timeout=60)))
    waiting.start()
    time.sleep(0.5)
    live.stop(signal.SIGKILL)
    live.start()
    ann.says(workflow, "approved")
    waiting.join(60)
    assert found[0].status == "APPROVED"


def test_a_receipt_is_good_for_one_use(client: Any, ann: Person) -> None:
    workflow = client.ask("a.b", DATA)
    ann.says(workflow, "approved")
    receipt = client.receipt(workflow, audience="billing", ttl_seconds=60)
    approved = client.get(workflow).approved_fingerprint
    seen = client.verify_receipt(receipt, audience="billing", fingerprint=approved)
    assert (seen.valid, seen.reason, seen.claims["sub"]) == (True, None, workflow.workflow_id)
    assert client.verify_receipt(receipt).reason == "wrong-audience"
    used = client.consume_receipt(receipt, audience="billing", consumer="billing/7")
    assert (used.workflow_id, used.fingerprint) == (workflow.workflow_id, approved)
    with pytest.raises(ReceiptConsumed, match="used by billing/7"):
        client.consume_receipt(receipt, audience="billing")
    with pytest.raises(ReceiptInvalid):
        client.consume_receipt(f"{receipt.receipt[:-4]}AAAA", audience="billing")


def test_the_feed_tells_all_that_happens_once(live: Embedded, ann: Person) -> None:
    client = Client(live.url, live.api_key)
    workflow = client.ask("a.b", DATA)
    news = client.follow(after=None, workflow=workflow)
    first = next(news)
    assert (first.type, first.workflow_id) == ("workflow.created", workflow.workflow_id)
    ann.says(workflow, "rejected", feedback="No.")
    told = [first, *itertools.takewhile(lambda event: event.type != "workflow.rejected", news)]
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    again = client.follow(after=told[-1].cursor, workflow=workflow)
    assert next(again).type == "workflow.rejected"
