"""Messages on the API: who sees what of them, and who may have one sent again."""

from typing import Any
from uuid import uuid4

import pytest

from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from tests.workflows.api.callers import WORKFLOWS, Caller, as_agent, as_user, code, decide

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow(bot: Caller) -> dict[str, Any]:
    return bot.create()


@pytest.fixture
def failed(workflow: dict[str, Any]) -> Delivery:
    """The message to the approver, given up."""
    row = Delivery.objects.get(workflow_id=workflow["workflowId"])
    row.status, row.next_retry_at = Delivery.Status.FAILED, None
    row.attempts, row.last_error = 6, "No such mailbox."
    row.save()
    return row


def listed(caller: Caller, workflow: dict[str, Any], **params: Any) -> Any:
    return caller.get(f"{WORKFLOWS}/{workflow['workflowId']}/deliveries", params)


def retry(caller: Caller, delivery_id: object) -> Any:
    return caller.post(f"/api/v1/deliveries/{delivery_id}/retry")


def test_people_see_everything_of_a_message(
    ann: Caller, workflow: dict[str, Any], failed: Delivery
) -> None:
    [row] = listed(ann, workflow).json()["items"]
    assert row["deliveryId"] == str(failed.pk)
    assert row["workflowId"] == workflow["workflowId"]
    assert (row["channel"], row["recipient"]) == ("email", "ann@example.com")
    assert (row["kind"], row["status"], row["round"]) == ("approval", "failed", 1)
    assert (row["attempts"], row["maxAttempts"], row["nextRetryAt"]) == (6, 6, None)
    assert (row["lastError"], row["metadata"]) == ("No such mailbox.", {})
    assert (row["sentAt"], row["deliveredAt"]) == (None, None)


def test_agents_see_names_but_no_addresses(bot: Caller, workflow: dict[str, Any]) -> None:
    [row] = listed(bot, workflow).json()["items"]
    assert row["person"] == "Ann Approver"
    assert (row["recipient"], row["metadata"]) == (None, None)
    assert row["status"] == "pending"


def test_an_agent_needs_to_be_allowed_to_read(agent: Agent, workflow: dict[str, Any]) -> None:
    assert code(listed(as_agent(agent, "create"), workflow)) == (403, "forbidden")


def test_pages_continue_where_the_last_one_ended(
    bot: Caller, ann: Caller, colleague: User, manager: User
) -> None:
    workflow, seen, cursor = bot.create(), [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = listed(ann, workflow, **params).json()
        seen += [row["recipient"] for row in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert sorted(seen) == ["ann@example.com", "carl@example.com", "mia@example.com"]


def test_what_the_list_does_not_know_is_refused(ann: Caller, workflow: dict[str, Any]) -> None:
    for params in ({"limit": 0}, {"cursor": "x"}, {"status": "failed"}):
        assert code(listed(ann, workflow, **params)) == (400, "validation")


def test_a_failed_message_goes_out_again(ann: Caller, failed: Delivery) -> None:
    answer = retry(ann, failed.pk)
    assert answer.status_code == 200
    row = answer.json()
    assert (row["status"], row["attempts"]) == ("pending", 0)
    assert row["nextRetryAt"]
    failed.refresh_from_db()
    assert failed.status == Delivery.Status.PENDING


def test_who_looks_only_sends_nothing(viewer: User, failed: Delivery) -> None:
    assert code(retry(as_user(viewer), failed.pk)) == (403, "forbidden")
    failed.refresh_from_db()
    assert failed.status == Delivery.Status.FAILED


def test_agents_send_nothing(bot: Caller, failed: Delivery) -> None:
    assert code(retry(bot, failed.pk)) == (403, "forbidden")


def test_anothers_message_looks_like_none(stranger: User, ann: Caller, failed: Delivery) -> None:
    theirs = retry(as_user(stranger), failed.pk)
    for answer in (theirs, retry(ann, uuid4()), retry(ann, "x"), retry(ann, failed.pk.hex)):
        assert code(answer) == (404, "not-found")
        assert answer.json()["detail"] == "There is no such message."


@pytest.mark.parametrize("status", ["sent", "delivered", "cancelled"])
def test_what_is_not_waiting_is_not_sent_again(ann: Caller, failed: Delivery, status: str) -> None:
    Delivery.objects.update(status=status, sent_at=failed.created_at)
    answer = retry(ann, failed.pk)
    assert code(answer) == (409, "cannot-resend")
    assert answer.json()["workflowStatus"] == "PENDING"


def test_nobody_is_asked_again_once_it_is_decided(
    ann: Caller, workflow: dict[str, Any], failed: Delivery
) -> None:
    decide(ann, workflow)
    answer = retry(ann, failed.pk)
    assert code(answer) == (409, "cannot-resend")
    assert answer.json()["workflowStatus"] == "APPROVED"


def test_repeating_it_is_harmless(ann: Caller, failed: Delivery) -> None:
    assert [retry(ann, failed.pk).status_code for _ in range(3)] == [200, 200, 200]
    assert Delivery.objects.count() == 1
