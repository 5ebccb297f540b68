"""What messages say: the same as the API, bounded, in two formats, and to nobody but the team."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from events.models import Event, WebhookMessage
from events.types import EventType
from events.webhooks import filters, payload
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.events.webhooks.hooks import Hook, make_hook, types
from tests.receiver import Receiver
from tests.workflows.api.callers import WORKFLOWS, as_agent
from tests.workflows.factories import decide, make_workflow

pytestmark = pytest.mark.django_db
REFERENCE = {"amount": 90, "currency": "EUR", "note": "Half.", "orderId": "A-1009"}


def body(message: WebhookMessage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.body)
    return found


def last(hook: Hook) -> dict[str, Any]:
    return body(hook.messages()[-1])


def test_it_shows_what_the_api_shows(hook: Hook, agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, reason="Because.", metadata={"run": 7})
    decide(workflow, approver, "modified", response_data=REFERENCE, comment="Half is enough.")
    shown = last(hook)["data"]["workflow"]
    api = as_agent(agent).get(f"{WORKFLOWS}/{workflow.pk}").json()
    assert {name: api[name] for name in shown} == shown
    assert shown["approvedFingerprint"] == api["approvedFingerprint"] is not None
    assert shown["respondedBy"] == {"name": "Ann Approver"}


def test_each_event_says_where_it_stands_in_the_log(
    hook: Hook, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver, "rejected")
    events = list(Event.objects.filter(workflow=workflow).order_by("seq"))
    assert len(hook.messages()) == len(events) > 1
    for event, message in zip(events, hook.messages(), strict=True):
        content = body(message)
        assert content["type"] == event.type == message.type
        assert content["timestamp"] == payload.instant(event.timestamp)
        data = content["data"]
        assert (data["workflowId"], data["teamId"]) == (str(workflow.pk), str(agent.team_id))
        assert (data["seq"], data["status"], data["round"]) == (event.seq, event.status, 1)
        assert data["event"]["hash"] == event.hash
        assert data["event"]["actor"] == event.actor
        assert data["omitted"] == []


def test_no_plan_and_no_secret_leaves(hook: Hook, agent: Agent) -> None:
    make_workflow(agent)
    [message] = hook.messages()
    assert not {"executionPlan", "policy", "uiSchema"} & set(body(message)["data"]["workflow"])
    assert '"config"' not in message.body
    assert "whsec_" not in message.body


def test_the_body_is_canonical_and_never_written_anew(hook: Hook, agent: Agent) -> None:
    make_workflow(agent)
    [message] = hook.messages()
    assert canonical.dumps(canonical.loads(message.body)).decode() == message.body


def test_a_large_message_names_what_it_leaves_out(
    hook: Hook, agent: Agent, settings: Settings
) -> None:
    make_workflow(agent, action_data={"text": "x" * 100_000}, reason="y" * 9_000, ui_schema=None)
    [message] = hook.messages()
    assert len(message.body.encode()) <= settings.WEBHOOK_MAX_BYTES + 200
    data = body(message)["data"]
    assert data["omitted"] == ["/workflow/actionData"]
    assert data["workflow"]["actionData"] is None
    assert data["workflow"]["reason"] == "y" * 9_000
    assert data["workflow"]["url"].endswith(f"/workflows/{data['workflowId']}/")


def test_cloudevents_are_what_the_library_reads(
    team: Team, agent: Agent, receiver: Receiver
) -> None:
    hook = make_hook(team, receiver.url, body_format="cloudevents")
    workflow = make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    assert received.headers["content-type"].startswith("application/cloudevents+json")
    event = from_http_event(HTTPMessage(received.headers, received.body), JSONFormat())
    assert event.get_type() == "workflow.created"
    assert event.get_id() == received.headers["webhook-id"]
    assert event.get_subject() == str(workflow.pk)
    assert event.get_source() == "http://testserver/"
    time = event.get_time()
    assert time is not None
    assert time == Event.objects.get(workflow=workflow).timestamp
    data: Any = event.get_data()
    assert data["workflowId"] == str(workflow.pk)
    assert hook.verify(received)["specversion"] == "1.0"


def test_a_format_changed_meanwhile_is_for_later_messages(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    make_workflow(agent)
    type(hook.endpoint).objects.update(body_format="cloudevents")
    make_workflow(agent)
    hook.drain()
    kinds = [each.headers["content-type"].split(";")[0] for each in receiver.ledger]
    assert kinds == ["application/json", "application/cloudevents+json"]


def test_filters_choose(team: Team, agent: Agent, approver: User, receiver: Receiver) -> None:
    every = make_hook(team, receiver.url)
    prefix = make_hook(team, receiver.url, events=["workflow.*"])
    exact = make_hook(team, receiver.url, events=["human.responded", "workflow.failed"])
    decide(make_workflow(agent), approver)
    assert set(types(prefix)) == {name for name in types(every) if name.startswith("workflow.")}
    assert types(exact) == ["human.responded"]


@pytest.mark.parametrize(
    "good", ["workflow.*", "approval.*", "approval.sent.slack", "approval.sent.*"]
)
def test_good_filters(good: str) -> None:
    assert filters.check([good, good]) == [good]


@pytest.mark.parametrize(
    "bad", ["*", "", "workflow", "workflow.", "work*", "WORKFLOW.*", "x.*", "a b"]
)
def test_filters_that_match_nothing_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInput):
        filters.check([bad])


@pytest.mark.parametrize("pattern", ["workflow.*", "human.responded", "approval.sent.*"])
def test_filters_mean_the_same_in_sql(
    hook: Hook, agent: Agent, approver: User, pattern: str
) -> None:
    decide(make_workflow(agent), approver)
    rows = Event.objects.filter(filters.as_query([pattern]))
    kept = [each for each in Event.objects.all() if filters.matches([pattern], each.type)]
    assert set(rows) == set(kept)
    assert EventType.HUMAN_RESPONDED in {each.type for each in Event.objects.all()}


def test_teams_do_not_hear_each_other(hook: Hook, agent: Agent, receiver: Receiver) -> None:
    other = TeamFactory()
    theirs = make_hook(other, receiver.url)
    make_workflow(agent)
    assert (len(hook.messages()), theirs.messages()) == (1, [])
    far = AgentFactory(team=other)
    add_member(other, UserFactory(), Role.APPROVER)
    make_workflow(far)
    assert (len(hook.messages()), len(theirs.messages())) == (1, 1)


def test_a_change_that_is_rolled_back_is_told_to_nobody(hook: Hook, agent: Agent) -> None:
    with transaction.atomic():
        make_workflow(agent)
        transaction.set_rollback(True)
    assert hook.messages() == []


def test_endpoints_cost_one_query_an_event(agent: Agent, team: Team) -> None:
    with CaptureQueriesContext(connection) as found:
        make_workflow(agent)
    asked = [each for each in found.captured_queries if "webhookendpoint" in each["sql"]]
    assert len(asked) == Event.objects.count()
