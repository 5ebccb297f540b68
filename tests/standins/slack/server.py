"""The workspace behind HTTP: Web API and response_urls."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

from pytest_django import Settings

from tests.standins.server import Call as Request
from tests.standins.server import Said, StandIn
from tests.standins.slack.workspace import Workspace

TOO_MANY = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"})
UNWELL = Said(500, raw=b"upstream is unwell")


class SlackServer(StandIn):
    """`refusals` is what single methods answer (`response_url` is one), carrying nothing out."""

    def __init__(self) -> None:
        super().__init__()
        self.workspace = Workspace(url=self.url)
        self.refusals: dict[str, Said] = {}

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def refuse(self, code: str, method: str = "chat.postMessage") -> None:
        """From now on answer a method with one of Slack's error codes."""
        self.refusals[method] = Said(200, {"ok": False, "error": code})

    def handle(self, call: Request) -> Said:
        """Carry out one call as Slack would."""
        method = call.path.removeprefix("/api/")
        if method == call.path:
            method = "response_url"
        if method in self.refusals:
            return self.refusals[method]
        if method == "response_url":
            token = call.path.rpartition("/")[2]
            status, said = self.workspace.respond(token, json.loads(call.body))
            return Said(status, raw=said.encode())
        return self._api(method, call)

    def _api(self, method: str, call: Request) -> Said:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if call.headers.get("content-type", "").startswith("application/json"):
            arguments = json.loads(call.body or b"{}")
        else:
            arguments = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
            token = arguments.pop("token", token)
        answer = self.workspace.call(method, arguments, token)
        return Said(200, answer, {"X-OAuth-Scopes": ",".join(self.workspace.scopes)})


@contextmanager
def slack_server(settings: Settings | None = None) -> Iterator[SlackServer]:
    """Run one for the length of a test, with the settings pointing at it."""
    with SlackServer().running() as server:
        if settings is not None:
            point_at(settings, server)
        yield server


def point_at(settings: Settings, server: SlackServer) -> None:
    settings.SLACK_API_URL = server.api_url
    settings.SLACK_BOT_TOKEN = server.workspace.token
    settings.SLACK_SIGNING_SECRET = server.workspace.signing_secret
    settings.SLACK_APP_TOKEN = server.workspace.app_token
