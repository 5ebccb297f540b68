"""The log in the admin: found by what, who and when; shown honestly; never edited."""

import pytest
from django.test import Client

from events.models import Event
from hitl.accounts.models import Agent, User
from tests.workflows.factories import decide, make_workflow
from workflows.models import Workflow

LIST = "/admin/events/event/"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def workflow(agent: Agent, approver: User) -> Workflow:
    """A request with a text that hides something, approved."""
    made = make_workflow(agent, action_data={"note": "safe\u202eexe"}, ui_schema=None)
    decide(made, approver)
    return made


def _types(client: Client, **query: str) -> list[str]:
    return [row.type for row in client.get(LIST, query).context["cl"].result_list]


def test_events_are_found_by_type_person_and_workflow(
    operator: Client, workflow: Workflow, approver: User
) -> None:
    assert _types(operator, q="human.responded") == ["human.responded"]
    assert _types(operator, q=approver.name) == ["human.responded"]
    assert set(_types(operator, q=str(workflow.pk))) == {"workflow.created", "human.responded"}


def test_events_are_filtered(operator: Client, workflow: Workflow) -> None:
    assert _types(operator, type__exact="workflow.created") == ["workflow.created"]
    assert _types(operator, source__exact="dashboard") == ["human.responded"]


def test_an_event_shows_its_state_with_nothing_hidden(operator: Client, workflow: Workflow) -> None:
    event = Event.objects.get(type="workflow.created")
    page = operator.get(f"{LIST}{event.pk}/change/").content.decode()
    assert "safe⟦U+202E⟧exe" in page
    assert event.hash in page
    assert "workflow.created" in page


def test_streams_show_their_head(operator: Client, workflow: Workflow) -> None:
    newest = Event.objects.order_by("seq").last()
    assert newest is not None
    page = operator.get("/admin/events/eventstream/").content.decode()
    assert newest.hash in page
