"""Rows and stored messages."""

import pytest
from django.db import IntegrityError, transaction

from deliveries.channels.base import Message
from deliveries.models import Delivery, DeliveryToken
from hitl.lib.db import database_now
from tests.deliveries.factories import make_message


def test_stored_message_is_the_same_message() -> None:
    message = make_message(deceptive=True, facts_left_out=2)
    assert Message.from_dict(message.as_dict()) == message


def test_message_of_another_release_can_be_read() -> None:
    data = make_message().as_dict() | {"colour": "red"}
    data["facts"][0]["weight"] = 3
    del data["deceptive"], data["facts"][1]["path"]
    message = Message.from_dict(data)
    assert message.title == "Refund order A-1009"
    assert message.facts[1].path == ""


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "sent", "sent_at": None}, "sent_has_a_time"),
        ({"status": "pending", "next_retry_at": None}, "pending_has_a_due_time"),
    ],
)
def test_database_refuses_what_must_never_be(
    delivery: Delivery, changes: dict[str, object], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(**changes)


def test_one_message_per_person_channel_kind_and_round(delivery: Delivery) -> None:
    again = Delivery.objects.get(pk=delivery.pk)
    again.pk = Delivery().pk
    again._state.adding = True
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save(force_insert=True)


def test_row_in_hand_reads_as_sending(delivery: Delivery) -> None:
    assert not delivery.is_sending
    delivery.claimed_at = database_now()
    assert delivery.is_sending
    delivery.status = Delivery.Status.CANCELLED
    assert not delivery.is_sending


def test_texts_of_rows_name_no_secret(delivery: Delivery) -> None:
    token = DeliveryToken.objects.create(delivery=delivery, digest="0" * 64)
    assert "0000" not in str(token)
    assert str(delivery) == "email to ann@example.com (pending)"
