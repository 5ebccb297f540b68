"""The sandbox as its visitors use it: screens read as text, buttons pressed by what they say."""

import html
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from deliveries.models import SandboxMessage
from deliveries.sandbox import slack, sms, telegram
from hitl import sandbox_accounts
from hitl.accounts.linking import link
from hitl.accounts.models import User
from hitl.celery import app
from tests.dashboard.browser import text

ADDRESSES: dict[str, Any] = {
    "slack": ("slack", slack.address),
    "sms": ("phone", sms.address),
    "telegram": ("telegram", telegram.address),
}


@contextmanager
def workers_at_once() -> Iterator[None]:
    """Tasks run where they are asked for."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def play(settings: Settings, server: LiveServer, folder: Path) -> None:
    """Turn the sandbox on, with all of its providers at the test's own server."""
    settings.SANDBOX = True
    settings.EMAIL_BACKEND = "deliveries.sandbox.EmailBackend"
    settings.SANDBOX_ACCOUNTS = sandbox_accounts.load(folder, server.url, {})
    for account in settings.SANDBOX_ACCOUNTS.values():
        for name, value in account.items():
            setattr(settings, name, value)


def reach(user: User, *channels: str) -> None:
    """Give somebody a screen of these channels."""
    for channel in channels:
        kind, address = ADDRESSES[channel]
        link(user, kind, address(user))


class Screen:
    """One person's screen of one channel, in the browser of a member of staff."""

    def __init__(self, client: Client, channel: str, user: User) -> None:
        self.client = client
        self.address = (channel, ADDRESSES[channel][1](user))
        self.url = reverse("sandbox-chat", args=self.address)
        self.told = ""

    @property
    def rows(self) -> list[SandboxMessage]:
        """What is kept of it, oldest first."""
        channel, recipient = self.address
        rows = SandboxMessage.objects.filter(channel=channel, recipient=recipient)
        return list(rows.order_by("pk"))

    @property
    def last(self) -> SandboxMessage:
        return [row for row in self.rows if row.kind != "modal"][-1]

    @property
    def seen(self) -> str:
        """The words on it."""
        return words(text(self.client.get(f"{self.url}parts/")))

    def wait_for(self, what: str, seconds: float = 5.0) -> str:
        """The words on it once these are among them: some things happen beside the answer."""
        give_up = time.monotonic() + seconds
        while what not in self.seen and time.monotonic() < give_up:
            time.sleep(0.05)
        assert what in self.seen
        return self.seen

    def post(self, name: str, **fields: Any) -> str:
        """Send one of its forms, as a browser; the page that comes back, as words."""
        answer = self.client.post(reverse(name, args=self.address), fields, follow=True)
        assert answer.status_code == 200
        self.told = str(answer.request["QUERY_STRING"])
        return words(text(answer))

    def press(self, button: str, row: SandboxMessage | None = None, **fields: str) -> str:
        """Press a button by its id, under the newest message unless told otherwise."""
        chosen = row or [row for row in self.rows if row.kind == "message"][-1]
        return self.post("sandbox-press", message=chosen.pk, press=button, **fields)

    def say(self, words_: str, **fields: Any) -> str:
        """Write something."""
        return self.post("sandbox-say", text=words_, **fields)

    def fill_in(self, press: str = "submit", **labelled: str) -> str:
        """Fill in the open form by its labels, leaving the rest as it is."""
        modal = [row for row in self.rows if row.kind == "modal"][-1]
        fields: dict[str, Any] = {"form": modal.pk, "press": press}
        for block in modal.payload["view"]["blocks"]:
            if block["type"] == "input":
                label, element = block["label"]["text"], block["element"]
                initial = element.get("initial_option", {}).get("value", "")
                value = labelled.get(label, element.get("initial_value", initial))
                fields[f"{block['block_id']} {element['action_id']}"] = value
        return self.post("sandbox-form", **fields)


def words(page: str) -> str:
    """What a person reads on a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
