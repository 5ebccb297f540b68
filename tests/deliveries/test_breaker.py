"""A provider that asked for rest, or fell silent, is left alone; nobody else waits for it."""

import datetime as dt
from collections.abc import Iterator

import pytest
import time_machine
from django.core.cache.backends.locmem import LocMemCache
from pytest_django import Settings

from deliveries import breaker, services
from deliveries.models import Delivery
from hitl.accounts.linking import link
from hitl.accounts.models import Agent, User
from hitl.lib.db import database_now
from tests.deliveries.smtp import MailServer
from tests.standins.server import Said
from tests.standins.slack import SlackServer, slack_server
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db(transaction=True)
TOO_MANY = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"})


@pytest.fixture
def slack(settings: Settings, approver: User) -> Iterator[SlackServer]:
    """The approver is asked in Slack as well as by mail."""
    with slack_server(settings) as server:
        link(approver, "slack", f"{server.workspace.team}:U0ANN")
        yield server


def asked(agent: Agent, channel: str, number: int = 1) -> list[Delivery]:
    """Some requests: their messages over this channel, not sent yet."""
    made = [make_workflow(agent).pk for _ in range(number)]
    rows = Delivery.objects.filter(workflow__in=made, channel=channel)
    return list(rows.order_by("created_at"))


def test_nothing_is_sent_in_the_time_the_provider_asked_for(
    agent: Agent, slack: SlackServer
) -> None:
    rows = asked(agent, "slack", 20)
    slack.does = TOO_MANY
    services.send(rows[0].pk)
    slack.does = "answer"
    until = database_now() + dt.timedelta(seconds=29)
    for row in rows[1:]:
        services.send(row.pk)
        row.refresh_from_db()
        assert (row.attempts, row.claimed_at) == (0, None), "waiting is no attempt"
        assert row.next_retry_at is not None
        assert until < row.next_retry_at < until + dt.timedelta(seconds=10)
    assert len(slack.ledger) == 1
    assert len({row.next_retry_at for row in rows[1:]}) > 10, "they do not all knock at once"


def test_afterwards_everything_goes_out(agent: Agent, slack: SlackServer) -> None:
    first, second = asked(agent, "slack", 2)
    slack.does = TOO_MANY
    services.send(first.pk)
    slack.does = "answer"
    assert 29 < breaker.seconds_left("slack") <= 30
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=31)):
        assert breaker.seconds_left("slack") == 0
        services.send(second.pk)
    second.refresh_from_db()
    assert second.status == "delivered"


def test_other_channels_go_on(agent: Agent, slack: SlackServer, smtp: MailServer) -> None:
    breaker.rest("slack", 300)
    assert breaker.resting() == ["slack"]
    [mail] = asked(agent, "email")
    services.send(mail.pk)
    mail.refresh_from_db()
    assert mail.status == "sent"


def test_third_silence_in_a_row_lets_the_channel_rest(
    agent: Agent, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty mails to a server that hangs hold the workers up three times, not twenty."""
    monkeypatch.setattr(services, "SILENT_SECONDS", 0.3)
    rows = asked(agent, "email", 20)
    smtp.does = "hang"
    for row in rows:
        services.send(row.pk)
    assert smtp.attempts == breaker.SILENCES
    assert breaker.seconds_left("email") > breaker.REST_SECONDS - 5


def test_an_answer_ends_the_row_of_silences() -> None:
    for _ in range(breaker.SILENCES - 1):
        breaker.note_silence("sms")
    breaker.note_answer("sms")
    breaker.note_silence("sms")
    assert breaker.resting() == []
    for _ in range(breaker.SILENCES - 1):
        breaker.note_silence("sms")
    assert breaker.resting() == ["sms"]


def test_a_name_that_is_not_found_is_a_passing_trouble(
    agent: Agent, slack: SlackServer, settings: Settings
) -> None:
    settings.SLACK_API_URL = "http://slack.invalid/api/"
    [row] = asked(agent, "slack")
    services.send(row.pk)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.claimed_at) == ("pending", 1, None)
    assert "cannot be reached" in row.last_error


class DyingCache(LocMemCache):
    """Redis is there before the message goes out, and gone afterwards."""

    def delete(self, *_: object, **__: object) -> bool:
        raise ConnectionError("gone")


def test_what_went_out_is_noted_though_the_cache_dies(
    agent: Agent, smtp: MailServer, settings: Settings
) -> None:
    settings.CACHES = {"default": {"BACKEND": "tests.deliveries.test_breaker.DyingCache"}}
    row = asked(agent, "email")[0]
    with pytest.raises(ConnectionError):
        services.send(row.pk)
    row.refresh_from_db()
    assert (row.status, row.claimed_at) == ("sent", None)
    assert smtp.attempts == 1
