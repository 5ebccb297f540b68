"""A Slack for each test, and requests as Django would hand them to the callback view."""

from collections.abc import Iterator

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from pytest_django import Settings

from deliveries.channels.base import Message, Receipt, Reply
from deliveries.channels.slack import SlackChannel, api
from tests.deliveries.factories import make_message
from tests.standins.slack import Post, SlackServer, Workspace, click, slack_server

ANN = "T0HITL:U0ANN"
KEY = "0193aaaa-0000-7000-8000-000000000001"


@pytest.fixture
def slack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    monkeypatch.setattr(api, "TIMEOUT", 1)
    with slack_server(settings) as server:
        yield server


@pytest.fixture
def workspace(slack: SlackServer) -> Workspace:
    return slack.workspace


def request_of(post: Post) -> HttpRequest:
    return RequestFactory().post(
        post.path, data=post.body, content_type=post.content_type, headers=dict(post.headers)
    )


def send(message: Message | None = None, *, to: str = ANN, key: str = KEY) -> Receipt:
    return SlackChannel().send(message or make_message(), to=to, key=key)


def pressed(workspace: Workspace, action_id: str, user: str = "U0ANN") -> Reply:
    """What a press on the newest message parses to."""
    channel = SlackChannel()
    request = request_of(click(workspace, workspace.last, action_id, user))
    channel.verify(request)
    [reply] = channel.parse(request)
    assert isinstance(reply, Reply)
    return reply
