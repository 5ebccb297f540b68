"""The life of one delivery: claim, send to a real mail server, settle; cancel and send again."""

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from deliveries import selectors, services
from deliveries.channels.base import ChannelError, Message, Receipt
from deliveries.channels.email import EmailChannel
from deliveries.models import Delivery, DeliveryToken
from deliveries.routing import Recipient
from deliveries.services import CannotResend
from events.models import Event
from events.types import EventType, approval_sent
from hitl.accounts.models import Agent, User
from hitl.lib.db import TransactionRequired, database_now
from hitl.lib.errors import NotFound
from tests.deliveries.factories import make_message
from tests.deliveries.smtp import MailServer
from tests.workflows.factories import decide, make_overdue, make_workflow
from workflows import services as workflows
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
SENT = Delivery.Status.SENT


def types(delivery: Delivery) -> Counter[str]:
    rows = Event.objects.filter(workflow_id=delivery.workflow_id).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return Counter(str(row.type) for row in rows)


def last_event(delivery: Delivery) -> Event:
    return Event.objects.filter(workflow_id=delivery.workflow_id).order_by("seq").last()  # type: ignore[return-value]


def due_again(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(next_retry_at=database_now())


def while_sending(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Let something happen between claim and settle, then really send."""
    really = EmailChannel.send

    def send(self: EmailChannel, message: Message, **rest: Any) -> Receipt:
        happens()
        return really(self, message, **rest)

    monkeypatch.setattr(EmailChannel, "send", send)


# --- Wanting ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_want_only_inside_the_transaction_that_causes_it() -> None:
    with pytest.raises(TransactionRequired):
        services.request([], make_message(), workflow_id=None, team_id=None, round=1, now=None)  # type: ignore[arg-type]
    with pytest.raises(TransactionRequired):
        services.cancel_open(None)  # type: ignore[arg-type]


def test_two_people_behind_one_address_get_one_message(
    delivery: Delivery, approver: User, colleague: User
) -> None:
    shared = [Recipient(person, "email", "desk@example.com") for person in (approver, colleague)]
    with transaction.atomic():
        rows = services.request(
            shared,
            make_message(),
            workflow_id=delivery.workflow_id,
            team_id=delivery.team_id,
            round=1,
            now=database_now(),
        )
    assert [row.user for row in rows] == [approver]


# --- Sending ------------------------------------------------------------------------------------


def test_sent_mail_is_settled_with_event_and_id(delivery: Delivery, smtp: MailServer) -> None:
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.next_retry_at) == (SENT, 1, None)
    assert delivery.sent_at is not None
    assert delivery.claimed_at is None
    assert delivery.metadata["messageId"] == smtp.accepted[0]["Message-ID"]
    assert types(delivery) == {EventType.WORKFLOW_CREATED: 1, approval_sent("email"): 1}
    data = last_event(delivery).data
    assert (data["recipient"], data["channel"]) == ("ann@example.com", "email")
    assert data["fingerprint"] == delivery.message["fingerprint"]


def test_sent_mail_is_not_sent_again(delivery: Delivery, smtp: MailServer) -> None:
    for _ in range(3):
        services.send(delivery.pk)
    assert len(smtp.accepted) == 1


def test_unknown_delivery_is_nothing_to_do(team: Any) -> None:
    services.send(Delivery().pk)


def test_row_says_sending_while_it_is(
    delivery: Delivery, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    while_sending(monkeypatch, lambda: seen.append(Delivery.objects.get().is_sending))
    services.send(delivery.pk)
    assert seen == [True]


def test_mail_is_not_sent_twice_at_once(
    delivery: Delivery, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_sending(monkeypatch, lambda: services.send(delivery.pk))
    services.send(delivery.pk)
    assert len(smtp.accepted) == 1


@pytest.mark.django_db(transaction=True)
def test_sending_refuses_to_hold_a_transaction_open(delivery: Delivery) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        services.send(delivery.pk)


# --- Trouble ------------------------------------------------------------------------------------


def test_passing_trouble_waits_longer_each_time(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "busy-recipient"
    waits = []
    for _ in range(3):
        due_again(delivery)
        services.send(delivery.pk)
        delivery.refresh_from_db()
        assert delivery.next_retry_at is not None
        waits.append((delivery.next_retry_at - database_now()).total_seconds())
    assert [round(wait / 120) for wait in waits] in ([1, 2, 4], [1, 2, 3], [1, 2, 5])
    assert delivery.status == Delivery.Status.PENDING
    assert "451" in delivery.last_error
    assert types(delivery) == {EventType.WORKFLOW_CREATED: 1}


def test_waiting_delivery_is_not_tried_early(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "busy-recipient"
    services.send(delivery.pk)
    services.send(delivery.pk)
    assert smtp.attempts == 1


def test_trouble_that_passes_ends_in_one_mail(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "busy-recipient"
    services.send(delivery.pk)
    smtp.does = "accept"
    due_again(delivery)
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == (SENT, 2, "")
    assert len(smtp.accepted) == 1


def test_refused_for_good_fails_at_once(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "refuse-recipient"
    services.send(delivery.pk)
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Delivery.Status.FAILED, 1)
    assert types(delivery)[EventType.DELIVERY_FAILED] == 1
    assert "550" in last_event(delivery).data["error"]


def test_last_attempt_fails_for_good(
    delivery: Delivery, smtp: MailServer, settings: Settings
) -> None:
    smtp.does = "busy-recipient"
    for _ in range(settings.DELIVERY_MAX_ATTEMPTS + 2):
        due_again_unless_failed(delivery)
        services.send(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.FAILED
    assert delivery.attempts == smtp.attempts == settings.DELIVERY_MAX_ATTEMPTS
    assert types(delivery)[EventType.DELIVERY_FAILED] == 1


def due_again_unless_failed(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk, status="pending").update(next_retry_at=database_now())


def test_wait_the_provider_asked_for_is_kept(delivery: Delivery) -> None:
    claimed = services.claim(delivery.pk)
    assert claimed
    services.settle_failure(claimed, ChannelError("busy", retry_after=3000))
    delivery.refresh_from_db()
    assert delivery.next_retry_at is not None
    assert delivery.next_retry_at - database_now() > dt.timedelta(seconds=2900)


def test_channel_that_breaks_is_settled_too(
    delivery: Delivery,
    smtp: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    while_sending(monkeypatch, lambda: 1 / 0)
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.claimed_at) == (Delivery.Status.PENDING, None)
    assert "channel broke" in caplog.text


def test_lost_answer_sends_again_under_the_same_id(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "drop-after-data"
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert "may have arrived" in delivery.last_error
    smtp.does = "accept"
    due_again(delivery)
    services.send(delivery.pk)
    assert len({mail["Message-ID"] for mail in smtp.accepted}) == 1
    assert len(smtp.accepted) == 2
    assert types(delivery)[approval_sent("email")] == 1
    assert DeliveryToken.objects.filter(delivery=delivery).count() == 2


# --- Dead workers -------------------------------------------------------------------------------


def test_dead_workers_delivery_is_sent_after_the_claim_ran_out(
    delivery: Delivery, smtp: MailServer, settings: Settings
) -> None:
    assert services.claim(delivery.pk)
    assert delivery.pk not in selectors.due(database_now(), limit=10)
    services.send(delivery.pk)
    assert smtp.attempts == 0
    Delivery.objects.update(
        claimed_at=database_now() - dt.timedelta(seconds=settings.DELIVERY_CLAIM_SECONDS + 1)
    )
    assert selectors.due(database_now(), limit=10) == [delivery.pk]
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (SENT, 2)


def stale(delivery: Delivery) -> None:
    long_ago = database_now() - dt.timedelta(days=1)
    Delivery.objects.filter(pk=delivery.pk).update(claimed_at=long_ago)


def test_message_that_kills_its_workers_is_given_up(delivery: Delivery, smtp: MailServer) -> None:
    for _ in range(20):
        services.claim(delivery.pk)
        stale(delivery)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Delivery.Status.FAILED, delivery.max_attempts)
    assert types(delivery)[EventType.DELIVERY_FAILED] == 1


def test_worker_given_up_for_dead_writes_no_failure(delivery: Delivery, smtp: MailServer) -> None:
    first = services.claim(delivery.pk)
    assert first
    stale(delivery)
    services.send(delivery.pk)
    services.settle_failure(first, ChannelError("I am back", permanent=True))
    delivery.refresh_from_db()
    assert delivery.status == SENT
    assert EventType.DELIVERY_FAILED not in types(delivery)


def test_success_of_a_worker_given_up_for_dead_counts_once(
    delivery: Delivery, smtp: MailServer
) -> None:
    first = services.claim(delivery.pk)
    assert first
    stale(delivery)
    second = services.claim(delivery.pk)
    assert second
    services.settle_success(first, Receipt({"messageId": "1"}))
    services.settle_success(second, Receipt({"messageId": "1"}))
    assert types(delivery)[approval_sent("email")] == 1
    services.send(delivery.pk)
    assert smtp.attempts == 0


# --- Cancelling ---------------------------------------------------------------------------------


def test_decision_cancels_what_has_not_gone_out(
    delivery: Delivery, smtp: MailServer, approver: User
) -> None:
    decide(Workflow.objects.get(), approver)
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Delivery.Status.CANCELLED, 0)
    assert smtp.attempts == 0


def test_timeout_and_withdrawal_cancel_too(agent: Agent, approver: User) -> None:
    workflows.time_out(make_overdue(agent).pk)
    workflows.cancel(make_workflow(agent).pk, agent=agent)
    assert {row.status for row in Delivery.objects.all()} == {Delivery.Status.CANCELLED}


def test_sent_mail_stays_sent_when_the_request_is_decided(
    delivery: Delivery, smtp: MailServer, approver: User
) -> None:
    services.send(delivery.pk)
    decide(Workflow.objects.get(), approver)
    delivery.refresh_from_db()
    assert delivery.status == SENT


def test_mail_in_flight_at_the_decision_is_on_record_as_late(
    delivery: Delivery, smtp: MailServer, approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_sending(monkeypatch, lambda: decide(Workflow.objects.get(), approver))
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.claimed_at) == (Delivery.Status.CANCELLED, None)
    assert delivery.sent_at is not None
    assert delivery.metadata["messageId"]
    event = last_event(delivery)
    assert (event.type, event.data["late"]) == (approval_sent("email"), True)
    assert event.status == "APPROVED"


def test_failure_in_flight_at_the_decision_leaves_no_trace_but_the_reason(
    delivery: Delivery, smtp: MailServer, approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp.does = "refuse-recipient"
    while_sending(monkeypatch, lambda: decide(Workflow.objects.get(), approver))
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.claimed_at) == (Delivery.Status.CANCELLED, None)
    assert "550" in delivery.last_error
    assert EventType.DELIVERY_FAILED not in types(delivery)


def test_what_tells_the_outcome_is_not_cancelled(delivery: Delivery) -> None:
    Delivery.objects.update(kind=Delivery.Kind.OUTCOME)
    with transaction.atomic():
        assert services.cancel_open(delivery.workflow_id) == 0


# --- Sending again ------------------------------------------------------------------------------


def test_send_again_after_failure_starts_afresh(delivery: Delivery, smtp: MailServer) -> None:
    smtp.does = "refuse-recipient"
    services.send(delivery.pk)
    smtp.does = "accept"
    services.retry_now(delivery.pk)
    services.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (SENT, 1)


def test_send_again_does_not_wait_for_the_next_attempt(
    delivery: Delivery, smtp: MailServer
) -> None:
    smtp.does = "busy-recipient"
    services.send(delivery.pk)
    services.retry_now(delivery.pk)
    assert selectors.due(database_now(), limit=1) == [delivery.pk]


def test_send_again_revives_nothing_that_is_decided(
    delivery: Delivery, smtp: MailServer, approver: User
) -> None:
    smtp.does = "refuse-recipient"
    services.send(delivery.pk)
    decide(Workflow.objects.get(), approver)
    with pytest.raises(CannotResend, match="no longer waits"):
        services.retry_now(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.FAILED


def test_send_again_asks_nothing_of_another_round(delivery: Delivery) -> None:
    Delivery.objects.update(round=2)
    with pytest.raises(CannotResend, match="no longer waits"):
        services.retry_now(delivery.pk)


@pytest.mark.parametrize("status", ["sent", "delivered", "cancelled"])
def test_send_again_is_for_what_has_not_gone_out(delivery: Delivery, status: str) -> None:
    Delivery.objects.update(status=status, sent_at=database_now())
    with pytest.raises(CannotResend, match=status):
        services.retry_now(delivery.pk)


def test_send_again_leaves_a_worker_alone(delivery: Delivery) -> None:
    services.claim(delivery.pk)
    with pytest.raises(CannotResend, match="at this moment"):
        services.retry_now(delivery.pk)


def test_send_again_of_nothing(team: Any) -> None:
    with pytest.raises(NotFound):
        services.retry_now(Delivery().pk)


# --- What the provider says later ---------------------------------------------------------------


def test_receipts_never_move_backwards(delivery: Delivery, smtp: MailServer) -> None:
    services.send(delivery.pk)
    message_id = smtp.accepted[0]["Message-ID"]
    for _ in range(2):
        services.record_receipt("email", message_id, delivered=True)
    services.record_receipt("email", message_id, delivered=False, error="bounced")
    services.record_receipt("email", "<unknown@example.com>", delivered=True)
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.DELIVERED
    assert EventType.DELIVERY_FAILED not in types(delivery)


def test_bounce_after_sending_fails_once(delivery: Delivery, smtp: MailServer) -> None:
    services.send(delivery.pk)
    for _ in range(2):
        services.record_receipt(
            "email", smtp.accepted[0]["Message-ID"], delivered=False, error="bounced"
        )
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == (Delivery.Status.FAILED, "bounced")
    assert types(delivery)[EventType.DELIVERY_FAILED] == 1
