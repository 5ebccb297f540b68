"""`manage.py up` for real: what the first start sends through the played providers, and answers."""

import os
import re
from collections.abc import Iterator
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from tests.embedded import PASSWORD, Embedded, running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it is about SQLite"),
]
ADMIN = "admin@example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server as a newcomer starts it; the proxy must not get in the way."""
    # As in an office: the way out is a proxy, here one that nobody answers at.
    variables = {"HITL_BOOTSTRAP_EMAIL": "", "HTTP_PROXY": "http://127.0.0.1:9"}
    with running(tmp_path_factory.mktemp("channels"), **variables) as embedded:
        yield embedded


class Browser:
    """A logged-in person's browser without scripts."""

    def __init__(self, server: Embedded) -> None:
        self.base = f"http://localhost:{server.port}"
        self.cookies = CookieJar()
        self.opener: OpenerDirector = build_opener(HTTPCookieProcessor(self.cookies))
        self.get("/login/")
        self.post("/login/", username=ADMIN, password=PASSWORD)

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=20) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> str:
        token = next(str(each.value) for each in self.cookies if each.name == "csrftoken")
        body = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        with self.opener.open(self.base + path, body, timeout=20) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def browser(server: Embedded) -> Browser:
    return Browser(server)


def newest(server: Embedded, channel: str, words: str) -> tuple[int, str, str]:
    """The message about a request on somebody's screen: its number, the screen, its text."""
    query = (
        "SELECT id, recipient, text, payload FROM deliveries_sandboxmessage WHERE kind = 'message' "  # noqa: S608
        f"AND channel = '{channel}' ORDER BY id DESC"
    )
    found: list[tuple[int, str, str]] = []

    def look() -> bool:
        rows = [row for row in server.query(query) if words in row[2] + row[3]]
        found[:] = [(row[0], row[1], row[2]) for row in rows]
        return bool(found)

    until(look, 20, what=lambda: f"no {channel} message: {deliveries(server)}")
    return found[0]


def deliveries(server: Embedded) -> list[tuple[str, str, int, str]]:
    """How far they all are."""
    query = "SELECT channel, status, attempts, last_error FROM deliveries_delivery"
    return server.query(query)


def requested(server: Embedded, name: str) -> dict[str, str]:
    items = server.call("GET", "/api/v1/workflows?limit=100").json["items"]
    return next(item for item in items if item["name"] == name)


@pytest.mark.parametrize("channel", ["email", "slack", "sms", "telegram"])
def test_first_start_shows_something_on_every_channel(server: Embedded, channel: str) -> None:
    newest(server, channel, "Refund order A-1009")


def test_slack_message_is_approved_in_the_sandbox(server: Embedded, browser: Browser) -> None:
    number, screen, _ = newest(server, "slack", "Export the orders")
    path = f"/sandbox/chats/slack/{screen}/"
    assert "Export the orders of last month" in browser.get(path)

    page = browser.post(f"{path}press/", message=str(number), press="hitl_approve")

    workflow = requested(server, "Export the orders of last month")
    assert workflow["status"] in ("APPROVED", "EXECUTING", "COMPLETED")
    assert "in Slack at" in page
    events = server.events(workflow)
    assert {"approval.sent.slack", "approval.sent.sms", "approval.sent.telegram"} <= set(events)


def test_form_of_slack_opens_and_decides(server: Embedded, browser: Browser) -> None:
    number, screen, _ = newest(server, "slack", "Answer Jordan Lee")
    path = f"/sandbox/chats/slack/{screen}/"

    page = browser.post(f"{path}press/", message=str(number), press="hitl_reject")
    form = re.search(r'name="form" value="(\d+)"', page)
    assert form is not None
    typed = {"form": form[1], "press": "submit", "comment comment": "Ask the carrier first"}
    browser.post(f"{path}form/", **typed)

    workflow = requested(server, "Answer Jordan Lee about the delayed order")
    assert (workflow["status"], workflow["feedback"]) == ("REJECTED", "Ask the carrier first")


def test_text_message_decides(server: Embedded, browser: Browser) -> None:
    server.create(actionType="data.export", actionData={"month": "2026-09"}, name="One more export")
    _, screen, text = newest(server, "sms", "One more export")
    code = text.partition("Reply YES ")[2][:5]

    page = browser.post(f"/sandbox/chats/sms/{screen}/say/", text=f"YES {code}")

    assert "Approved by Admin in SMS" in page
    until(lambda: requested(server, "One more export")["status"] == "COMPLETED", 15)


def test_telegram_button_decides(server: Embedded, browser: Browser) -> None:
    server.create(name="One for Telegram")
    number, screen, _ = newest(server, "telegram", "One for Telegram")
    path = f"/sandbox/chats/telegram/{screen}/"
    data = re.search(rf'value="{number}">.*?value="(a:[0-9a-f]+)"', browser.get(path), re.DOTALL)
    assert data is not None

    page = browser.post(f"{path}press/", message=str(number), press=data[1])

    assert "Approved by Robin Chen in Telegram" in page
    assert requested(server, "One for Telegram")["status"] in ("APPROVED", "EXECUTING")


def test_nothing_went_wrong_on_the_way(server: Embedded) -> None:
    failed = server.query("SELECT channel, last_error FROM deliveries_delivery WHERE attempts > 1")
    assert failed == []
    assert "Traceback" not in server.output
