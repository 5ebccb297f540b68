"""Messages in the admin: to be found, sent again, and never edited."""

import pytest
from django.test import Client
from django.urls import reverse

from deliveries.models import Delivery, DeliveryToken, SandboxMessage
from hitl.accounts.models import User
from tests.accounts.factories import UserFactory
from tests.workflows.factories import decide
from workflows.models import Workflow

LIST = "/admin/deliveries/delivery/"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def failed(delivery: Delivery) -> Delivery:
    """A message that the mail server refused for good."""
    Delivery.objects.update(
        status="failed", attempts=6, next_retry_at=None, last_error="550 no such mailbox"
    )
    delivery.refresh_from_db()
    return delivery


def _page(delivery: Delivery, what: str) -> str:
    return reverse(f"admin:deliveries_delivery_{what}", args=[delivery.pk])


def test_a_failure_is_found_by_its_error(operator: Client, failed: Delivery) -> None:
    assert failed.recipient in operator.get(LIST, {"q": "no such mailbox"}).content.decode()
    assert "0 results" in operator.get(LIST, {"q": "quota"}).content.decode()


def test_the_page_shows_why_and_leads_to_the_workflow(operator: Client, failed: Delivery) -> None:
    page = operator.get(_page(failed, "change")).content.decode()
    assert "550 no such mailbox" in page
    assert f"/admin/workflows/workflow/{failed.workflow_id}/change/" in page


def test_looking_sends_nothing(operator: Client, failed: Delivery) -> None:
    assert operator.get(_page(failed, "send_again")).status_code == 200
    assert Delivery.objects.get().status == Delivery.Status.FAILED


def test_the_button_makes_a_failed_message_due(operator: Client, failed: Delivery) -> None:
    operator.post(_page(failed, "send_again"))
    again = Delivery.objects.get()
    assert (again.status, again.attempts) == (Delivery.Status.PENDING, 0)
    assert again.next_retry_at is not None


def test_a_selection_is_sent_again(operator: Client, failed: Delivery) -> None:
    form = {"action": "send_selected_again", "_selected_action": [str(failed.pk)]}
    operator.post(LIST, form)
    assert Delivery.objects.get().status == Delivery.Status.PENDING


def test_nobody_is_asked_again_after_the_decision(
    operator: Client, failed: Delivery, approver: User
) -> None:
    decide(Workflow.objects.get(), approver)
    answer = operator.post(_page(failed, "send_again"), follow=True)
    assert Delivery.objects.get().status == Delivery.Status.FAILED
    said = [str(message) for message in answer.context["messages"]]
    assert said
    assert "on its way" not in said[0]


def test_staff_who_may_only_look_send_nothing(failed: Delivery) -> None:
    client = Client()
    client.force_login(UserFactory(is_staff=True))
    assert client.post(_page(failed, "send_again")).status_code == 403
    assert Delivery.objects.get().status == Delivery.Status.FAILED


@pytest.mark.parametrize("what", ["change", "delete"])
def test_messages_are_not_edited(operator: Client, delivery: Delivery, what: str) -> None:
    assert operator.post(_page(delivery, what), {"post": "yes"}).status_code == 403


def test_what_opens_a_link_is_nowhere_to_be_read(operator: Client, delivery: Delivery) -> None:
    token = DeliveryToken.objects.create(delivery=delivery, digest="d" * 64)
    assert token.digest not in operator.get(_page(delivery, "change")).content.decode()


def test_caught_messages_are_found(operator: Client) -> None:
    caught = SandboxMessage.objects.create(
        channel="email", recipient="ann@example.com", subject="Approve", html="<script>x</script>"
    )
    page = reverse("admin:deliveries_sandboxmessage_change", args=[caught.pk])
    assert operator.get("/admin/deliveries/sandboxmessage/", {"q": "ann@"}).status_code == 200
    assert "<script>x</script>" not in operator.get(page).content.decode()
