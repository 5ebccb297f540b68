"""Socket Mode against a real WebSocket server that speaks it."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.http import HttpRequest
from pytest_django import Settings

from deliveries.channels.base import Answer, Reply, Report
from deliveries.channels.slack import SlackChannel
from deliveries.channels.slack.socket_mode import SocketMode
from tests.deliveries.channels.slack.conftest import KEY, pressed, send
from tests.deliveries.factories import make_message
from tests.standins.slack import SlackServer, SocketServer, click, socket_server, submit


class View:
    """Acts as the callback view does, without its books."""

    def __init__(self) -> None:
        self.parsed: list[Reply | Report] = []
        self.problem = ""
        self.error: Exception | None = None

    def __call__(self, request: HttpRequest) -> Answer:
        channel = SlackChannel()
        channel.verify(request)
        self.parsed += channel.parse(request)
        if self.error:
            raise self.error
        return channel.acknowledge(request, self.problem)


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
def socket(slack: SlackServer) -> Iterator[SocketServer]:
    with socket_server() as server:
        slack.workspace.socket_url = server.url
        yield server


@pytest.fixture
def running(socket: SocketServer, view: View) -> Iterator[SocketMode]:
    """A connection that stands."""
    thread = SocketMode(view)
    thread.start()
    socket.wait_for_connection()
    yield thread
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "never came"
        time.sleep(0.01)


def test_press_arrives_and_is_acknowledged(
    slack: SlackServer, socket: SocketServer, running: SocketMode, view: View
) -> None:
    send()
    envelope = socket.push(click(slack.workspace, slack.workspace.last, "hitl_approve"))
    assert socket.answer() == {"envelope_id": envelope}
    [reply] = view.parsed
    assert isinstance(reply, Reply)
    assert (reply.decision, reply.reference) == ("approved", KEY)
    eventually(lambda: running.is_connected)


def test_problem_comes_back_into_the_modal(
    slack: SlackServer, socket: SocketServer, running: SocketMode, view: View
) -> None:
    send()
    SlackChannel().ask(pressed(slack.workspace, "hitl_reject"), make_message(), [])
    view.problem = "Already approved by Carl."
    post = submit(slack.workspace, slack.workspace.views[-1], {"Why not?": "No."})
    envelope = socket.push(post)
    said = {"response_action": "errors", "errors": {"comment": "Already approved by Carl."}}
    assert socket.answer() == {"envelope_id": envelope, "payload": said}


def test_what_could_not_be_done_is_not_acknowledged(
    slack: SlackServer, socket: SocketServer, running: SocketMode, view: View
) -> None:
    """Slack tells the person, who presses again: better than a green tick over a lost answer."""
    send()
    view.error = RuntimeError("no database")
    socket.push(click(slack.workspace, slack.workspace.last, "hitl_approve"))
    with pytest.raises(queue.Empty):
        socket.answer(1.0)
    view.error = None
    socket.push(click(slack.workspace, slack.workspace.last, "hitl_approve"))
    assert socket.answer()


def test_comes_back_when_slack_asks_for_a_new_connection(
    slack: SlackServer, socket: SocketServer, running: SocketMode, view: View
) -> None:
    send()
    socket.disconnect()
    socket.wait_for_connection()
    socket.push(click(slack.workspace, slack.workspace.last, "hitl_approve"))
    assert socket.answer(10)  # the SDK first waits three seconds for the old connection


def test_keeps_trying_until_slack_can_be_reached(
    slack: SlackServer, socket: SocketServer, view: View
) -> None:
    slack.refuse("internal_error", "apps.connections.open")
    thread = SocketMode(view)
    thread.start()
    eventually(lambda: len(slack.ledger) >= 1)
    assert not thread.is_connected
    slack.refusals.clear()
    socket.wait_for_connection()
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_hangs_up_at_once(slack: SlackServer, socket: SocketServer, view: View) -> None:
    """A server that is told to stop has two seconds for everything."""
    thread = SocketMode(view)
    thread.start()
    socket.wait_for_connection()
    eventually(lambda: thread.is_connected)
    began = time.monotonic()
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 1.5
    eventually(lambda: socket.connections[0].close_code is not None)
    with pytest.raises(TimeoutError):
        socket.wait_for_connection(0.5)


def test_stops_while_it_is_still_trying(slack: SlackServer, view: View) -> None:
    slack.workspace.app_token = "xapp-another"
    thread = SocketMode(view)
    thread.start()
    eventually(lambda: len(slack.ledger) >= 1)
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert not [each for each in threading.enumerate() if each is thread]


@pytest.mark.parametrize("missing", ["SLACK_APP_TOKEN", "SLACK_BOT_TOKEN"])
def test_needs_both_tokens(slack: SlackServer, settings: Settings, missing: str) -> None:
    assert SocketMode.is_configured()
    setattr(settings, missing, "")
    assert not SocketMode.is_configured()
