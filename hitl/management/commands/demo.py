"""Let the sample agent ask the running server for more approvals, over HTTP like any agent."""

from typing import Any

import requests
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.urls import reverse

from hitl import samples
from hitl.accounts.services import issue_agent_token
from hitl.bootstrap import AGENT
from hitl.lib.urls import absolute
from hitl.management.base import HitlCommand
from hitl.management.find import find_agent

SECONDS = 10


class Command(HitlCommand):
    """`manage.py demo [--agent NAME] [--team SLUG]`."""

    help = "Send the sample requests to the running server, so that there is something to decide."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--port", type=int, help="where the server runs; default: PORT, or 4000"
        )
        parser.add_argument("--agent", default=AGENT, help=f"who asks; default: {AGENT}")
        parser.add_argument("--team", help="the team's short name, where several could be meant")

    def handle(self, *args: Any, agent: str, team: str | None, **options: Any) -> None:
        token = issue_agent_token(find_agent(agent, team))
        for request in (*samples.REQUESTS, *samples.EXTRA):
            workflow_id = _post(request, token)
            page = absolute(reverse("workflow", args=[workflow_id]))
            self.stdout.write(f"{page}  {request['name']}")


def _post(request: dict[str, Any], token: str) -> str:
    """Create one request; the id the server gave it."""
    url = absolute("/api/v1/workflows")
    try:
        response = requests.post(
            url, json=request, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS
        )
    except requests.RequestException:
        raise CommandError(
            f"No server answers at {url}. Start it with `make run`, or name its port with --port."
        ) from None
    if response.status_code != requests.codes.created:
        raise CommandError(f"The server at {url} answered {response.status_code}: {response.text}")
    return str(response.json()["workflowId"])
