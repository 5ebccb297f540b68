"""Keys, tokens and members."""

import datetime as dt

import pytest
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from hitl.accounts import keys
from hitl.accounts.authentication import find_key, find_principal
from hitl.accounts.models import Agent, ApiKey, ContactPoint, Role, Team, User
from hitl.accounts.services import (
    add_member,
    issue_agent_token,
    issue_key,
    issue_user_token,
    make_guest,
    revoke_key,
)
from hitl.lib.errors import InvalidInput
from tests.accounts.factories import UserFactory


class TestKeys:
    def test_only_the_digest_is_kept(self, agent: Agent) -> None:
        row, key = issue_key(agent, name="ci")
        stored = ApiKey.objects.filter(pk=row.pk).values().get()
        assert key not in str(stored)
        assert stored["digest"] == keys.digest(key)
        assert find_key(key) == row

    def test_a_preset_key_is_taken_as_it_is(self, agent: Agent) -> None:
        mine = keys.generate()
        assert issue_key(agent, key=mine)[1] == mine

    @pytest.mark.parametrize("key", ["secret", keys.PREFIX + "x" * 36])
    def test_a_malformed_preset_key_is_refused(self, agent: Agent, key: str) -> None:
        with pytest.raises(InvalidInput, match="create_key"):
            issue_key(agent, key=key)

    def test_unknown_scopes_are_refused(self, agent: Agent) -> None:
        with pytest.raises(InvalidInput, match="decide"):
            issue_key(agent, scopes=["read", "decide"])
        assert not ApiKey.objects.exists()

    def test_revoking_twice_keeps_the_first_time(self, agent: Agent) -> None:
        row, key = issue_key(agent)
        revoke_key(row)
        first = ApiKey.objects.get().revoked_at
        revoke_key(row)
        assert first is not None
        assert ApiKey.objects.get().revoked_at == first
        assert find_key(key) is None


class TestTokens:
    def test_name_whom_they_were_made_for(self, agent: Agent, approver: User) -> None:
        assert find_principal(issue_agent_token(agent)) == (agent, f"agent:{agent.pk}")
        assert find_principal(issue_user_token(approver)) == (approver, f"user:{approver.pk}")

    def test_live_as_long_as_they_were_given(self, approver: User) -> None:
        token = issue_user_token(approver, lifetime=dt.timedelta(seconds=-10))
        with pytest.raises(AuthenticationFailed):
            find_principal(token)


class TestMembers:
    def test_the_login_becomes_a_proved_address(self, team: Team) -> None:
        user = UserFactory(email="new@example.com")
        membership = add_member(team, user)
        point = ContactPoint.objects.get(user=user)
        assert membership.role == Role.APPROVER
        assert (point.kind, point.address) == ("email", "new@example.com")
        assert point.verified_at is not None

    def test_adding_again_changes_the_role_only(self, team: Team, approver: User) -> None:
        add_member(team, approver, Role.VIEWER)
        assert team.memberships.get(user=approver).role == Role.VIEWER
        assert ContactPoint.objects.filter(user=approver).count() == 1

    def test_an_address_somebody_has_proved_is_not_taken_from_them(
        self, team: Team, approver: User
    ) -> None:
        point = ContactPoint.objects.create(
            user=approver, kind="email", address="shared@example.com", verified_at=timezone.now()
        )
        add_member(team, UserFactory(email="shared@example.com"))
        point.refresh_from_db()
        assert point.user == approver
        assert ContactPoint.objects.filter(address="shared@example.com").count() == 1

    def test_guests_cannot_log_in(self, db: None) -> None:
        guest = make_guest("Guest@Example.com")
        assert guest.email == "guest@example.com"
        assert not guest.has_usable_password()
        assert make_guest("GUEST@example.com") == guest
