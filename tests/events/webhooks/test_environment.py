"""The endpoint of LLM_BACKEND_HOST, the notices, the keys, the log's end, the tasks."""

import base64
import datetime as dt
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from pytest_django import Settings
from standardwebhooks import Webhook

from events import tasks
from events.models import WebhookEndpoint, WebhookMessage, WebhookSecret
from events.webhooks import endpoints, environment, notices, replays, selectors, sending
from hitl.accounts.models import Agent, Team, User
from hitl.doctor import webhooks as doctor
from hitl.lib.db import database_now
from hitl.lib.errors import InvalidInput, NotFound
from hitl.lib.sealing import Unreadable, is_current, unseal
from tests.accounts.factories import UserFactory
from tests.events.webhooks.hooks import Hook
from tests.receiver import Receiver
from tests.receiver import receiver as running
from tests.workflows.factories import decide, make_workflow

pytestmark = pytest.mark.django_db
MINE = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def platform(settings: Settings) -> Any:
    """The agents' platform on a private address, which the operator named and nobody listed."""
    with running() as found:
        settings.LLM_BACKEND_HOST = found.url
        settings.OUTBOUND_ALLOW, settings.OUTBOUND_ALLOW_HTTP = [], False
        environment.sync()
        yield found


def row() -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=environment.ENDPOINT_ID)


def test_outcomes_of_all_teams_arrive_there(
    platform: Receiver, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected")
    sending.drain(environment.ENDPOINT_ID)
    secret = environment.secret()
    told = [Webhook(secret).verify(each.body, each.headers) for each in platform.ledger]
    assert [each["type"] for each in told] == ["human.responded", "workflow.rejected"]
    assert told[0]["data"]["status"] == "REJECTED"
    assert told[0]["data"]["teamId"] == str(agent.team_id)


def test_it_follows_the_environment(platform: Receiver, settings: Settings) -> None:
    made, secret = row(), environment.secret()
    environment.sync()
    assert (row().updated_at, environment.secret()) == (made.updated_at, secret)
    settings.LLM_BACKEND_SECRET = MINE
    settings.LLM_BACKEND_HOST = "agents.example.com/in"
    environment.sync()
    assert (row().url, environment.secret()) == ("https://agents.example.com/in", MINE)
    settings.LLM_BACKEND_HOST = ""
    environment.sync()
    assert not row().is_active
    settings.LLM_BACKEND_HOST = platform.url
    environment.sync()
    assert row().is_active


def test_what_switched_itself_off_stays_off(platform: Receiver) -> None:
    WebhookEndpoint.objects.update(is_active=False, disabled_reason="gone")
    environment.sync()
    assert not row().is_active


@pytest.mark.parametrize("bad", ["ftp://x.example.com", "https://a:b@example.com", "https://"])
def test_a_bad_address_is_no_endpoint_and_a_failed_check(settings: Settings, bad: str) -> None:
    settings.LLM_BACKEND_HOST = bad
    assert environment.check()
    assert environment.sync() is None
    assert not WebhookEndpoint.objects.exists()
    assert doctor.look()[0].level == "fail"


def test_a_bad_secret_is_a_failed_check(settings: Settings) -> None:
    settings.LLM_BACKEND_HOST, settings.LLM_BACKEND_SECRET = (
        "https://x.example.com",
        "whsec_c2hvcnQ=",
    )
    assert "LLM_BACKEND_SECRET" in environment.check()


def test_only_its_own_host_is_permitted_by_it(platform: Receiver, team: Team, agent: Agent) -> None:
    hook = endpoints.create(team_id=team.pk, url="https://hooks.example.com/").endpoint
    WebhookEndpoint.objects.filter(pk=hook.pk).update(url=platform.url)
    make_workflow(agent)
    sending.drain(hook.pk)
    assert platform.ledger == []


def test_nobody_manages_it(platform: Receiver, manager: User) -> None:
    with pytest.raises(NotFound):
        selectors.get(environment.ENDPOINT_ID, manager)


def test_the_doctor_shows_the_secret_that_was_made(platform: Receiver, settings: Settings) -> None:
    assert environment.secret() in " ".join(each.says for each in doctor.look())
    settings.LLM_BACKEND_SECRET = MINE
    environment.sync()
    assert MINE not in " ".join(f"{each}" for each in doctor.look())


def test_the_owners_are_told_once(hook: Hook, agent: Agent, manager: User, approver: User) -> None:
    claimed = _claim(hook, agent)
    sending.settle(claimed, sending.Result(status=410, error="The endpoint answered 410."))
    tasks.sweep_webhooks()
    tasks.sweep_webhooks()
    [letter] = mail.outbox
    assert letter.to == [manager.email]
    assert "410" in letter.body
    assert f"/webhooks/{hook.endpoint.pk}/" in letter.body


def _claim(hook: Hook, agent: Agent) -> sending.Claimed:
    make_workflow(agent)
    claimed = sending.claim(hook.endpoint.pk)
    assert claimed is not None
    return claimed


def test_switching_off_by_hand_needs_no_notice(hook: Hook, manager: User) -> None:
    endpoints.change(hook.endpoint.pk, {"is_active": False})
    tasks.sweep_webhooks()
    assert mail.outbox == []


def test_administrators_are_told_of_the_environments(platform: Receiver, agent: Agent) -> None:
    UserFactory(email="root@example.com", is_superuser=True)
    assert list(notices.owners(row())) == ["root@example.com"]


def test_keys_are_rotated_and_none_is_dropped_too_early(
    hook: Hook, agent: Agent, receiver: Receiver, settings: Settings
) -> None:
    first, second = "1" * 40, "2" * 40
    secret = WebhookSecret.objects.get()
    settings.ENCRYPTION_KEYS = [first]
    call_command("rotate_keys")
    secret.refresh_from_db()
    assert is_current(secret.sealed)
    settings.ENCRYPTION_KEYS = [second, first]
    assert unseal(secret.sealed) == hook.secret
    assert not is_current(secret.sealed)
    settings.ENCRYPTION_KEYS = [second]
    with pytest.raises(Unreadable):
        unseal(secret.sealed)
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("rotate_keys")
    assert doctor.look()[-1].level == "fail"
    settings.ENCRYPTION_KEYS = [second, first]
    call_command("rotate_keys")
    settings.ENCRYPTION_KEYS = [second]
    make_workflow(agent)
    hook.drain()
    assert hook.verify(receiver.ledger[0])


def test_a_dump_of_the_database_holds_no_secret(hook: Hook) -> None:
    raw = hook.secret.removeprefix("whsec_")
    for stored in WebhookSecret.objects.values():
        assert raw not in str(stored)
        assert raw not in str(base64.urlsafe_b64decode(stored["sealed"]))


def test_the_log_is_emptied_of_what_is_long_over(
    hook: Hook, agent: Agent, settings: Settings
) -> None:
    for _ in range(3):
        make_workflow(agent)
    done, waits, new = hook.messages()
    old = database_now() - dt.timedelta(days=settings.WEBHOOK_LOG_DAYS + 1)
    WebhookMessage.objects.filter(pk=done.pk).update(status="delivered", created_at=old)
    WebhookMessage.objects.filter(pk=waits.pk).update(created_at=old)
    WebhookMessage.objects.filter(pk=new.pk).update(status="failed", next_attempt_at=None)
    tasks.forget_webhooks()
    assert {each.pk for each in hook.messages()} == {waits.pk, new.pk}


def test_the_sweep_wakes_who_has_something_due(hook: Hook, agent: Agent, team: Team) -> None:
    now = database_now() + dt.timedelta(seconds=1)
    assert selectors.due_endpoints(now, limit=10) == []
    make_workflow(agent)
    assert selectors.due_endpoints(database_now(), limit=10) == [hook.endpoint.pk]
    rests = {"rests_until": now + dt.timedelta(hours=1)}
    off = {"rests_until": None, "is_active": False, "disabled_reason": "gone"}
    for changes in (rests, off):
        WebhookEndpoint.objects.update(**changes)
        assert selectors.due_endpoints(database_now(), limit=10) == []


def test_a_range_that_is_too_large_is_refused(
    hook: Hook, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MAX_EVENTS", 2)
    for _ in range(3):
        make_workflow(agent)
    now = database_now()
    day = dt.timedelta(days=1)
    with pytest.raises(InvalidInput, match="more than 2 events"):
        replays.replay(hook.endpoint.pk, since=now - day, until=now + day)
