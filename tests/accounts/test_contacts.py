"""A proved address is one person's; a claimed one bars nobody."""

import pytest

from hitl.accounts import contacts, linking
from hitl.accounts.contacts import AddressTaken
from hitl.accounts.models import ContactPoint, User
from hitl.accounts.services import add_member
from hitl.lib.errors import NotFound

pytestmark = pytest.mark.django_db
PHONE = "+447700900123"


def addresses(user: User) -> list[str]:
    return [point.address for point in contacts.mine(user)]


def test_several_may_claim_but_one_proves(approver: User, colleague: User) -> None:
    claimed = [contacts.add(user, "phone", PHONE) for user in (approver, colleague)]
    contacts.prove(claimed[1])
    with pytest.raises(AddressTaken):
        contacts.prove(claimed[0])
    with pytest.raises(AddressTaken):
        contacts.add(approver, "phone", PHONE)


def test_database_settles_a_race(
    approver: User, colleague: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = [contacts.add(user, "phone", PHONE) for user in (approver, colleague)]
    contacts.prove(claimed[1])
    monkeypatch.setattr(contacts, "check_free", lambda *_: None)  # looked a moment too early
    with pytest.raises(AddressTaken):
        contacts.prove(claimed[0])
    claimed[1].refresh_from_db()
    assert claimed[1].verified_at


def test_proving_again_changes_nothing(approver: User) -> None:
    point = contacts.prove(contacts.add(approver, "phone", PHONE))
    first = point.verified_at
    assert contacts.prove(point).verified_at == first
    assert contacts.add(approver, "phone", PHONE) == point


def test_login_of_somebody_else_is_theirs_without_a_contact_point(
    approver: User, colleague: User
) -> None:
    ContactPoint.objects.filter(user=colleague).delete()
    with pytest.raises(AddressTaken):
        contacts.add(approver, "email", "carl@example.com")


def test_new_addresses_come_last_and_move(approver: User) -> None:
    phone = contacts.add(approver, "phone", PHONE)
    slack = contacts.add(approver, "slack", "T1:U1")
    assert addresses(approver) == ["ann@example.com", PHONE, "T1:U1"]
    contacts.move(approver, slack.pk, -1)
    contacts.move(approver, slack.pk, -1)
    contacts.move(approver, slack.pk, -1)
    contacts.move(approver, phone.pk, 1)
    assert addresses(approver) == ["T1:U1", "ann@example.com", PHONE]


def test_nobody_touches_what_is_anothers(approver: User, colleague: User) -> None:
    point = contacts.add(colleague, "phone", PHONE)
    for change in (
        lambda: contacts.get(approver, point.pk),
        lambda: contacts.set_use(approver, point.pk, "fallback"),
        lambda: contacts.move(approver, point.pk, 1),
        lambda: contacts.remove(approver, point.pk),
    ):
        with pytest.raises(NotFound):
            change()
    assert point in contacts.mine(colleague)


def test_member_who_claimed_the_login_has_it_proved(approver: User) -> None:
    ContactPoint.objects.filter(user=approver).delete()
    contacts.add(approver, "email", approver.email)
    add_member(approver.teams.get(), approver)
    [point] = contacts.mine(approver)
    assert point.verified_at


def test_code_links_once_and_only_what_it_was_made_for(approver: User, colleague: User) -> None:
    code = linking.issue(approver, "telegram")
    assert linking.redeem("slack", code, "42") is None
    assert linking.redeem("telegram", code, "42") == approver
    assert linking.redeem("telegram", code, "43") is None
    bound = linking.issue(approver, "telegram", address="44")
    assert linking.redeem("telegram", bound, "45") is None
    assert linking.redeem("telegram", bound, "44") == approver


def test_code_of_a_closed_account_is_no_good(approver: User) -> None:
    code = linking.issue(approver, "telegram")
    approver.is_active = False
    approver.save()
    assert linking.redeem("telegram", code, "42") is None


def test_linking_takes_nothing_from_anybody(approver: User, colleague: User) -> None:
    linking.link(colleague, "telegram", "42")
    with pytest.raises(AddressTaken):
        linking.redeem("telegram", linking.issue(approver, "telegram"), "42")
    assert "42" in addresses(colleague)
