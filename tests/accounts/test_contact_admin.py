"""Contact points in the admin: kinds from the table of channels, and who may vouch for one."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from deliveries.channels import CHANNELS
from hitl.accounts.models import ContactPoint, User
from tests.accounts.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return _browser_of(User.objects.create_superuser("root@example.com", name="Root"))


@pytest.fixture
def helper() -> Client:
    """Staff with rights on contact points only."""
    user = UserFactory(email="helper@example.com", is_staff=True)
    rights = Permission.objects.filter(codename__endswith="_contactpoint")
    user.user_permissions.set(rights)
    return _browser_of(user)


def _browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(what: str, *args: object) -> str:
    return reverse(f"admin:accounts_contactpoint_{what}", args=args)


def fields(user: User, kind: str, address: str) -> dict[str, Any]:
    return {
        "user": user.pk, "kind": kind, "address": address, "use": "always", "position": 0,
    }  # fmt: skip


@pytest.fixture
def point(approver: User) -> ContactPoint:
    """A phone that somebody has typed in and not proved."""
    return ContactPoint.objects.create(user=approver, kind="phone", address="+447700900123")


def test_kinds_are_those_that_channels_write_to(operator: Client, approver: User) -> None:
    shown = [
        operator.get(page("add")).content.decode(),
        operator.get(reverse("admin:accounts_user_change", args=[approver.pk])).content.decode(),
    ]
    for channel in CHANNELS.values():
        for text in shown:
            assert f'<option value="{channel.contact_kind}"' in text
    assert ">Phone</option>" in shown[0]


def test_address_is_stored_as_its_channel_wants_it(operator: Client, approver: User) -> None:
    operator.post(page("add"), fields(approver, "phone", "0044 7700 900-123"))
    operator.post(page("add"), fields(approver, "slack", "t0hitl:u0ann"))
    found = ContactPoint.objects.filter(user=approver).values_list("kind", "address")
    assert {("phone", "+447700900123"), ("slack", "T0HITL:U0ANN")} <= set(found)


@pytest.mark.parametrize(
    ("kind", "address"), [("phone", "07700"), ("slack", "@ann"), ("email", "ann"), ("pigeon", "x")]
)
def test_what_is_no_address_is_refused(
    operator: Client, approver: User, kind: str, address: str
) -> None:
    answer = operator.post(page("add"), fields(approver, kind, address))
    assert answer.status_code == 200
    assert not ContactPoint.objects.filter(address=address).exists()


def test_kind_of_a_channel_that_is_gone_can_still_be_kept(operator: Client, approver: User) -> None:
    old = ContactPoint.objects.create(user=approver, kind="pigeon", address="loft 3")
    answer = operator.post(page("change", old.pk), fields(approver, "pigeon", "loft 4"))
    assert answer.status_code == 302
    old.refresh_from_db()
    assert (old.kind, old.address) == ("pigeon", "loft 4")


def test_marking_as_verified_asks_first(operator: Client, point: ContactPoint) -> None:
    assert "You vouch" in operator.get(page("verify", point.pk)).content.decode()
    point.refresh_from_db()
    assert point.verified_at is None

    operator.post(page("verify", point.pk))

    point.refresh_from_db()
    assert point.verified_at is not None


def test_several_are_marked_at_once(operator: Client, point: ContactPoint) -> None:
    form = {"action": "verify_selected", "_selected_action": [point.pk]}
    operator.post(page("changelist"), form)
    point.refresh_from_db()
    assert point.verified_at is not None


def test_address_of_somebody_else_is_not_verified(
    operator: Client, point: ContactPoint, colleague: User
) -> None:
    operator.post(page("verify", point.pk))
    claimed = ContactPoint.objects.create(user=colleague, kind="phone", address=point.address)
    told = operator.post(page("verify", claimed.pk), follow=True)
    assert "belongs to somebody else" in told.content.decode()
    claimed.refresh_from_db()
    assert claimed.verified_at is None


@pytest.mark.parametrize(("kind", "address"), [("phone", "+447700900999"), ("telegram", "5550001")])
def test_change_takes_the_proof_away(
    operator: Client, point: ContactPoint, approver: User, kind: str, address: str
) -> None:
    operator.post(page("verify", point.pk))
    operator.post(page("change", point.pk), fields(approver, kind, address))
    point.refresh_from_db()
    assert (point.kind, point.address, point.verified_at) == (kind, address, None)


def test_order_and_use_leave_the_proof_alone(
    operator: Client, point: ContactPoint, approver: User
) -> None:
    operator.post(page("verify", point.pk))
    form = fields(approver, "phone", point.address) | {"use": "fallback", "position": 7}
    operator.post(page("change", point.pk), form)
    point.refresh_from_db()
    assert (point.use, point.position) == ("fallback", 7)
    assert point.verified_at is not None


def test_helpers_give_no_address_to_a_superuser(helper: Client) -> None:
    root = User.objects.create_superuser("root@example.com")
    theirs = ContactPoint.objects.create(user=root, kind="phone", address="+447700900123")
    answers = [
        helper.post(page("add"), fields(root, "email", "mine@example.com")),
        helper.post(page("change", theirs.pk), fields(root, "phone", "+447700900999")),
        helper.post(page("verify", theirs.pk)),
        helper.post(page("delete", theirs.pk), {"post": "yes"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 403]
    theirs.refresh_from_db()
    assert (theirs.address, theirs.verified_at) == ("+447700900123", None)
    assert root.contact_points.count() == 1


def test_helpers_hand_no_address_of_others_to_a_superuser(
    helper: Client, point: ContactPoint
) -> None:
    root = User.objects.create_superuser("root@example.com")
    answer = helper.post(page("change", point.pk), fields(root, "phone", point.address))
    assert answer.status_code == 403
    point.refresh_from_db()
    assert point.user != root


def test_staff_without_the_right_verify_nothing(point: ContactPoint) -> None:
    user = UserFactory(email="looker@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_contactpoint"))
    assert _browser_of(user).post(page("verify", point.pk)).status_code == 403
    point.refresh_from_db()
    assert point.verified_at is None


def test_id_that_nobody_has_is_no_error(operator: Client) -> None:
    assert operator.get(page("verify", 999)).status_code == 302
