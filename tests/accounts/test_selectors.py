"""Who is in a team, who may decide, and whose address it is."""

import pytest
from django.utils import timezone

from hitl.accounts import selectors
from hitl.accounts.models import ContactPoint, Team, User


def point(user: User, address: str, *, proved: bool = True, kind: str = "email") -> ContactPoint:
    verified_at = timezone.now() if proved else None
    return ContactPoint.objects.create(
        user=user, kind=kind, address=address, verified_at=verified_at
    )


@pytest.mark.usefixtures("viewer", "stranger")
class TestApprovers:
    def test_are_members_whose_role_decides(
        self, team: Team, approver: User, manager: User
    ) -> None:
        assert selectors.approvers(team.pk) == [approver, manager]

    def test_closed_accounts_are_left_out(self, team: Team, approver: User, manager: User) -> None:
        User.objects.filter(pk=approver.pk).update(is_active=False)
        assert selectors.approvers(team.pk) == [manager]
        assert selectors.membership(team.pk, approver.pk) is None

    def test_are_found_by_login_or_proved_address_in_any_case(
        self, team: Team, approver: User, viewer: User, stranger: User
    ) -> None:
        point(approver, "ann@home.example")
        point(approver, "ann@claimed.example", proved=False)
        wanted = ["ANN@example.com", "Ann@Home.example", "ann@claimed.example"]
        found = selectors.approvers_by_email(team.pk, [*wanted, viewer.email, stranger.email])
        assert found == {"ann@example.com": approver, "ann@home.example": approver}


class TestMembership:
    def test_is_of_this_team_only(self, team: Team, approver: User, stranger: User) -> None:
        found = selectors.membership(team.pk, approver.pk)
        assert found is not None
        assert found.user == approver
        assert selectors.membership(team.pk, stranger.pk) is None
        assert list(selectors.teams_of(approver)) == [team]


class TestAddresses:
    def test_belong_to_who_logs_in_with_or_has_proved_them(self, approver: User) -> None:
        point(approver, "ann@home.example")
        assert selectors.by_address("Ann@Example.com") == approver
        assert selectors.by_address("ANN@home.example") == approver
        assert selectors.by_address("nobody@example.com") is None

    def test_claimed_ones_belong_to_nobody(self, approver: User) -> None:
        point(approver, "U1", kind="slack", proved=False)
        assert selectors.by_contact("slack", "U1") is None
        ContactPoint.objects.filter(address="U1").update(verified_at=timezone.now())
        assert selectors.by_contact("slack", "U1") == approver
        User.objects.update(is_active=False)
        assert selectors.by_contact("slack", "U1") is None
