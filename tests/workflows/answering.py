"""What the tests of answers from inside channels share: workers at once, posts, and patience."""

import time
from collections.abc import Callable
from typing import Any

from django.test import Client

from events.models import Event
from tests.standins.server import Post
from workflows.models import Decision, Workflow


def send(post: Post) -> Any:
    """Post it to the server as the provider would."""
    return Client().post(post.path, post.body, content_type=post.content_type, headers=post.headers)


def wait_for(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What happens beside the acknowledgement happens soon."""
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found
    return found


def state(workflow: Workflow) -> str:
    """Its status as stored."""
    return Workflow.objects.get(pk=workflow.pk).status


def refusals(workflow: Workflow) -> list[Event]:
    """Attempts that were refused on the record."""
    return list(Event.objects.filter(workflow=workflow, type="human.refused"))


def told(workflow: Workflow) -> list[str]:
    """Names of its events, in order."""
    return list(Event.objects.filter(workflow=workflow).values_list("type", flat=True))


def verdicts(workflow: Workflow) -> int:
    """How many answers were counted."""
    return Decision.objects.filter(workflow=workflow).count()
