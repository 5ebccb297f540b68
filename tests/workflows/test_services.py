"""The use cases up to the verdict: one gate, one verdict, and what is refused."""

import uuid

import pytest
from django.test import override_settings

from deliveries.models import Delivery
from events.models import Event
from events.types import EventType, Source
from hitl.accounts.models import Agent, Membership, Role, User
from hitl.lib.errors import Forbidden, InvalidInput, NotFound
from tests.workflows.factories import (
    REFUND,
    ActionTypeFactory,
    decide,
    make_overdue,
    make_workflow,
)
from workflows import services
from workflows.errors import AlreadyDecided, DigestMismatch, Expired, NotYours
from workflows.models import Decision, Status, Workflow

pytestmark = pytest.mark.django_db


def names(workflow: Workflow) -> list[str]:
    rows = Event.objects.filter(workflow_id=workflow.pk).order_by("seq")
    return [row.type for row in rows]


def test_create_stores_request_event_and_deliveries_together(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    assert workflow.status == Status.PENDING
    assert names(workflow) == [EventType.WORKFLOW_CREATED]
    delivery = Delivery.objects.get(workflow_id=workflow.pk)
    assert (delivery.recipient, delivery.status) == (approver.email, "pending")


def test_create_without_anybody_to_ask_is_refused(agent: Agent, approver: User) -> None:
    Membership.objects.filter(user=approver).update(role=Role.VIEWER)

    with pytest.raises(InvalidInput, match="nobody who could approve"):
        make_workflow(agent)

    assert not Workflow.objects.exists()


def test_unknown_approver_is_named_in_the_error(agent: Agent, approver: User) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_workflow(agent, approvers=[approver.email, "ghost@example.com"])

    assert [error.pointer for error in caught.value.errors] == ["/approvers/1"]


def test_approver_of_another_team_is_unknown_here(agent: Agent, stranger: User) -> None:
    with pytest.raises(InvalidInput):
        make_workflow(agent, approvers=[stranger.email])


@pytest.mark.parametrize("seconds", [0, -1, 31 * 24 * 3600, 10**12])
def test_deadline_out_of_range_is_refused(agent: Agent, seconds: int) -> None:
    with pytest.raises(InvalidInput, match="deadline"):
        make_workflow(agent, timeout_seconds=seconds)


def test_silence_may_not_approve_unless_a_manager_allowed_it(agent: Agent) -> None:
    with pytest.raises(InvalidInput, match="Silence may approve only"):
        make_workflow(agent, timeout_action="approve")


def test_approval_is_recorded_with_who_where_and_on_what(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    decide(workflow, approver, comment="Fine by me")

    workflow.refresh_from_db()
    decision = workflow.decisions.get()
    assert workflow.status == Status.APPROVED
    assert (decision.user, decision.channel) == (approver, Source.DASHBOARD)
    assert decision.fingerprint == workflow.fingerprint
    assert (workflow.feedback, workflow.responded_by) == ("Fine by me", approver)
    assert names(workflow)[-1] == EventType.HUMAN_RESPONDED


def test_rejection_is_told_as_answer_and_as_end(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    decide(workflow, approver, "rejected", comment="Not this one")

    workflow.refresh_from_db()
    assert workflow.status == Status.REJECTED
    assert names(workflow)[-2:] == [EventType.HUMAN_RESPONDED, EventType.WORKFLOW_REJECTED]


def test_edits_make_a_new_fingerprint_and_are_what_runs(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    edited = REFUND | {"amount": 100}

    decide(workflow, approver, "modified", response_data=edited)

    workflow.refresh_from_db()
    assert workflow.decision == "modified"
    assert workflow.approved_data == edited
    assert workflow.approved_fingerprint != workflow.fingerprint
    assert workflow.decisions.get().edits == [{"op": "replace", "path": "/amount", "value": 100}]


def test_edits_that_change_nothing_are_a_plain_approval(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    decide(workflow, approver, "modified", response_data=dict(REFUND))

    workflow.refresh_from_db()
    assert (workflow.decision, workflow.response_data) == ("approved", None)


def test_edits_without_a_form_are_refused(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent, ui_schema=None)

    with pytest.raises(InvalidInput, match="no form"):
        decide(workflow, approver, "modified", response_data=REFUND)


def test_read_only_field_cannot_be_edited(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    with pytest.raises(InvalidInput) as caught:
        decide(workflow, approver, "modified", response_data=REFUND | {"orderId": "B-1"})

    assert caught.value.errors[0].pointer == "/responseData/orderId"
    assert not Decision.objects.exists()


def test_second_decision_is_refused_and_hears_who_was_first(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)

    with pytest.raises(AlreadyDecided, match="Already approved by Ann Approver in dashboard"):
        decide(workflow, colleague, "rejected")

    assert Decision.objects.count() == 1


def test_same_answer_again_returns_the_first(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    first = decide(workflow, approver)

    again = decide(workflow, approver, source=Source.EMAIL)

    assert again.replayed
    assert again.decision == first.decision
    assert names(workflow).count(EventType.HUMAN_RESPONDED) == 1


def test_changing_ones_mind_afterwards_is_refused(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)

    with pytest.raises(AlreadyDecided):
        decide(workflow, approver, "rejected")


def test_stale_fingerprint_is_refused(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    with pytest.raises(DigestMismatch):
        decide(workflow, approver, fingerprint="sha256:" + "0" * 64)

    workflow.refresh_from_db()
    assert workflow.status == Status.PENDING


def test_answer_after_the_deadline_is_refused_before_any_sweep(
    agent: Agent, approver: User
) -> None:
    workflow = make_overdue(agent)

    with pytest.raises(Expired):
        decide(workflow, approver)


def test_held_request_may_be_decided_after_its_deadline(agent: Agent, approver: User) -> None:
    workflow = make_overdue(agent, timeout_action="hold")
    assert services.time_out(workflow.pk)

    decide(workflow, approver)

    workflow.refresh_from_db()
    assert workflow.status == Status.APPROVED
    assert EventType.WORKFLOW_HELD in names(workflow)


def test_viewer_may_not_decide(agent: Agent, viewer: User) -> None:
    with pytest.raises(NotYours, match="look only"):
        decide(make_workflow(agent), viewer)


def test_stranger_may_not_decide(agent: Agent, stranger: User) -> None:
    with pytest.raises(NotYours):
        decide(make_workflow(agent), stranger)


def test_colleague_who_was_not_asked_may_not_decide(
    agent: Agent, approver: User, colleague: User
) -> None:
    workflow = make_workflow(agent, approvers=[approver.email])

    with pytest.raises(NotYours, match="asks other people"):
        decide(workflow, colleague)


def test_approver_removed_after_the_notice_may_not_decide(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    Membership.objects.filter(user=approver).delete()

    with pytest.raises(NotYours):
        decide(workflow, approver)


def test_owner_of_the_agent_may_not_decide_for_it(agent: Agent, colleague: User) -> None:
    agent.owner = colleague
    agent.save()

    with pytest.raises(NotYours, match="own the agent"):
        decide(make_workflow(agent), colleague)


def test_verdict_cancels_what_has_not_been_sent(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    decide(workflow, approver)

    assert Delivery.objects.get(workflow_id=workflow.pk).status == "cancelled"


def test_view_is_recorded_once_per_person(agent: Agent, approver: User, colleague: User) -> None:
    workflow = make_workflow(agent)

    firsts = [
        services.mark_viewed(workflow.pk, user=user, source=Source.DASHBOARD)
        for user in (approver, approver, colleague)
    ]

    assert firsts == [True, False, True]
    assert names(workflow).count(EventType.HUMAN_VIEWED) == 2


def test_certain_view_after_an_uncertain_one_is_recorded_too(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)

    firsts = [
        services.mark_viewed(workflow.pk, user=approver, source=Source.EMAIL, certain=certain)
        for certain in (False, False, True, True, False)
    ]

    assert firsts == [True, False, True, False, False]


def test_agent_withdraws_and_repeating_changes_nothing(agent: Agent) -> None:
    workflow = make_workflow(agent)

    for _ in range(2):
        assert services.cancel(workflow.pk, agent=agent).status == Status.CANCELLED

    assert names(workflow).count(EventType.WORKFLOW_CANCELLED) == 1


def test_decided_request_cannot_be_withdrawn(agent: Agent, approver: User) -> None:
    workflow = make_workflow(agent)
    decide(workflow, approver)

    with pytest.raises(AlreadyDecided):
        services.cancel(workflow.pk, agent=agent)


def test_another_agent_of_the_team_may_not_withdraw(agent: Agent) -> None:
    other = Agent.objects.create(team=agent.team, name="other")

    with pytest.raises(Forbidden):
        services.cancel(make_workflow(agent).pk, agent=other)


def test_agent_of_another_team_finds_nothing(agent: Agent, stranger: User) -> None:
    other = Agent.objects.create(team=stranger.teams.get(), name="other")

    with pytest.raises(NotFound):
        services.cancel(make_workflow(agent).pk, agent=other)


def test_timeout_is_not_a_rejection(agent: Agent, approver: User) -> None:
    workflow = make_overdue(agent)

    assert services.time_out(workflow.pk)
    assert not services.time_out(workflow.pk)

    workflow.refresh_from_db()
    assert (workflow.status, workflow.decision) == (Status.TIMEOUT, "")
    with pytest.raises(AlreadyDecided, match="timed out"):
        decide(workflow, approver)


def test_timeout_is_never_early(agent: Agent) -> None:
    workflow = make_workflow(agent, timeout_seconds=60)

    assert not services.time_out(workflow.pk)


def test_silence_approves_where_a_manager_allowed_it(agent: Agent) -> None:
    ActionTypeFactory(
        team=agent.team, name="cache.purge", risk="low", allow_timeout_approval=True,
        timeout_action="approve",
    )  # fmt: skip
    workflow = make_overdue(agent, action_type="cache.purge")

    services.time_out(workflow.pk)

    workflow.refresh_from_db()
    assert (workflow.status, workflow.responded_via) == (Status.APPROVED, Source.TIMEOUT_JOB)
    assert workflow.decisions.get().user is None


def test_later_change_of_the_action_type_changes_nothing_that_is_open(
    agent: Agent, approver: User
) -> None:
    kind = ActionTypeFactory(team=agent.team, name="payments.refund", executor="agent")
    workflow = make_workflow(agent)

    kind.executor, kind.executor_config = "function", {"function": "echo"}
    kind.save()
    decide(workflow, approver)

    workflow.refresh_from_db()
    assert (workflow.execution_plan["by"], workflow.execution_due_at) == ("agent", None)


def test_unknown_workflow_is_not_found(approver: User) -> None:
    with pytest.raises(NotFound):
        services.mark_viewed(uuid.uuid4(), user=approver, source=Source.DASHBOARD)


@override_settings(DEFAULT_TIMEOUT_SECONDS=3600)
def test_default_deadline_is_the_servers(agent: Agent) -> None:
    workflow = make_workflow(agent)

    left = workflow.expires_at - workflow.created_at
    assert abs(left.total_seconds() - 3600) < 5
