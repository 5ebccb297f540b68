"""The first start of a server to be tried out: screens in the sandbox, and a colleague."""

from pathlib import Path

import pytest
from pytest_django import Settings

from deliveries import routing
from hitl import bootstrap, sandbox_accounts
from hitl.accounts.models import ContactPoint, Membership, Role, User
from workflows import policy_books
from workflows.models import Policy, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _to_be_tried_out(settings: Settings, tmp_path: Path) -> None:
    settings.BOOTSTRAP_EMAIL = settings.BOOTSTRAP_PASSWORD = settings.BOOTSTRAP_API_KEY = ""
    settings.SANDBOX_ACCOUNTS = sandbox_accounts.load(tmp_path, "http://127.0.0.1:4000", {})
    for account in settings.SANDBOX_ACCOUNTS.values():
        for name, value in account.items():
            setattr(settings, name, value)


def reached(email: str) -> list[str]:
    """The channels on which somebody is written to at once."""
    return [each.channel for each in routing.first_wave([User.objects.get(email=email)])]


def test_every_channel_has_something_to_show() -> None:
    bootstrap.ensure()
    assert reached("admin@example.com") == ["email", "slack", "sms"]
    assert reached("robin@example.com") == ["slack", "telegram"]


def test_the_others_step_in_when_those_fail() -> None:
    bootstrap.ensure()
    uses = ContactPoint.objects.filter(use="fallback").values_list("user__email", "kind")
    assert sorted(uses) == [
        ("admin@example.com", "telegram"),
        ("robin@example.com", "email"),
        ("robin@example.com", "phone"),
    ]


def test_the_colleague_may_decide_and_cannot_log_in() -> None:
    bootstrap.ensure()
    robin = User.objects.get(email="robin@example.com")
    assert Membership.objects.get(user=robin).role == Role.APPROVER
    assert not robin.has_usable_password()
    assert not robin.is_staff


def test_something_can_be_decided_by_text_message() -> None:
    bootstrap.ensure()
    assert Workflow.objects.filter(risk="low").exists()


def test_no_address_can_be_anybodys() -> None:
    bootstrap.ensure()
    points = ContactPoint.objects.exclude(kind="email").values_list("kind", "address")
    for kind, address in points:
        assert address.startswith({"phone": "+1555", "slack": "T0SANDBOX:", "telegram": "90"}[kind])


def test_whoever_names_the_admin_gets_no_made_up_people(settings: Settings) -> None:
    settings.BOOTSTRAP_EMAIL, settings.BOOTSTRAP_PASSWORD = "boss@example.com", "a-long-password"
    bootstrap.ensure()
    assert User.objects.get().email == "boss@example.com"
    assert not ContactPoint.objects.exclude(kind="email").exists()


def test_channel_with_a_real_account_gets_no_made_up_address(settings: Settings) -> None:
    del settings.SANDBOX_ACCOUNTS["slack"]
    bootstrap.ensure()
    assert not ContactPoint.objects.filter(kind="slack").exists()
    assert ContactPoint.objects.filter(kind="phone").count() == 2


def test_later_starts_add_nobody() -> None:
    bootstrap.ensure()
    User.objects.get(email="robin@example.com").delete()
    bootstrap.ensure()
    assert not User.objects.filter(email="robin@example.com").exists()


def test_a_sample_policy_is_there_and_applies_to_nothing() -> None:
    bootstrap.ensure()
    policy = Policy.objects.get()
    assert (policy.name, policy.is_default) == ("Two of Finance", False)
    assert policy_books.uses(policy) == []
    assert {workflow.policy["name"] for workflow in Workflow.objects.all()} == {"Any approver"}
