"""A browser without a screen: the test client with what the pages' forms would post."""

from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from hitl.accounts.models import User
from workflows import forms
from workflows.models import Workflow


def logged_in(user: User) -> Client:
    """A browser in which this person is logged in."""
    client = Client()
    client.force_login(user)
    return client


def page_of(workflow: Workflow, name: str = "workflow", **more: Any) -> str:
    """The address of a page about this request."""
    return reverse(name, kwargs={"workflow_id": workflow.pk, **more})


def answer(client: Client, workflow: Workflow, decision: str, **fields: str) -> Any:
    """Press one of the buttons on the request's page."""
    values = {"decision": decision, "fingerprint": workflow.fingerprint, "comment": ""}
    return client.post(page_of(workflow, "decide"), values | fields)


def drawn(workflow: Workflow, **changes: str) -> dict[str, str]:
    """What the edit form posts when only `changes` (by key) were made; single-valued fields."""
    form = forms.build(workflow.ui_schema, workflow.action_data)
    posted = {}
    for field in form.fields():
        if field.read_only:
            continue
        chosen = [choice.value for choice in field.choices if choice.is_selected]
        posted[field.name] = changes.get(field.key, chosen[0] if chosen else field.value)
        if field.state_name:
            posted[field.state_name] = next(s.value for s in field.states if s.is_selected)
    return posted


def text(response: HttpResponse | Any) -> str:
    """The page as text."""
    return str(response.content.decode())
