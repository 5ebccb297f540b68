"""Who listens may do so as long as the credential is good; one check sees to it for everybody."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from django.test import Client
from django.utils import timezone

from hitl.accounts import standing
from hitl.accounts.authentication import Credential, by_secret
from hitl.accounts.models import Agent, ApiKey, Membership, Role, Team, User
from hitl.accounts.services import (
    SCOPES,
    add_member,
    issue_agent_token,
    issue_key,
    issue_user_token,
)
from hitl.accounts.standing import CHANGED, UNKNOWN, Listener, listener, objections
from hitl.lib.limits import TooOften
from tests.accounts.factories import TeamFactory, UserFactory
from workflows.api import listening
from workflows.api.listening import Room
from workflows.selectors import teams_of

pytestmark = pytest.mark.django_db


def by(secret: str) -> Listener:
    principal, credential = by_secret(secret)
    return listener(principal, credential, teams_of(principal))


def by_session(user: User) -> Listener:
    client = Client()
    client.force_login(user)
    key = client.session.session_key or ""
    return listener(user, Credential("session", key), teams_of(user))


def says(one: Listener) -> str:
    """The objection against this one, in the company of the others' credentials."""
    found = objections([one]).get(one)
    return found.says if found else ""


class TestObjections:
    @pytest.fixture
    def everybody(self, agent: Agent, api_key: str, approver: User) -> list[Listener]:
        secrets = [api_key, issue_agent_token(agent), issue_user_token(approver)]
        return [*map(by, secrets), by_session(approver)]

    def test_none_against_who_is_good(
        self, everybody: list[Listener], django_assert_max_num_queries: Any
    ) -> None:
        more = [by(issue_user_token(UserFactory())) for _ in range(20)]
        with django_assert_max_num_queries(6):
            assert objections([*everybody, *more]) == {}

    def test_a_revoked_key(self, api_key: str, agent: Agent) -> None:
        one, other = by(api_key), by(issue_key(agent)[1])
        ApiKey.objects.filter(pk=one.credential.id).update(revoked_at=timezone.now())
        assert (says(one), says(other)) == (UNKNOWN, "")

    def test_an_expired_key(self, api_key: str) -> None:
        one = by(api_key)
        ApiKey.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        assert says(one) == UNKNOWN

    def test_a_key_that_may_not_read_any_more(self, api_key: str) -> None:
        one = by(api_key)
        ApiKey.objects.update(scopes=["create"])
        assert says(one) == CHANGED

    def test_an_inactive_agent(self, api_key: str, agent: Agent) -> None:
        both = [by(api_key), by(issue_agent_token(agent))]
        Agent.objects.update(is_active=False)
        assert {found.says for found in objections(both).values()} == {UNKNOWN}

    def test_an_agent_that_moved(self, api_key: str, agent: Agent) -> None:
        both = [by(api_key), by(issue_agent_token(agent))]
        Agent.objects.update(team=TeamFactory(slug="others"))
        assert [found.says for found in objections(both).values()] == [CHANGED, CHANGED]

    def test_an_expired_token(self, approver: User) -> None:
        old = Credential("jwt", f"user:{approver.pk}", SCOPES, 1_700_000_000)
        assert says(listener(approver, old, teams_of(approver))) == UNKNOWN

    @pytest.mark.parametrize("of", [by_session, lambda user: by(issue_user_token(user))])
    def test_a_closed_account(self, approver: User, of: Callable[[User], Listener]) -> None:
        one = of(approver)
        User.objects.update(is_active=False)
        assert says(one) == UNKNOWN

    @pytest.mark.parametrize("of", [by_session, lambda user: by(issue_user_token(user))])
    def test_changed_memberships(self, approver: User, of: Callable[[User], Listener]) -> None:
        one = of(approver)
        add_member(TeamFactory(slug="others"), approver, Role.VIEWER)
        assert says(one) == CHANGED
        Membership.objects.all().delete()
        assert says(one) == CHANGED

    def test_another_role_in_the_same_team_changes_nothing(self, approver: User) -> None:
        one = by_session(approver)
        Membership.objects.update(role=Role.VIEWER)
        assert says(one) == ""

    def test_a_logout(self, approver: User) -> None:
        one, other = by_session(approver), by_session(approver)
        SessionStore(one.credential.id).delete()
        assert (says(one), says(other)) == (UNKNOWN, "")

    def test_a_session_that_is_over(self, approver: User) -> None:
        one = by_session(approver)
        model = SessionStore.get_model_class()
        model.objects.update(expire_date=timezone.now() - dt.timedelta(seconds=1))
        assert says(one) == UNKNOWN

    def test_a_changed_password(self, approver: User) -> None:
        one = by_session(approver)
        approver.set_password("something else entirely")
        approver.save()
        assert says(one) == UNKNOWN

    def test_somebody_else_in_the_same_session(self, approver: User, colleague: User) -> None:
        one = by_session(approver)
        other = listener(colleague, one.credential, one.teams)
        assert (says(one), says(other)) == ("", UNKNOWN)

    def test_a_session_nobody_knows(self, approver: User) -> None:
        made_up = Credential("session", "nosuchsession0000000000000000000")
        assert says(listener(approver, made_up, teams_of(approver))) == UNKNOWN


def of_nobody(name: str = "agent:1") -> Listener:
    return Listener(name, Credential("api_key", name), frozenset())


class TestRoom:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture(autouse=True)
    async def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        monkeypatch.setattr(listening, "CHECK_SECONDS", 0.05)
        yield
        await sync_to_async(connections.close_all)()

    async def test_the_check_ends_who_may_not_listen(self, api_key: str, team: Team) -> None:
        room, one = Room(), await sync_to_async(by)(api_key)
        with room.seat(one) as first, room.seat(one) as second:
            await asyncio.sleep(0.3)
            assert not first.ended.done()
            await ApiKey.objects.aupdate(revoked_at=timezone.now())
            async with asyncio.timeout(5):
                ends = await asyncio.gather(first.ended, second.ended)
        assert {end.says for end in ends if end} == {UNKNOWN}

    async def test_one_look_for_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        looks: list[int] = []

        def look(some: list[Listener]) -> dict[Any, Any]:
            looks.append(len(some))
            return {}

        monkeypatch.setattr(standing, "objections", look)
        room = Room()
        seats = [room.seat(of_nobody(f"agent:{number}")) for number in range(500)]
        for seat in seats:
            seat.__enter__()
        await asyncio.sleep(0.3)
        for seat in seats:
            seat.__exit__(None, None, None)
        assert set(looks) == {500}
        assert len(looks) < 10
        assert room._check is None
        assert not room._open

    async def test_a_look_that_fails_is_taken_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        looks: list[int] = []

        def look(some: list[Listener]) -> Any:
            looks.append(1)
            if len(looks) < 3:
                raise ConnectionError("no database")
            return {each: standing.Objection(UNKNOWN, is_unknown=True) for each in some}

        monkeypatch.setattr(standing, "objections", look)
        with Room().seat(of_nobody()) as seat:
            async with asyncio.timeout(5):
                assert await seat.ended

    async def test_places_are_limited_and_given_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listening, "OPEN_PER_AGENT", 2)
        room, one = Room(), of_nobody()
        with room.seat(one):
            with room.seat(one), pytest.raises(TooOften, match="2 streams"), room.seat(one):
                pass
            with room.seat(one), room.seat(of_nobody("agent:2")):
                pass
            with room.seat(one, is_counted=False), room.seat(one):
                pass

    async def test_a_person_has_one_limit_for_all_devices(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "OPEN_PER_PERSON", 1)
        room = Room()
        phone = Listener("user:1", Credential("session", "a"), frozenset())
        laptop = Listener("user:1", Credential("jwt", "user:1"), frozenset())
        with room.seat(phone), pytest.raises(TooOften), room.seat(laptop):
            pass

    async def test_a_stop_ends_everybody(self) -> None:
        room = Room()
        with room.seat(of_nobody()) as before:
            room.close()
            with room.seat(of_nobody()) as late:
                assert [await before.ended, await late.ended] == [None, None]
