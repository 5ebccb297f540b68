"""`manage.py up` with Slack's app token: clicks come in through a socket that it opens itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.embedded import EMAIL, Embedded, running, until
from tests.standins.slack import (
    Posted,
    SlackServer,
    SocketServer,
    click,
    slack_server,
    socket_server,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it is about SQLite"),
]
OPEN = "/api/apps.connections.open"
# Twice what a loaded machine of two processors takes, as in test_up.
QUICK_STOP = 6.0
LINK = """
from hitl.accounts.linking import link
from hitl.accounts.models import User
link(User.objects.get(email="{email}"), "slack", "{address}")
"""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def socket(slack: SlackServer) -> Iterator[SocketServer]:
    with socket_server() as server:
        slack.workspace.socket_url = server.url
        yield server


@contextmanager
def up(folder: Path, slack: SlackServer, **changes: str) -> Iterator[Embedded]:
    """An embedded server that uses this Slack, without any public address."""
    variables = {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.workspace.token,
        "SLACK_APP_TOKEN": slack.workspace.app_token,
    }
    with running(folder / "data", **(variables | changes)) as embedded:
        yield embedded


def asked_in_slack(server: Embedded, slack: SlackServer) -> tuple[dict[str, object], Posted]:
    """A request and the message about it in the person's Slack."""
    address = f"{slack.workspace.team}:U0ANN"
    code = LINK.format(email=EMAIL, address=address)
    linked = server.manage("shell", "--verbosity=0", "-c", code)
    assert linked.returncode == 0, linked.stderr
    workflow = server.create(name="Refund order A-1010")

    def found() -> list[Posted]:
        return [post for post in slack.workspace.posts if "A-1010" in post.seen]

    until(found, 20, what=lambda: server.output[-3000:])
    return workflow, found()[0]


def calls(slack: SlackServer) -> int:
    """How often somebody wanted a socket."""
    return sum(call.path == OPEN for call in slack.ledger)


def test_click_decides_through_the_socket(
    tmp_path: Path, slack: SlackServer, socket: SocketServer
) -> None:
    with up(tmp_path, slack) as server:
        socket.wait_for_connection(20)
        workflow, post = asked_in_slack(server, slack)
        envelope = socket.push(click(slack.workspace, post, "hitl_approve"))
        assert socket.answer(10) == {"envelope_id": envelope}
        assert server.get(workflow)["status"] == "APPROVED"
        until(lambda: not post.buttons, 15)
        assert "Approved" in post.seen
        assert server.stop() == 0
        assert "Traceback" not in server.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_quickly_and_hangs_up(
    tmp_path: Path, slack: SlackServer, socket: SocketServer, number: int
) -> None:
    with up(tmp_path, slack) as server:
        socket.wait_for_connection(20)
        [connection] = socket.connections
        began = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - began < QUICK_STOP
        assert "everything is kept" in server.output
        assert "cut off" not in server.output
        until(lambda: connection.close_code is not None, 5)


def test_starts_without_slack_and_connects_once_it_is_back(
    tmp_path: Path, slack: SlackServer, socket: SocketServer
) -> None:
    slack.refuse("internal_error", "apps.connections.open")
    with up(tmp_path, slack) as server:
        until(lambda: calls(slack) >= 2, 20)
        assert server.call("GET", "/api/v1/workflows").status == 200
        slack.refusals.clear()
        socket.wait_for_connection(20)
        assert slack.workspace.app_token not in server.output


def test_stops_while_slack_is_away(tmp_path: Path, slack: SlackServer) -> None:
    slack.refuse("invalid_auth", "apps.connections.open")
    with up(tmp_path, slack) as server:
        until(lambda: calls(slack) >= 1, 20)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < QUICK_STOP


def test_opens_no_socket_where_clicks_are_posted(tmp_path: Path, slack: SlackServer) -> None:
    posted = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": slack.workspace.signing_secret}
    with up(tmp_path, slack, **posted) as server:
        asked_in_slack(server, slack)
        assert server.stop() == 0
        assert calls(slack) == 0
